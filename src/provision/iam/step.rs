//! What is to be done in IAM of one account, as data: shown, saved, reviewed, executed.

use super::render::call::command;
use crate::platform::aws::iam::Call;
use crate::provision::manifest::arn::AccountId;
use crate::provision::step::StepKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The way from what was found to what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IamPlan {
    pub account: AccountId,
    pub steps: Vec<IamStep>,
    /// What a reader should know and no step mends.
    pub notes: Vec<String>,
}

/// One thing to do, with the calls that do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IamStep {
    /// For people: `create IAM role "dbproxy-monitoring"`.
    pub title: String,
    pub kind: StepKind,
    pub calls: Vec<Call>,
    /// ARNs of those whom it concerns.
    pub holders: BTreeSet<String>,
}

/// A step as it is printed and saved: with the commands that would do the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenStep {
    pub title: String,
    pub account: String,
    pub statements: Vec<String>,
    pub kind: StepKind,
}

impl IamStep {
    pub fn written(&self, account: &AccountId) -> WrittenStep {
        WrittenStep {
            title: self.title.clone(),
            account: account.to_string(),
            statements: self.calls.iter().map(command).collect(),
            kind: self.kind,
        }
    }
}

impl IamPlan {
    pub fn written(&self) -> Vec<WrittenStep> {
        let steps = self.steps.iter();
        steps.map(|step| step.written(&self.account)).collect()
    }

    pub fn destructive(&self) -> impl Iterator<Item = &IamStep> {
        let steps = self.steps.iter();
        steps.filter(|step| step.kind == StepKind::Destructive)
    }
}
