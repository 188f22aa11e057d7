//! From what an account has to what is wanted of it. Pure; of what is there, only what is dbproxy's own and speaks of this manifest's
//! clusters alone is touched.
//!
//! What gives comes before what takes, so that nobody is without in between.

mod gone;
mod holder;
mod obstacle;
mod others;
mod role;

pub use obstacle::{IamObstacle, IamObstacles};

use super::found::Found;
use super::rights::Rights;
use super::scope::Scope;
use super::step::{IamPlan, IamStep};
use super::{Bundle, Holder, Placement, Policies};
use crate::platform::aws::iam::Call;
use crate::provision::manifest::arn::{AccountId, PrincipalArn};
use crate::provision::step::StepKind;
use std::collections::{BTreeMap, BTreeSet};

/// What is to be done, and what has to be mended before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub plan: IamPlan,
    pub obstacles: Vec<IamObstacle>,
}

impl Difference {
    /// What concerns these principals.
    pub fn narrowed(mut self, to: &BTreeSet<String>) -> Self {
        self.plan.steps.retain(|step| !step.holders.is_disjoint(to));
        let concerns = |one: &PrincipalArn| to.contains(one.as_str());
        self.obstacles.retain(|one| one.holder().is_none_or(concerns));
        self
    }

    pub fn into_plan(self) -> Result<IamPlan, IamObstacles> {
        match self.obstacles.is_empty() {
            true => Ok(self.plan),
            false => Err(IamObstacles(self.obstacles)),
        }
    }
}

/// Whether the manifest has anything to say in an account: where it has no cluster, nothing there is its own.
pub fn place(wanted: &Policies, partition: &str, account: &AccountId) -> Result<(), IamObstacle> {
    match wanted.scope.covers(partition, account) {
        true => Ok(()),
        false => Err(IamObstacle::Elsewhere {
            account: account.clone(),
            clusters: wanted.scope.accounts(),
        }),
    }
}

pub fn difference(wanted: &Policies, found: &Found) -> Difference {
    if let Err(elsewhere) = place(wanted, &found.partition, &found.account) {
        return Difference {
            plan: IamPlan {
                account: found.account.clone(),
                steps: Vec::new(),
                notes: Vec::new(),
            },
            obstacles: vec![elsewhere],
        };
    }
    let (here, others): (Vec<&Bundle>, Vec<&Bundle>) = wanted.bundles.iter().partition(|bundle| {
        *bundle.holder.account() == found.account && bundle.holder.partition() == found.partition
    });
    let mut notes: Vec<String> = here.iter().filter_map(|bundle| bundle.note()).collect();
    notes.extend(left_out(&others));
    let mut draft = Draft::new(found, &wanted.scope, &here, notes);
    draft.judge_shared();
    for (principal, bundle) in &draft.wanted.clone() {
        if draft.prepare(principal, bundle) {
            draft.give(principal, bundle);
        }
    }
    draft.take_away();
    draft.delete_policies();
    draft.delete_roles();
    draft.note_left_alone();
    Difference {
        plan: IamPlan {
            account: found.account.clone(),
            steps: draft.steps,
            notes: draft.notes,
        },
        obstacles: draft.obstacles,
    }
}

fn left_out(others: &[&Bundle]) -> Vec<String> {
    let accounts: BTreeSet<String> = others
        .iter()
        .map(|bundle| bundle.holder.account().to_string())
        .collect();
    let note = |account: &String| {
        format!(
            "principals of account {account} are left out: `dbproxy iam-policy --account {account}` prints their policies"
        )
    };
    accounts.iter().map(note).collect()
}

struct Draft<'a> {
    found: &'a Found,
    scope: &'a Scope,
    /// Those whose policies are here to be written: permission sets are left out.
    wanted: BTreeMap<&'a PrincipalArn, &'a Bundle>,
    /// By ARN: what each is to have by dbproxy's documents.
    rights: BTreeMap<&'a str, Rights>,
    /// ARNs of managed policies that are wanted.
    managed: BTreeSet<String>,
    steps: Vec<IamStep>,
    notes: Vec<String>,
    obstacles: Vec<IamObstacle>,
    /// Of dbproxy's name or tag, and not of this manifest.
    left_alone: BTreeSet<String>,
}

impl<'a> Draft<'a> {
    fn new(found: &'a Found, scope: &'a Scope, here: &[&'a Bundle], notes: Vec<String>) -> Self {
        let mut draft = Self {
            found,
            scope,
            wanted: BTreeMap::new(),
            rights: BTreeMap::new(),
            managed: BTreeSet::new(),
            steps: Vec::new(),
            notes,
            obstacles: Vec::new(),
            left_alone: BTreeSet::new(),
        };
        for bundle in here
            .iter()
            .filter(|bundle| bundle.placement != Placement::PermissionSet)
        {
            let Holder::Principal(principal) = &bundle.holder else {
                continue;
            };
            let documents = bundle.documents.iter();
            let rights = documents
                .clone()
                .flat_map(|document| super::rights::rights(&document.json()));
            draft.rights.insert(principal.as_str(), rights.collect());
            if bundle.placement == Placement::Managed {
                draft
                    .managed
                    .extend(documents.map(|document| bundle.policy_arn(document)));
            }
            draft.wanted.insert(principal, bundle);
        }
        draft
    }

    fn step(&mut self, holder: &str, kind: StepKind, title: String, calls: Vec<Call>) {
        self.steps.push(IamStep {
            title,
            kind,
            calls,
            holders: BTreeSet::from([holder.to_owned()]),
        });
    }

    /// Destructive where somebody had something by a document and is to have it no more.
    fn kind(&self, holder: &str, had: &Rights) -> StepKind {
        let nothing = Rights::new();
        let keeps = self.rights.get(holder).unwrap_or(&nothing);
        match had.is_subset(keeps) {
            true => StepKind::Ordinary,
            false => StepKind::Destructive,
        }
    }
}

/// Of AWS's own, which nobody else may change (IAM Identity Center, service-linked roles).
fn is_of_aws(arn: &str) -> bool {
    [":role/aws-reserved/", ":role/aws-service-role/"]
        .iter()
        .any(|path| arn.contains(path))
}

/// `role "orders-app"`
fn told(arn: &str) -> String {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or(arn);
    match resource.split_once('/') {
        Some((kind, path)) => format!("{kind} \"{}\"", path.rsplit('/').next().unwrap_or(path)),
        None => format!("\"{arn}\""),
    }
}
