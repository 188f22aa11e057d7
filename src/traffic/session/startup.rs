//! From accept to a startup message: TLS where asked for, GSS refused, the cancel side door.
//!
//! Reads are exact, so no byte that arrived in clear is ever taken for one that arrived inside TLS
//! (the class of CVE-2021-23214): what is there before an SSLRequest was answered is refused, and what
//! comes later becomes the start of a TLS handshake, and fails as such.

use super::arrive::arrive;
use super::cancel::CancelRequest;
use super::refuse::{Refused, Turned};
use super::sources::{Entry, Standing};
use super::{Accepted, Door, Shared};
use crate::access::audit::{Origin, Record};
use crate::access::identity::Peer;
use crate::domain::reason::CloseReason;
use crate::error::{Chain, Refusal, SqlState};
use crate::platform::task::Shutdown;
use crate::platform::tls::ALPN;
use crate::platform::tls::stream::ClientStream;
use crate::platform::wire::options::settings;
use crate::platform::wire::proxy_header::ProxyHeaderError;
use crate::platform::wire::startup::{
    GRANTED, NOT_GRANTED, Opening, OpeningError, StartupMessage, body_length, parse,
};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsAcceptor;

/// First byte of a TLS handshake record: the client begins TLS without asking (PostgreSQL 17).
const TLS_HANDSHAKE: u8 = 0x16;
/// How long an opening may take once dbproxy drains: long enough for a cancel.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);

/// How long a source that has too many connections already may take for its opening.
const CROWD_PATIENCE: Duration = Duration::from_secs(5);

/// What an opening leads to.
pub enum Opened {
    Session(Box<Started>),
    Cancel(CancelRequest),
}

/// The startup message was read; the record is open.
#[derive(Debug)]
pub struct Started {
    pub stream: ClientStream,
    pub startup: StartupMessage,
    pub peer: Peer,
    pub door: Arc<Door>,
    pub record: Record,
    pub place: Place,
    pub began: Instant,
}

/// What a session takes from the limits, for as long as it lives.
#[derive(Debug)]
pub struct Place {
    _of_all: OwnedSemaphorePermit,
    _of_source: Entry,
}

/// Reads the opening packets, at latest until `deadline`; while dbproxy drains, not much longer.
pub async fn open(shared: &Shared, accepted: Accepted, deadline: Instant) -> Result<Opened, Refused> {
    let Accepted {
        mut stream,
        peer,
        mut origin,
        door,
        place,
    } = accepted;
    let began = Instant::now();
    let shutdown = &shared.shutdown;
    let arrival = in_time(shutdown, deadline, arrive(&mut stream, peer, &door)).await;
    let arrival = arrival.map_err(|fault| fault.refused(&origin))?;
    origin.source = arrival.source.unwrap_or(origin.source);
    let entry = shared.sources.enter(arrival.counted);
    let deadline = match entry.standing {
        Standing::Within => deadline,
        Standing::Over => began
            .checked_add(CROWD_PATIENCE)
            .map_or(deadline, |d| d.min(deadline)),
        Standing::FarOver => return Err(silently(CloseReason::TooManyConnections, &origin)),
    };
    let opener = Opener {
        stream,
        door: door.clone(),
    };
    let (stream, opening) = in_time(shutdown, deadline, opener.negotiate())
        .await
        .map_err(|fault| fault.refused(&origin))?;
    match opening {
        Opening::Startup(startup) => {
            let mut record = Record::open(&origin, stream.is_tls());
            let user = startup.parameter("user").unwrap_or_default();
            record.asked_for(user, startup.parameter("database").unwrap_or(user));
            record.begins_as(role_of(&startup).as_deref());
            record.server_name(stream.server_name().or(arrival.server_name.as_deref()));
            match admit(shutdown, &door, &stream, place, entry) {
                Ok(place) => Ok(Opened::Session(Box::new(Started {
                    stream,
                    startup,
                    peer: arrival.peer,
                    door,
                    record,
                    place,
                    began,
                }))),
                Err(refusal) => Err(Refused::told(stream, record, refusal)),
            }
        }
        Opening::Cancel(key) => Ok(Opened::Cancel(CancelRequest { stream, key })),
        // negotiate() returns neither of the two.
        Opening::Ssl | Opening::Gss => Err(silently(CloseReason::ProtocolViolation, &origin)),
    }
}

