//! What the provisioner itself may: log in as its db user, find the clusters, and write these policies where it is to.
//! Nothing that changes RDS.

use super::document::{MANAGED_MAX, Statement};
use super::{Bundle, Holder, Mistake, Mistakes, Placement, Policies, Site};
use crate::provision::manifest::arn::{AccountId, PrincipalKind};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const DESCRIBE: [&str; 2] = ["rds:DescribeDBClusters", "rds:DescribeDBInstances"];
const ROLE: [&str; 4] = [
    "iam:DeleteRolePolicy",
    "iam:GetRolePolicy",
    "iam:ListRolePolicies",
    "iam:PutRolePolicy",
];
const USER: [&str; 4] = [
    "iam:DeleteUserPolicy",
    "iam:GetUserPolicy",
    "iam:ListUserPolicies",
    "iam:PutUserPolicy",
];
const MAKE: [&str; 4] = [
    "iam:CreateRole",
    "iam:GetRole",
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateRole",
];
const MANAGED: [&str; 6] = [
    "iam:CreatePolicy",
    "iam:CreatePolicyVersion",
    "iam:DeletePolicyVersion",
    "iam:GetPolicy",
    "iam:GetPolicyVersion",
    "iam:ListPolicyVersions",
];

/// One bundle for each account. With `written`, the provisioner may write those policies.
pub fn provisioner(sites: &[Site<'_>], written: Option<&Policies>) -> Result<Policies, Mistakes> {
    let mut mistakes = Vec::new();
    let mut accounts: BTreeMap<(&'static str, &AccountId), Vec<&Site<'_>>> = BTreeMap::new();
    for site in sites {
        let key = (site.region.partition(), &site.account);
        accounts.entry(key).or_default().push(site);
    }
    let mut policies = Policies::default();
    for ((partition, account), sites) in accounts {
        let mut statements = own(&sites, &mut mistakes);
        let bundles = written.iter().flat_map(|written| &written.bundles);
        let bundles: Vec<&Bundle> = bundles
            .filter(|bundle| bundle.holder.account() == account && bundle.holder.partition() == partition)
            .collect();
        statements.extend(writing(&bundles));
        let account = account.clone();
        let holder = Holder::Provisioner { partition, account };
        match Bundle::packed(
            holder,
            Placement::Managed,
            &statements,
            MANAGED_MAX,
            "dbproxy-provisioner",
            None,
        ) {
            Ok(bundle) => policies.bundles.push(bundle),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    match mistakes.is_empty() {
        true => Ok(policies),
        false => Err(Mistakes(mistakes)),
    }
}

fn own(sites: &[&Site<'_>], mistakes: &mut Vec<Mistake>) -> Vec<Statement> {
    let mut connect = BTreeSet::new();
    for site in sites {
        match site.arns(&site.cluster.provisioner) {
            Ok(arns) => connect.extend(arns),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    let regions: BTreeSet<&str> = sites.iter().map(|site| site.region.as_str()).collect();
    vec![
        Statement::new(&["rds-db:connect"], connect),
        // Clusters are found by their resource id, which no ARN of RDS has.
        Statement::new(&DESCRIBE, BTreeSet::from(["*".to_owned()]))
            .when(json!({ "StringEquals": { "aws:RequestedRegion": regions } })),
    ]
}

/// On exactly these roles, users and policies.
fn writing(bundles: &[&Bundle]) -> Vec<Statement> {
    let (mut roles, mut users, mut made) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut policies = BTreeSet::new();
    let mut attached = Vec::new();
    for bundle in bundles {
        let Holder::Principal(principal) = &bundle.holder else {
            continue;
        };
        let arn = principal.as_str().to_owned();
        if bundle.made.is_some() {
            made.insert(arn.clone());
        }
        match (bundle.placement, principal.kind()) {
            (Placement::PermissionSet, _) => {}
            (Placement::Inline, PrincipalKind::Role) => {
                roles.insert(arn);
            }
            (Placement::Inline, PrincipalKind::User) => {
                users.insert(arn);
            }
            (Placement::Managed, kind) => {
                let arns = bundle
                    .documents
                    .iter()
                    .map(|document| bundle.policy_arn(document));
                let arns: BTreeSet<String> = arns.collect();
                let actions = match kind {
                    PrincipalKind::Role => ["iam:AttachRolePolicy", "iam:DetachRolePolicy"],
                    PrincipalKind::User => ["iam:AttachUserPolicy", "iam:DetachUserPolicy"],
                };
                let condition = json!({ "ArnEquals": { "iam:PolicyARN": arns } });
                attached.push(Statement::new(&actions, BTreeSet::from([arn])).when(condition));
                policies.extend(arns);
            }
        }
    }
    let mut statements = vec![
        Statement::new(&MAKE, made),
        Statement::new(&ROLE, roles),
        Statement::new(&USER, users),
        Statement::new(&MANAGED, policies),
    ];
    statements.extend(attached);
    statements
}
