//! Why no startup message came about, and what becomes of the connection then.

use crate::access::audit::{Origin, Record};
use crate::access::identity::Peer;
use crate::domain::reason::CloseReason;
use crate::error::{Refusal, SqlState};
use crate::platform::telemetry::seldom::Seldom;
use crate::platform::tls::server::RefusedCertificate;
use crate::platform::tls::stream::ClientStream;
use crate::platform::wire::proxy_header::ProxyHeaderError;
use crate::platform::wire::startup::OpeningError;
use crate::traffic::session::identify::{address_of, guessed};
use crate::traffic::session::refuse::{Refused, Turned};
use crate::traffic::session::{Door, Shared};

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
    /// The client has presented this one, and why it was refused.
    Certificate(RefusedCertificate, String),
    /// Answered with an error: the peer speaks PostgreSQL.
    Told(ClientStream, OpeningError),
}

impl Fault {
    /// What the client offered as a proof is on record, and counts as a guess of its address; what only failed is
    /// counted.
    pub fn judged(self, shared: &Shared, peer: Peer, door: &Door, origin: &Origin) -> Refused {
        let Self::Certificate(certificate, because) = &self else {
            return self.refused(origin);
        };
        guessed(shared, address_of(peer, door).ok().flatten());
        let mut record = Record::open(shared.audit.clone(), origin, false);
        record.denied_because(format!("the client's certificate was refused: {because}"));
        let certificate = certificate.clone();
        // For its line in the log.
        self.refused(origin);
        Refused::InTls(Box::new(record), certificate)
    }

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
            Self::ClientTls(error) | Self::Certificate(_, error) => {
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
