//! May somebody look at sessions, end them, have everything read again, or have dbproxy end? What operators ask, and the answer.

use super::Policy;
use super::question::Circumstances;
use super::set::Verdict;
use crate::domain::caller::{Caller, Principal};
use crate::domain::target::Target;
use std::fmt;
use std::sync::Arc;

const BUILT_IN: &str = "builtin:local-operator";
/// The one broker that there is.
pub const BROKER: &str = "dbproxy";

/// What an operator wants to do, and on what.
#[derive(Debug, Clone, Copy)]
pub enum Operation<'a> {
    /// See the sessions of a target.
    View(&'a Target),
    /// End sessions of a target.
    Terminate(&'a Target),
    /// Have policies, certificates and the like read again.
    Reload,
    /// Have the process drain and end.
    Shutdown,
}

impl<'a> Operation<'a> {
    /// The action of policies.
    pub fn action(self) -> &'static str {
        match self {
            Self::View(_) => "view",
            Self::Terminate(_) => "terminate",
            Self::Reload => "reload",
            Self::Shutdown => "shutdown",
        }
    }

    /// `None`: the broker itself.
    pub fn target(self) -> Option<&'a Target> {
        match self {
            Self::View(target) | Self::Terminate(target) => Some(target),
            Self::Reload | Self::Shutdown => None,
        }
    }

    /// The type and id of the resource.
    pub(super) fn resource(self) -> (&'static str, &'a str) {
        match self.target() {
            Some(target) => ("Cluster", target.name.as_str()),
            None => ("Broker", BROKER),
        }
    }
}

/// As policies write it: `Action::"view" on Cluster::"orders"`.
impl fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, id) = self.resource();
        write!(f, "Action::\"{}\" on {kind}::\"{id}\"", self.action())
    }
}

/// Why an operator may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperatorDenial {
    #[error("{caller} may not do {operation}: no policy permits it")]
    NotPermitted { caller: String, operation: String },
    #[error("{caller} may not do {operation}: forbidden by {}", .by.join(", "))]
    Forbidden {
        caller: String,
        operation: String,
        by: Vec<Arc<str>>,
    },
    #[error("policy could not be evaluated, so nobody may do {operation}: {}", .faults.join("; "))]
    Evaluation { operation: String, faults: Vec<String> },
}

impl Policy {
    /// Decides about an operator; yes comes with the policies that say so.
    pub fn may_operate(
        &self,
        operation: Operation<'_>,
        caller: &Caller,
        around: &Circumstances,
    ) -> Result<Vec<Arc<str>>, OperatorDenial> {
        let verdict = match &**self.set.load() {
            Some(set) => set.ask_operation(operation, caller, self.groups.of(&caller.principal), around),
            None => built_in(caller),
        };
        let (who, what) = (caller.to_string(), operation.to_string());
        match verdict {
            Verdict::Permit { policies, .. } => Ok(policies),
            Verdict::Deny { policies } if policies.is_empty() => Err(OperatorDenial::NotPermitted {
                caller: who,
                operation: what,
            }),
            Verdict::Deny { policies } => Err(OperatorDenial::Forbidden {
                caller: who,
                operation: what,
                by: policies,
            }),
            Verdict::Faulty { faults } => Err(OperatorDenial::Evaluation {
                operation: what,
                faults,
            }),
        }
    }
}

/// Whoever reaches the loopback address may end the process as well.
fn built_in(caller: &Caller) -> Verdict {
    match caller.principal {
        Principal::Local { .. } => Verdict::Permit {
            policies: vec![BUILT_IN.into()],
            max_session: None,
        },
        _ => Verdict::Deny { policies: Vec::new() },
    }
}

#[cfg(test)]
mod tests;
