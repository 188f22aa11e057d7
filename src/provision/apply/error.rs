//! Why a run did not come to its end, how far it came, and what to do now.

use super::Unsure;
use crate::provision::fault::Fault;
use crate::provision::session::SessionError;
use std::fmt;

/// Why a plan was not, or not wholly, executed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("the plan takes something away, which must be allowed (--allow-destructive): {}", titles.join("; "))]
    Destructive { titles: Vec<String> },
    /// Before the first step.
    #[error("nothing was changed")]
    NotBegun(#[from] SessionError),
    #[error("nothing was changed: the lock of runs could not be asked for")]
    Lock(#[source] Fault),
    #[error("nothing was changed: another run is under way ({0}); wait for it, or end it")]
    Busy(Holder),
    #[error("nothing was changed: the cluster has moved since the plan was made; plan again")]
    Moved,
    #[error("nothing was changed: the cluster could not be looked at again")]
    Look(#[source] Unsure),
    #[error("nothing was changed: who can log in could not be read")]
    Watch(#[source] Fault),
    /// Between two places.
    #[error("step {number} ({title}) was not begun; {reached}")]
    Place {
        number: usize,
        title: String,
        reached: Reached,
        #[source]
        source: SessionError,
    },
    #[error(
        "step {number} ({title}) failed and was rolled back{}; {reached}; the statement: {statement}",
        waited(blockers)
    )]
    Step {
        number: usize,
        title: String,
        statement: String,
        /// Processes of the server that held the lock this waited for.
        blockers: Vec<i32>,
        reached: Reached,
        #[source]
        fault: Fault,
    },
    /// In a transaction, but not by a step: beginning it, looking who can log in.
    #[error("the transaction that ends with step {number} was rolled back; {reached}")]
    Transaction {
        number: usize,
        reached: Reached,
        #[source]
        fault: Fault,
    },
    #[error("whether the steps up to {number} were committed is not known; {reached}")]
    Commit {
        number: usize,
        reached: Reached,
        #[source]
        fault: Fault,
    },
    #[error("the steps up to {number} were rolled back, because {lockout}; {reached}")]
    Lockout {
        number: usize,
        lockout: Lockout,
        reached: Reached,
    },
    #[error(
        "the provisioner cannot log in any more after step {number}; {}; {reached}",
        undone(taken_back, left)
    )]
    LockedOut {
        number: usize,
        reached: Reached,
        /// Roles whose new membership in `rds_iam` was revoked again.
        taken_back: Vec<String>,
        /// Those of which it could not be.
        left: Vec<String>,
        #[source]
        source: Box<SessionError>,
    },
}

impl ApplyError {
    /// Whether the cluster is surely as it was before the run.
    pub fn has_changed_nothing(&self) -> bool {
        match self {
            Self::Destructive { .. }
            | Self::NotBegun(_)
            | Self::Lock(_)
            | Self::Busy(_)
            | Self::Moved
            | Self::Look(_)
            | Self::Watch(_) => true,
            Self::Place { reached, .. }
            | Self::Step { reached, .. }
            | Self::Transaction { reached, .. }
            | Self::Lockout { reached, .. } => reached.committed == 0,
            Self::Commit { .. } | Self::LockedOut { .. } => false,
        }
    }

    /// What mends it, beyond planning again.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Step { fault, .. } | Self::Transaction { fault, .. } | Self::Commit { fault, .. } => {
                fault.remedy().map(str::to_owned)
            }
            Self::Busy(holder) => Some(format!("To end it: SELECT pg_terminate_backend({});", holder.pid)),
            Self::LockedOut { left, .. } if !left.is_empty() => Some(format!(
                "Log in by another way and revoke: {}",
                left.iter()
                    .map(|role| format!("REVOKE rds_iam FROM {};", crate::provision::sql::identifier(role)))
                    .collect::<Vec<_>>()
                    .join(" ")
            )),
            _ => None,
        }
    }
}

/// How far a run came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Steps that are for good.
    pub committed: usize,
    pub of: usize,
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.committed {
            0 => write!(f, "no step is committed: plan again"),
            1 => write!(f, "step 1 of {} is committed: plan again", self.of),
            steps => write!(f, "steps 1 to {steps} of {} are committed: plan again", self.of),
        }
    }
}

/// Who holds the lock of runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// The server's process.
    pub pid: i32,
    /// As far as the provisioner may see them.
    pub user: Option<String>,
    pub application: Option<String>,
    pub address: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server process {}", self.pid)?;
        let known = [
            ("db user", &self.user),
            ("application", &self.application),
            ("from", &self.address),
        ];
        for (what, value) in known {
            if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
                write!(f, ", {what} {value}")?;
            }
        }
        Ok(())
    }
}

/// Who would have lost the way in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lockout {
    #[error("\"{0}\" would come to be a member of rds_iam, so its password would no longer open the way in")]
    ByIam(String),
    #[error(
        "\"{0}\" would cease to be a member of rds_iam, so its IAM tokens would no longer open the way in"
    )]
    NoIam(String),
    #[error("\"{0}\" would lose LOGIN")]
    NoLogin(String),
    #[error("\"{0}\" would be gone")]
    Gone(String),
}

fn waited(blockers: &[i32]) -> String {
    match blockers {
        [] => String::new(),
        pids => format!(", after waiting for a lock of server process {}", listed(pids)),
    }
}

fn undone(taken_back: &[String], left: &[String]) -> String {
    let quoted =
        |roles: &[String]| listed(&roles.iter().map(|role| format!("\"{role}\"")).collect::<Vec<_>>());
    match (taken_back, left) {
        ([], []) => "this run made no membership in rds_iam that could be taken back".to_owned(),
        (roles, []) => format!("rds_iam was revoked again from {}", quoted(roles)),
        ([], roles) => format!("rds_iam could not be revoked again from {}", quoted(roles)),
        (roles, others) => format!(
            "rds_iam was revoked again from {}, but not from {}",
            quoted(roles),
            quoted(others)
        ),
    }
}

fn listed<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
