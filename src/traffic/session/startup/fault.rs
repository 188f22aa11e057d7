//! Why no startup message came about, and what becomes of the connection then.

use crate::access::audit::Origin;
use crate::domain::reason::CloseReason;
use crate::error::{Refusal, SqlState};
use crate::platform::telemetry::seldom::Seldom;
use crate::platform::tls::stream::ClientStream;
use crate::platform::wire::proxy_header::ProxyHeaderError;
use crate::platform::wire::startup::OpeningError;
use crate::traffic::session::refuse::{Refused, Turned};

/// A network of load balancers may hold others who send anything.
static BAD_HEADERS: Seldom = Seldom::new();

/// Why an opening failed.
pub enum Fault {
    /// Connected and left again without a byte: a load balancer's check or a port scan.
    Probe,
    Lost,
    Late,
    /// dbproxy ends before the opening did.
    Drained,
    /// The listener is for load balancers, and this is none of them.
    NotABalancer,
    ProxyHeader(ProxyHeaderError),
    /// Not PostgreSQL: answering would only confuse.
    Garbage,
    /// Why its handshake failed.
    ClientTls(String),
    /// Answered with an error: the peer speaks PostgreSQL.
    Told(ClientStream, OpeningError),
}

impl Fault {
    pub fn refused(self, origin: &Origin) -> Refused {
        match self {
            Self::Probe => Refused::Silently(CloseReason::Probe),
            Self::Lost => silently(CloseReason::ClientLost, origin),
            Self::Late => silently(CloseReason::StartupTimeout, origin),
            Self::Drained => silently(CloseReason::Shutdown, origin),
            Self::NotABalancer => silently(CloseReason::ProxyHeader, origin),
            Self::ProxyHeader(error) => {
                // From a configured address: somebody has to mend a configuration.
                if BAD_HEADERS.is_due() {
                    tracing::warn!(
                        source = origin.source,
                        listener = origin.listener,
                        %error,
                        "no valid PROXY protocol v2 header from a load balancer; further ones are counted"
                    );
                }
                silently(CloseReason::ProxyHeader, origin)
            }
            Self::Garbage => silently(CloseReason::ProtocolViolation, origin),
            Self::ClientTls(error) => {
                tracing::info!(
                    source = origin.source,
                    listener = origin.listener,
                    error,
                    "TLS handshake with a client failed"
                );
                Refused::Silently(CloseReason::ClientTls)
            }
            Self::Told(stream, error) => {
                let state = match error {
                    OpeningError::Version { .. } => SqlState::FEATURE_NOT_SUPPORTED,
                    _ => SqlState::PROTOCOL_VIOLATION,
                };
                Refused::Told(Box::new(Turned {
                    stream,
                    refusal: Refusal::new(CloseReason::ProtocolViolation, state, error.to_string()),
                    session: origin.session,
                    record: None,
                }))
            }
        }
    }
}

/// Closing without a word leaves no trace at the other end, so one is left here.
pub fn silently(reason: CloseReason, origin: &Origin) -> Refused {
    tracing::debug!(source = origin.source, listener = origin.listener, %reason, "connection closed before startup");
    Refused::Silently(reason)
}
