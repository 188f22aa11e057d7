//! Takes the steps, one call after the other. IAM has no transactions: what was done stays, and a new plan is the rest.

use super::step::{IamPlan, IamStep};
use crate::platform::aws::iam::{Call, Iam};
use crate::platform::aws::{AwsError, AwsFault};
use std::future::Future;
use std::time::Duration;

const PATIENCE: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// Who makes calls.
pub trait Caller: Sync {
    fn call(&self, call: &Call) -> impl Future<Output = Result<(), AwsError>> + Send;
}

impl Caller for Iam {
    async fn call(&self, call: &Call) -> Result<(), AwsError> {
        self.perform(call).await
    }
}

/// Why not all steps were taken.
#[derive(Debug, thiserror::Error)]
pub enum IamApplyError {
    #[error("the plan takes something away in IAM, which must be allowed (--allow-destructive): {}", titles.join("; "))]
    Destructive { titles: Vec<String> },
    #[error("step {number} of {of} in IAM ({title}) failed{}", reached(*calls))]
    Call {
        number: usize,
        of: usize,
        title: String,
        /// Those that were made before.
        calls: usize,
        #[source]
        source: AwsError,
    },
}

fn reached(calls: usize) -> &'static str {
    match calls {
        0 => "; nothing was changed in IAM",
        _ => "; what was done before it stays, and a new plan is what is left",
    }
}

impl IamApplyError {
    pub fn has_changed_nothing(&self) -> bool {
        match self {
            Self::Destructive { .. } => true,
            // Of a call without an answer nobody knows whether it was made.
            Self::Call { calls, source, .. } => *calls == 0 && source.fault != AwsFault::Unreachable,
        }
    }

    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Destructive { .. } => None,
            Self::Call { source, .. } => Some(remedy(source)),
        }
    }
}

const READING: &str = "iam:GetAccountAuthorizationDetails";

/// What mends a failed call of IAM.
pub fn remedy(error: &AwsError) -> String {
    match error.fault {
        AwsFault::Denied if error.action.contains(READING) => {
            "Reading needs iam:GetAccountAuthorizationDetails alone, which AWS's policy SecurityAudit has too; what changing \
             needs besides, `dbproxy iam-policy --provisioner --writes-iam` prints."
                .to_owned()
        }
        AwsFault::Denied => {
            "Let the AWS identity that runs this do so: `dbproxy iam-policy --provisioner --writes-iam` \
                             prints a policy for it."
                .to_owned()
        }
        AwsFault::NotFound => "Somebody has deleted it meanwhile: plan again.".to_owned(),
        AwsFault::Other if error.message.starts_with("LimitExceeded") => {
            "A quota of the account is reached: raise it, or let principals share roles.".to_owned()
        }
        AwsFault::Other if error.message.starts_with("MalformedPolicyDocument") => {
            "IAM takes only principals that exist: see the accounts and names in `trusts`.".to_owned()
        }
        AwsFault::Other if error.message.starts_with("IAM's answer has holes") => {
            "What is not told cannot be judged. Somebody may just have changed it: look again.".to_owned()
        }
        AwsFault::Other => "Plan again; AWS's own words are above.".to_owned(),
        _ => error.remedy().to_owned(),
    }
}

/// Before each step: its number and the step.
pub async fn apply(
    caller: &impl Caller,
    plan: &IamPlan,
    allow_destructive: bool,
    mut tell: impl FnMut(usize, &IamStep),
) -> Result<(), IamApplyError> {
    permitted(plan, allow_destructive)?;
    let mut calls = 0_usize;
    let mut has_made = false;
    for (number, step) in (1_usize..).zip(&plan.steps) {
        tell(number, step);
        for call in &step.calls {
            let done = patiently(caller, call, has_made).await;
            done.map_err(|source| IamApplyError::Call {
                number,
                of: plan.steps.len(),
                title: step.title.clone(),
                calls,
                source,
            })?;
            calls = calls.saturating_add(1);
            has_made |= matches!(call, Call::CreateRole { .. } | Call::CreatePolicy { .. });
        }
    }
    Ok(())
}

/// What was made just now is not known everywhere at once (IAM User Guide, "Changes that I make are not always
/// immediately visible").
async fn patiently(caller: &impl Caller, call: &Call, has_made: bool) -> Result<(), AwsError> {
    let mut waits = PATIENCE.iter().filter(|_| has_made);
    loop {
        let outcome = caller.call(call).await;
        match (&outcome, waits.next()) {
            (Err(error), Some(wait)) if error.fault == AwsFault::NotFound => tokio::time::sleep(*wait).await,
            _ => return outcome,
        }
    }
}

/// Before anything is changed, in another plane too.
pub fn permitted(plan: &IamPlan, allow_destructive: bool) -> Result<(), IamApplyError> {
    let titles: Vec<String> = plan.destructive().map(|step| step.title.clone()).collect();
    match titles.is_empty() || allow_destructive {
        true => Ok(()),
        false => Err(IamApplyError::Destructive { titles }),
    }
}

#[cfg(test)]
mod tests;
