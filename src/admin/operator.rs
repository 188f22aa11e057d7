//! Who speaks to the admin address, and what policy says to that.

use super::Handles;
use super::answer::{Answer, refuse};
use crate::access::audit::sink::SinkError;
use crate::access::audit::{Asked, By, Decided};
use crate::access::policy::{Circumstances, Operation, OperatorDenial};
use crate::domain::caller::Caller;
use crate::error::Chain;
use crate::platform::task::aside;
use axum::http::StatusCode;
use std::net::SocketAddr;
use std::sync::Arc;

/// Whoever reaches the loopback address.
#[derive(Debug, Clone)]
pub struct Operator {
    caller: Caller,
    source: SocketAddr,
}

impl Operator {
    pub fn at(source: SocketAddr) -> Self {
        Self {
            caller: Caller::local(None),
            source,
        }
    }

    /// Asks policy. A set that cannot be evaluated permits nothing.
    pub fn may(&self, handles: &Handles, operation: Operation<'_>) -> Result<Vec<Arc<str>>, OperatorDenial> {
        let around = Circumstances {
            source: Some(self.source.ip()),
            tls: false,
            now: handles.shared.clock.now(),
            application: String::new(),
            listener: handles.listener.clone(),
        };
        handles
            .shared
            .policy
            .may_operate(operation, &self.caller, &around)
    }

    /// Asks about the broker itself: what is to be recorded, and why not. `None`: policy could not be asked.
    pub async fn decide(
        &self,
        handles: &Handles,
        operation: Operation<'static>,
    ) -> Option<(Decided, Option<String>)> {
        let (operator, handles) = (self.clone(), handles.clone());
        Some(match aside(move || operator.may(&handles, operation)).await? {
            Ok(policies) => (Decided::Yes(policies), None),
            Err(denial) => {
                let because = denial.to_string();
                (Decided::No(because.clone()), Some(because))
            }
        })
    }

    /// For the record of what was done.
    pub fn by(&self) -> By {
        By::Operator {
            operator: self.caller.clone(),
            source: self.source.to_string(),
        }
    }

    /// For the record.
    pub fn asked(&self, decided: Decided) -> Asked<'_> {
        Asked {
            operator: &self.caller,
            source: self.source.to_string(),
            decided,
        }
    }
}

/// Where lines are required, nothing is done without one.
pub fn not_recorded(error: &SinkError) -> Answer {
    tracing::error!(error = %Chain(error), "an operator's request was not done, because its audit line is required");
    refuse(
        StatusCode::SERVICE_UNAVAILABLE,
        "the record of this request could not be written, and nothing may be done without; dbproxy's log says \
         which audit sink fails",
    )
}
