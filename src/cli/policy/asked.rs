//! A question with what is left out filled in, and what was decided.

use crate::access::policy::{Denial, Permit};
use crate::config::Settings;
use crate::domain::caller::{Principal, ProofKind};
use crate::domain::name::{DatabaseName, DbUser, NameError};
use crate::domain::target::Target;
use std::fmt;
use std::time::{Duration, SystemTime};

/// When cases are asked that do not say: ten o'clock on a Wednesday, UTC.
pub const NOW: &str = "2026-01-07T10:00:00Z";

/// How such a principal usually proves itself.
pub fn proof_of(principal: &Principal) -> ProofKind {
    match principal {
        Principal::Local { .. } => ProofKind::Local,
        Principal::IamRole { .. } | Principal::IamUser { .. } => ProofKind::AwsIam,
        Principal::Oidc { .. } => ProofKind::Oidc,
        Principal::Certificate { .. } => ProofKind::Mtls,
        Principal::Password { .. } => ProofKind::Scram,
    }
}

/// The database as named, else the target's, else the one that PostgreSQL would take.
pub fn database(named: Option<&str>, target: &Target, db_user: &DbUser) -> Result<DatabaseName, NameError> {
    match (named, target.proposed_database()) {
        (Some(named), _) => DatabaseName::new(named),
        (None, Some(proposed)) => Ok(proposed.clone()),
        (None, None) => DatabaseName::new(db_user.as_str()),
    }
}

/// Where clients of the target usually come to.
pub fn listener(settings: &Settings, target: &Target) -> String {
    let mut listeners = settings.listeners.iter();
    let first = listeners.find(|listener| listener.target == target.name);
    first
        .map(|listener| listener.address.to_string())
        .unwrap_or_default()
}

/// An error is a denial, too, but one that nobody meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    Permit,
    Deny,
    Error,
}

impl Decision {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
            Self::Error => "error",
        }
    }
}

/// What policy said.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub decision: Decision,
    /// Ids of the policies that decided, sorted.
    pub policies: Vec<String>,
    /// By policy; nothing: without a limit.
    pub max_session: Option<Duration>,
    /// Policies that could not be evaluated.
    pub errors: Vec<String>,
    /// Why not, where it was not a policy that decided.
    pub why: Option<String>,
}

impl Outcome {
    pub fn of(decided: &Result<Permit, Denial>, now: SystemTime) -> Self {
        let mut outcome = Self {
            decision: Decision::Deny,
            policies: Vec::new(),
            max_session: None,
            errors: Vec::new(),
            why: None,
        };
        match decided {
            Ok(permit) => {
                outcome.decision = Decision::Permit;
                outcome.policies = permit.policies().iter().map(ToString::to_string).collect();
                let ends = permit.expires();
                outcome.max_session = ends.and_then(|(ends, _)| ends.duration_since(now).ok());
            }
            Err(Denial::Evaluation { faults }) => {
                outcome.decision = Decision::Error;
                outcome.errors.clone_from(faults);
            }
            Err(Denial::NotPermitted(denied)) if !denied.forbidden_by.is_empty() => {
                outcome.policies.clone_from(&denied.forbidden_by);
            }
            Err(denial @ Denial::NotPermitted(_)) => outcome.why = denial.because(),
            Err(denial) => outcome.why = Some(denial.to_string()),
        }
        outcome.policies.sort();
        outcome
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "decision": self.decision.as_str(),
            "policies": self.policies,
            "max_session_seconds": self.max_session.map(|limit| limit.as_secs()),
            "errors": self.errors,
            "why": self.why,
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.decision.as_str())?;
        if !self.policies.is_empty() {
            write!(f, " by {}", self.policies.join(", "))?;
        }
        if let Some(limit) = self.max_session {
            write!(f, " for at most {}", span(limit))?;
        }
        if let Some(why) = &self.why {
            write!(f, ": {why}")?;
        }
        match self.errors.as_slice() {
            [] => Ok(()),
            errors => write!(f, " ({}: {})", errors.len(), errors.join("; ")),
        }
    }
}

/// `2h`, `90s`: the largest unit that fits without a rest.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let fitting = units.into_iter().find_map(|(size, unit)| {
        Some((seconds.checked_div(size)?, unit)).filter(|_| seconds.checked_rem(size) == Some(0))
    });
    match fitting {
        Some((number, unit)) if number > 0 => format!("{number}{unit}"),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_annotations_write_them() {
        for (seconds, text) in [
            (0, "0s"),
            (90, "90s"),
            (1_800, "30m"),
            (7_200, "2h"),
            (86_400, "1d"),
            (604_800, "7d"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }
}
