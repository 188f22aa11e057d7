//! What the provisioner itself may: log in as its db user, find the clusters, and write these policies where it is to.
//! Nothing that changes RDS.

use super::bundle::NAME;
use super::document::{MANAGED_MAX, Statement};
use super::own::TAG;
use super::{Bundle, Holder, Mistake, Mistakes, Placement, Policies, Site};
use crate::provision::manifest::arn::{AccountId, PrincipalKind};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const DESCRIBE: [&str; 2] = ["rds:DescribeDBClusters", "rds:DescribeDBInstances"];
/// What is there: of the whole account, in one call that knows no narrower resource.
const LOOK: [&str; 1] = ["iam:GetAccountAuthorizationDetails"];
const ROLE: [&str; 2] = ["iam:DeleteRolePolicy", "iam:PutRolePolicy"];
const USER: [&str; 2] = ["iam:DeleteUserPolicy", "iam:PutUserPolicy"];
const MAKE: [&str; 1] = ["iam:CreateRole"];
const KEEP: [&str; 3] = ["iam:GetRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole"];
/// With dbproxy's own tag and no other, which may mean something to others.
const TAGGED: [&str; 1] = ["iam:TagRole"];
const MANAGED: [&str; 2] = ["iam:CreatePolicy", "iam:CreatePolicyVersion"];
/// Of what the manifest names no longer, too: dbproxy's own, known by name or tag.
const GONE: [&str; 2] = ["iam:DeletePolicy", "iam:DeletePolicyVersion"];

/// What the provisioner may write.
#[derive(Debug, Clone, Copy)]
pub struct Writing<'a> {
    pub policies: &'a Policies,
    /// ARNs of permissions boundaries: it writes only to those who have one of them. None: to all, whatever they say.
    pub boundaries: &'a BTreeSet<String>,
}

/// One bundle for each account. With `writing`, the provisioner may write those policies.
pub fn provisioner(sites: &[Site<'_>], writing: Option<Writing<'_>>) -> Result<Policies, Mistakes> {
    let mut mistakes = Vec::new();
    let mut accounts: BTreeMap<(&'static str, &AccountId), Vec<&Site<'_>>> = BTreeMap::new();
    for site in sites {
        let key = (site.region.partition(), &site.account);
        accounts.entry(key).or_default().push(site);
    }
    let mut policies = Policies::default();
    for ((partition, account), sites) in accounts {
        let mut statements = own(&sites, &mut mistakes);
        if let Some(writing) = writing {
            let bundles = writing.policies.bundles.iter();
            let bundles: Vec<&Bundle> = bundles
                .filter(|bundle| bundle.holder.account() == account && bundle.holder.partition() == partition)
                .collect();
            statements.extend(written(partition, account, &bundles, writing.boundaries));
        }
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

/// Given to exactly these roles, users and policies; taken from whoever has something of dbproxy's own.
fn written(
    partition: &str,
    account: &AccountId,
    bundles: &[&Bundle],
    boundaries: &BTreeSet<String>,
) -> Vec<Statement> {
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
        if bundle.placement == Placement::PermissionSet {
            continue;
        }
        // Of managed ones, too: what was inline before is taken out.
        let attach = match principal.kind() {
            PrincipalKind::Role => {
                roles.insert(arn.clone());
                "iam:AttachRolePolicy"
            }
            PrincipalKind::User => {
                users.insert(arn.clone());
                "iam:AttachUserPolicy"
            }
        };
        if bundle.placement == Placement::Managed {
            let documents = bundle.documents.iter();
            let arns: BTreeSet<String> = documents.map(|document| bundle.policy_arn(document)).collect();
            let mut condition = json!({ "ArnEquals": { "iam:PolicyARN": arns } });
            bound(&mut condition, boundaries);
            attached.push(Statement::new(&[attach], BTreeSet::from([arn])).when(condition));
            policies.extend(arns);
        }
    }
    let mut statements = vec![
        Statement::new(&LOOK, BTreeSet::from(["*".to_owned()])),
        Statement::new(&KEEP, made.clone()),
        Statement::new(&TAGGED, made.clone())
            .when(json!({ "ForAllValues:StringEquals": { "aws:TagKeys": [TAG.0] } })),
        Statement::new(&MANAGED, policies),
    ];
    for (actions, holders) in [(&ROLE, roles), (&USER, users)] {
        let mut condition = json!({});
        bound(&mut condition, boundaries);
        let statement = Statement::new(actions, holders);
        statements.push(match boundaries.is_empty() {
            true => statement,
            false => statement.when(condition),
        });
    }
    // A role that it makes would have no boundary, and the policies it puts there no limit.
    if boundaries.is_empty() {
        statements.push(Statement::new(&MAKE, made));
    }
    statements.extend(attached);
    statements.extend(taking(partition, account));
    statements
}

/// Holds an action to principals that have one of these permissions boundaries.
fn bound(condition: &mut Value, boundaries: &BTreeSet<String>) {
    if let (Some(operators), false) = (condition.as_object_mut(), boundaries.is_empty()) {
        let keys = json!({ "iam:PermissionsBoundary": boundaries });
        operators.insert("StringEquals".to_owned(), keys);
    }
}

fn taking(partition: &str, account: &AccountId) -> [Statement; 4] {
    let all = |what: &str| format!("arn:{partition}:iam::{account}:{what}");
    let own = all(&format!("policy/{NAME}-*"));
    let on = |what: &str| BTreeSet::from([all(what)]);
    let of_own = json!({ "ArnLike": { "iam:PolicyARN": own } });
    let (key, value) = TAG;
    let made = json!({ "StringEquals": { format!("aws:ResourceTag/{key}"): value } });
    [
        Statement::new(&GONE, BTreeSet::from([own])),
        Statement::new(&["iam:DetachRolePolicy"], on("role/*")).when(of_own.clone()),
        Statement::new(&["iam:DetachUserPolicy"], on("user/*")).when(of_own),
        Statement::new(&["iam:DeleteRole"], on("role/*")).when(made),
    ]
}
