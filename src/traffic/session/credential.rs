//! With what? The credential that the permit's target asks for; nothing was sent to a server yet.

use super::Shared;
use super::authorize::Permitted;
use super::refuse::Refused;
use super::startup::shutting_down;
use crate::access::audit::Signed;
use crate::access::credential::CredentialError;
use crate::access::credential::signing::{SigningSource, source};
use crate::access::policy::Permit;
use crate::domain::credential::{Credential, Freshness};
use crate::domain::reason::CloseReason;
use crate::error::{Chain, ClientFacing, Refusal, SqlState};
use tokio::time::{Instant, timeout_at};

/// The permit has a credential to its name.
#[derive(Debug)]
pub struct Credentialed {
    pub permitted: Permitted,
    pub credential: Credential,
    pub freshness: Freshness,
}

/// Why there is none.
#[derive(Debug)]
pub enum ObtainError {
    Credential(CredentialError),
    Timeout,
    Shutdown,
}

impl ObtainError {
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Credential(error) => {
                tracing::warn!(error = %Chain(error), "no credential");
                error.refusal()
            }
            Self::Timeout => Refusal::new(
                CloseReason::CredentialUnavailable,
                SqlState::INVALID_AUTHORIZATION,
                "no credential could be had in time",
            )
            .hint("AWS answers slowly or not at all; see dbproxy's log."),
            Self::Shutdown => shutting_down(),
        }
    }
}

pub async fn credential(
    shared: &Shared,
    permitted: Permitted,
    deadline: Instant,
) -> Result<Credentialed, Refused> {
    let obtained = tokio::select! {
        obtained = obtain(shared, &permitted.permit, deadline) => obtained,
        () = shared.shutdown.end.cancelled() => Err(ObtainError::Shutdown),
    };
    match obtained {
        Ok((credential, freshness)) => {
            let mut permitted = permitted;
            permitted
                .started
                .record
                .signed(signed(&permitted.permit, &credential));
            Ok(Credentialed {
                permitted,
                credential,
                freshness,
            })
        }
        Err(error) => {
            let started = permitted.started;
            Err(Refused::told(
                started.client.into_stream(),
                started.record,
                error.refusal(),
            ))
        }
    }
}

fn signed(permit: &Permit, credential: &Credential) -> Signed {
    let key_id = match credential {
        Credential::AuthToken(token) => Some(token.key_id.clone()),
        _ => None,
    };
    match source(permit) {
        Ok(SigningSource::Role(call)) => Signed {
            key_id,
            role_arn: Some(call.role_arn),
            source_identity: call.source_identity,
        },
        _ => Signed {
            key_id,
            ..Signed::default()
        },
    }
}

/// The credential of `permit`, at latest at `deadline`.
pub async fn obtain(
    shared: &Shared,
    permit: &Permit,
    deadline: Instant,
) -> Result<(Credential, Freshness), ObtainError> {
    timeout_at(deadline, shared.credentials.obtain(permit))
        .await
        .map_err(|_| ObtainError::Timeout)?
        .map_err(ObtainError::Credential)
}
