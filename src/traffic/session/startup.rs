//! From accept to a startup message: TLS where asked for, GSS refused, the cancel side door.
//!
//! Reads are exact, so no byte that arrived in clear is ever taken for one that arrived inside TLS
//! (the class of CVE-2021-23214): what is there before an SSLRequest was answered is refused, and what
//! comes later becomes the start of a TLS handshake, and fails as such.

mod begins;
mod fault;
mod opener;

pub use begins::Begins;
pub use fault::Fault;

use super::arrive::arrive;
use super::cancel::CancelRequest;
use super::refuse::Refused;
use super::sources::{Entry, Standing};
use super::{Accepted, Door, Shared};
use crate::access::audit::Record;
use crate::access::identity::Peer;
use crate::domain::reason::CloseReason;
use crate::error::{Refusal, SqlState};
use crate::platform::task::Shutdown;
use crate::platform::tls::stream::ClientStream;
use crate::platform::wire::frame::FrameReader;
use crate::platform::wire::startup::{Opening, StartupMessage};
use fault::silently;
use opener::Opener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout_at};

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
    pub client: FrameReader<ClientStream>,
    pub startup: StartupMessage,
    pub begins: Begins,
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
    // Who can only be refused takes no place from others meanwhile.
    let place = place.filter(|_| entry.standing == Standing::Within);
    let opener = Opener {
        stream,
        door: door.clone(),
    };
    let (stream, opening) = in_time(shutdown, deadline, opener.negotiate())
        .await
        .map_err(|fault| fault.judged(shared, arrival.peer, &door, &origin))?;
    match opening {
        Opening::Startup(startup) => {
            let mut record = Record::open(shared.audit.clone(), &origin, stream.is_tls());
            let user = startup.parameter("user").unwrap_or_default();
            record.asked_for(user, startup.parameter("database").unwrap_or(user));
            let begins = Begins::of(&startup);
            record.begins_as(begins.instead());
            record.server_name(stream.server_name().or(arrival.server_name.as_deref()));
            match admit(shutdown, &door, &stream, place, entry) {
                Ok(place) => Ok(Opened::Session(Box::new(Started {
                    client: FrameReader::new(stream),
                    startup,
                    begins,
                    peer: arrival.peer,
                    door,
                    record,
                    place,
                    began,
                }))),
                Err(refusal) => Err(Refused::told(stream, record, refusal)),
            }
        }
        Opening::Cancel(key) => Ok(Opened::Cancel(CancelRequest {
            stream,
            key,
            of_source: entry,
        })),
        // negotiate() returns neither of the two.
        Opening::Ssl | Opening::Gss => Err(silently(CloseReason::ProtocolViolation, &origin)),
    }
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
        _ if shutdown.drain.is_cancelled() => Err(shutting_down()),
        _ if entry.standing != Standing::Within => Err(no_place_for_source()),
        Some(_) if door.tls_required && in_clear => Err(tls_required()),
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
    tokio::select! {
        outcome = timeout_at(deadline, work) => outcome.unwrap_or(Err(Fault::Late)),
        () = out_of_patience(shutdown) => Err(Fault::Drained),
    }
}

/// Resolves some moments after dbproxy began to drain: nobody whose session has not begun is waited for longer.
pub async fn out_of_patience(shutdown: &Shutdown) {
    shutdown.drain.cancelled().await;
    sleep(DRAIN_PATIENCE).await;
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

/// What a client is told when dbproxy is full.
pub fn no_place() -> Refusal {
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
