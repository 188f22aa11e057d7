//! Failures of provisioning: 3 for a cluster that cannot be reached or trusted, 4 for one that lets nobody in, else 1.

use crate::app::provision::cluster::PlanError;
use crate::cli::exit::Failure;
use crate::domain::reason::CloseReason;
use crate::error::Chain;
use crate::provision::apply::ApplyError;
use crate::provision::inspect::InspectError;
use crate::provision::session::SessionError;
use crate::provision::sessions::EndError;
use std::error::Error;

/// By the door that did not open, if it was that.
fn of(error: &dyn Error, door: Option<&SessionError>, remedy: Option<String>) -> Failure {
    let (code, hint) = match door {
        Some(SessionError::Open(closed)) => {
            let refusal = &closed.refusal;
            let code = match refusal.reason {
                CloseReason::Unreachable | CloseReason::TlsNotVerified => 3,
                _ => 4,
            };
            let hint = refusal.hint.clone().map(|hint| match code {
                4 => format!(
                    "{hint} Where nobody has made the provisioner yet: dbproxy bootstrap --as MASTER_USER"
                ),
                _ => hint,
            });
            (code, hint)
        }
        Some(SessionError::SetUp(fault)) => (1, fault.remedy().map(str::to_owned)),
        None => (1, None),
    };
    let mut failure = Failure::text(code, Chain(error).to_string());
    failure.hint = remedy.or(hint);
    failure
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        let door = match &error {
            PlanError::Inspect(InspectError::Session(door)) => Some(door),
            _ => None,
        };
        of(&error, door, None)
    }
}

/// For a judgement there is one code for all that was in the way of looking: 1.
impl From<InspectError> for Failure {
    fn from(error: InspectError) -> Self {
        let mut failure = Self::text(1, Chain(&error).to_string());
        failure.hint = match &error {
            InspectError::Session(SessionError::Open(closed)) => closed.refusal.hint.clone(),
            InspectError::Session(SessionError::SetUp(fault)) | InspectError::Failed { fault, .. } => {
                fault.remedy().map(str::to_owned)
            }
            _ => None,
        };
        failure
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        let door = match &error {
            ApplyError::NotBegun(door) => Some(door),
            ApplyError::Place { source, .. } => Some(source),
            ApplyError::LockedOut { source, .. } => Some(&**source),
            _ => None,
        };
        of(&error, door, error.remedy())
    }
}

impl From<EndError> for Failure {
    fn from(error: EndError) -> Self {
        let (door, remedy) = match &error {
            EndError::Session(door) => (Some(door), None),
            EndError::Failed { fault, .. } => (None, fault.remedy().map(str::to_owned)),
        };
        of(&error, door, remedy)
    }
}