/// `role` or `session_authorization`, by `options` or by a parameter of its own, which the server reads
/// last.
fn role_of(startup: &StartupMessage) -> Option<Vec<u8>> {
    let is_role = |name: &[u8]| {
        [&b"role"[..], b"session_authorization"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    };
    let options = settings(startup.parameter("options").unwrap_or_default());
    let mut by_options = options.into_iter().filter(|setting| is_role(&setting.name));
    let by_parameter = startup.parameters().filter(|(name, _)| is_role(name));
    let last = by_parameter.last().map(|(_, value)| value.to_vec());
    last.or_else(|| by_options.next_back().map(|setting| setting.value))
}

/// The limits and rules that hold before it matters who the caller is.
fn admit(
    shutdown: &Shutdown,
    door: &Door,
    stream: &ClientStream,
    place: Option<OwnedSemaphorePermit>,
    entry: Entry,
) -> Result<Place, Refusal> {
    // A unix socket needs no TLS, and libpq does not offer it there.
    let in_clear = matches!(stream, ClientStream::Tcp(_));
    match place {
        Some(_) if shutdown.drain.is_cancelled() => Err(shutting_down()),
        Some(_) if door.tls_required && in_clear => Err(tls_required()),
        Some(_) if entry.standing != Standing::Within => Err(no_place_for_source()),
        Some(place) => Ok(Place {
            _of_all: place,
            _of_source: entry,
        }),
        None => Err(no_place()),
    }
}

/// The result of `work`, or why it was not waited for.
async fn in_time<T>(
    shutdown: &Shutdown,
    deadline: Instant,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let drained = async {
        shutdown.drain.cancelled().await;
        sleep(DRAIN_PATIENCE).await;
    };
    tokio::select! {
        outcome = timeout_at(deadline, work) => outcome.unwrap_or(Err(Fault::Late)),
        () = drained => Err(Fault::Drained),
    }
}

/// Closing without a word leaves no trace at the other end, so one is left here.
fn silently(reason: CloseReason, origin: &Origin) -> Refused {
    tracing::debug!(source = origin.source, listener = origin.listener, %reason, "connection closed before startup");
    Refused::Silently(reason)
}

/// What a client is told when its session ends, or does not begin, because dbproxy ends.
pub fn shutting_down() -> Refusal {
    Refusal::new(
        CloseReason::Shutdown,
        SqlState::ADMIN_SHUTDOWN,
        "terminating connection because dbproxy is shutting down",
    )
    .hint("Connect again.")
}

fn no_place() -> Refusal {
    Refusal::new(
        CloseReason::TooManyConnections,
        SqlState::TOO_MANY_CONNECTIONS,
        "dbproxy has reached its limit of client connections",
    )
    .hint("Close idle connections, or raise `max_clients` in dbproxy's configuration.")
}

fn no_place_for_source() -> Refusal {
    Refusal::new(
        CloseReason::TooManyConnections,
        SqlState::TOO_MANY_CONNECTIONS,
        "too many connections from your address",
    )
    .hint("Close idle connections, or raise `max_clients_per_source` in dbproxy's configuration.")
}

fn tls_required() -> Refusal {
    Refusal::new(
        CloseReason::ClientTls,
        SqlState::INVALID_AUTHORIZATION,
        "this listener accepts TLS connections only",
    )
    .hint("Connect with sslmode=require or stronger.")
}

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
    fn refused(self, origin: &Origin) -> Refused {
        match self {
            Self::Probe => Refused::Silently(CloseReason::Probe),
            Self::Lost => silently(CloseReason::ClientLost, origin),
            Self::Late => silently(CloseReason::StartupTimeout, origin),
            Self::Drained => silently(CloseReason::Shutdown, origin),
            Self::NotABalancer => silently(CloseReason::ProxyHeader, origin),
            Self::ProxyHeader(error) => {
                // From a configured address: somebody has to mend a configuration.
                tracing::warn!(
                    source = origin.source,
                    listener = origin.listener,
                    %error,
                    "no valid PROXY protocol v2 header from a load balancer"
                );
                Refused::Silently(CloseReason::ProxyHeader)
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

struct Opener {
    stream: ClientStream,
    door: Arc<Door>,
}

impl Opener {
    /// Answers encryption requests (each at most once) until the real opening packet is there.
    async fn negotiate(self) -> Result<(ClientStream, Opening), Fault> {
        let mut this = self.accept_direct_tls().await?;
        let (mut ssl_asked, mut gss_asked) = (this.stream.is_tls(), this.stream.is_tls());
        let mut first = true;
        loop {
            let opening = match this.read_opening(first).await? {
                Ok(opening) => opening,
                Err(error) => return Err(Fault::Told(this.stream, error)),
            };
            first = false;
            match opening {
                Opening::Ssl if !ssl_asked => {
                    ssl_asked = true;
                    this = this.answer_ssl_request().await?;
                    gss_asked |= this.stream.is_tls();
                }
                Opening::Gss if !gss_asked => {
                    gss_asked = true;
                    this = this.refuse_early_bytes()?;
                    this.answer(NOT_GRANTED).await?;
                }
                Opening::Ssl | Opening::Gss => {
                    let error = OpeningError::Malformed("encryption was asked for twice");
                    return Err(Fault::Told(this.stream, error));
                }
                done => return Ok((this.stream, done)),
            }
        }
    }

    /// One packet, read to its last byte and no further.
    async fn read_opening(&mut self, first: bool) -> Result<Result<Opening, OpeningError>, Fault> {
        let mut header = [0; 4];
        match self.stream.read_exact(&mut header).await {
            Ok(_) => {}
            Err(error) if first && error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Fault::Probe);
            }
            Err(_) => return Err(Fault::Lost),
        }
        // A length that cannot be is not PostgreSQL at all: HTTP, a scan, a wrong port.
        let length = body_length(header).map_err(|_| Fault::Garbage)?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.map_err(|_| Fault::Lost)?;
        Ok(parse(&body))
    }

    /// Bytes that are here before the request was answered were sent in clear by somebody who did not
    /// wait for the answer, and must not count as sent inside the encryption (CVE-2021-23214).
    fn refuse_early_bytes(self) -> Result<Self, Fault> {
        match self.stream.has_unread() {
            false => Ok(self),
            true => Err(Fault::Told(self.stream, OpeningError::EarlyBytes)),
        }
    }

    async fn answer_ssl_request(self) -> Result<Self, Fault> {
        let mut this = self.refuse_early_bytes()?;
        match (this.acceptor(), &this.stream) {
            (Some(acceptor), ClientStream::Tcp(_)) => {
                this.answer(GRANTED).await?;
                this.start_tls(acceptor, false).await
            }
            _ => {
                this.answer(NOT_GRANTED).await?;
                Ok(this)
            }
        }
    }

    /// A client may begin with a TLS handshake; it must then say `postgresql` by ALPN, so that a
    /// client of another protocol cannot be led here.
    async fn accept_direct_tls(self) -> Result<Self, Fault> {
        let ClientStream::Tcp(tcp) = &self.stream else {
            return Ok(self);
        };
        let mut first = [0; 1];
        match tcp.peek(&mut first).await {
            Ok(0) | Err(_) => Err(Fault::Probe),
            Ok(_) if first == [TLS_HANDSHAKE] => match self.acceptor() {
                Some(acceptor) => self.start_tls(acceptor, true).await,
                None => Err(Fault::ClientTls(
                    "no certificate is configured for clients".to_owned(),
                )),
            },
            Ok(_) => Ok(self),
        }
    }

    async fn start_tls(self, acceptor: TlsAcceptor, direct: bool) -> Result<Self, Fault> {
        let ClientStream::Tcp(tcp) = self.stream else {
            return Err(Fault::ClientTls("TLS is for TCP only".to_owned()));
        };
        let stream = acceptor
            .accept(tcp)
            .await
            .map_err(|error| Fault::ClientTls(Chain(&error).to_string()))?;
        if direct && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            return Err(Fault::ClientTls(
                "direct TLS without ALPN `postgresql`".to_owned(),
            ));
        }
        Ok(Self {
            stream: ClientStream::Tls(Box::new(stream)),
            door: self.door,
        })
    }

    fn acceptor(&self) -> Option<TlsAcceptor> {
        let identity = self.door.tls.as_ref()?;
        Some(TlsAcceptor::from(identity.current()))
    }

    async fn answer(&mut self, byte: u8) -> Result<(), Fault> {
        self.stream.write_all(&[byte]).await.map_err(|_| Fault::Lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_that_a_session_begins_with_is_seen() {
        let role = |parameters: &[(&str, &str)]| {
            role_of(&StartupMessage::new(parameters.iter().copied()))
                .map(|role| String::from_utf8(role).unwrap())
        };
        assert_eq!(role(&[("user", "app")]), None);
        let options = ("options", "-c role=one -c Session-Authorization=two");
        assert_eq!(role(&[options]).as_deref(), Some("two"));
        assert_eq!(role(&[("ROLE", "three"), options]).as_deref(), Some("three"));
    }
}
