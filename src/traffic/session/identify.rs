//! Who is it? The listener's authenticators decide, in their order; the first that fits counts.
//!
//! What the connection itself shows (where it comes from, a certificate) is looked at up to the first that asks the
//! client for a proof. It is asked for one alone: the protocol has no second try.

mod exchange;

use super::callers::Seat;
use super::refuse::Refused;
use super::startup::{Started, out_of_patience, shutting_down};
use super::{Door, Shared};
use crate::access::identity::{Authenticator, IdentityError, Peer, ProofError};
use crate::domain::caller::{Caller, Principal};
use crate::domain::reason::CloseReason;
use crate::error::{ClientFacing, Refusal, SqlState};
use crate::platform::tls::stream::ClientStream;
use crate::platform::wire::frame::FrameError;
use exchange::Exchange;
use std::net::IpAddr;
use tokio::time::{Instant, timeout_at};

/// The caller is proven, and has not too many sessions.
#[derive(Debug)]
pub struct Identified {
    pub started: Started,
    pub caller: Caller,
    pub seat: Seat,
}

/// Why nobody was identified.
#[derive(Debug)]
enum Failure {
    /// The peer is not what `local` takes, and nothing else is accepted.
    Local(IdentityError),
    Proof(ProofError),
    Client(FrameError),
    Late,
    Shutdown,
}

impl From<ProofError> for Failure {
    fn from(error: ProofError) -> Self {
        Self::Proof(error)
    }
}

pub async fn identify(
    shared: &Shared,
    mut started: Started,
    deadline: Instant,
) -> Result<Identified, Refused> {
    match prove(shared, &mut started, deadline).await {
        Ok(caller) => {
            started.record.identified(&caller);
            leave_out_the_name(&mut started, &caller);
            match shared.callers.enter(&caller.principal, Instant::now()) {
                Ok(seat) => Ok(Identified {
                    started,
                    caller,
                    seat,
                }),
                Err(over) => Err(Refused::told(
                    started.client.into_stream(),
                    started.record,
                    over.refusal(&caller.principal),
                )),
            }
        }
        Err(failure) => {
            let refusal = failure.refusal();
            if let Failure::Proof(error) = &failure {
                started.record.denied_because(error.because());
            }
            Err(Refused::told(
                started.client.into_stream(),
                started.record,
                refusal,
            ))
        }
    }
}

/// `jane/app_rw`: the caller `jane`, who wants to be the db user `app_rw`. PostgreSQL's protocol has one field for both.
fn leave_out_the_name(started: &mut Started, caller: &Caller) {
    let Principal::Password { name } = &caller.principal else {
        return;
    };
    let sent = started.startup.parameter("user").unwrap_or_default();
    let sent = String::from_utf8_lossy(sent).into_owned();
    let Some(wanted) = sent.strip_prefix(name).and_then(|rest| rest.strip_prefix('/')) else {
        return;
    };
    started.startup.set("user", wanted);
    // libpq names the database like the user when its user names none.
    if started.startup.parameter("database") == Some(sent.as_bytes()) {
        started.startup.set("database", wanted);
    }
    let database = started.startup.parameter("database").unwrap_or(wanted.as_bytes());
    started.record.asked_for(wanted.as_bytes(), database);
}

async fn prove(shared: &Shared, started: &mut Started, deadline: Instant) -> Result<Caller, Failure> {
    let authenticators = started.door.authenticators.clone();
    if let Some(caller) = by_connection(shared, started, &authenticators)? {
        return Ok(caller);
    }
    let source = address_of(started.peer, &started.door)?;
    let is_locked = || is_locked(shared, source);
    if is_locked() {
        return Err(ProofError::Locked.into());
    }
    if !is_private(started.client.stream(), started.peer) {
        return Err(ProofError::InClear.into());
    }
    let user = started.startup.parameter("user").unwrap_or_default();
    let exchange = Exchange {
        identity: &shared.identity,
        authenticators: &authenticators,
        user: String::from_utf8_lossy(user).into_owned(),
        is_locked: &is_locked,
        client: &mut started.client,
    };
    let proven = tokio::select! {
        proven = timeout_at(deadline, exchange.run()) => proven.unwrap_or(Err(Failure::Late)),
        () = out_of_patience(&shared.shutdown) => Err(Failure::Shutdown),
    };
    remember(shared, source, &proven);
    proven
}

/// What the connection itself shows, as far as it comes before anything that is asked for; nothing: ask.
fn by_connection(
    shared: &Shared,
    started: &Started,
    authenticators: &[Authenticator],
) -> Result<Option<Caller>, Failure> {
    let mut failure = Failure::Proof(ProofError::Nothing);
    for authenticator in authenticators {
        match authenticator {
            Authenticator::Local => match shared.identity.local.identify(started.peer) {
                Ok(caller) => return Ok(Some(caller)),
                Err(error) if authenticators.len() == 1 => failure = Failure::Local(error),
                Err(_) => {}
            },
            Authenticator::Mtls => {
                if let Some(certificate) = started.client.stream().peer_certificate() {
                    return Ok(Some(shared.identity.by_certificate(certificate)?));
                }
            }
            // Everybody can be asked, so what stands behind it never counts.
            _ => return Ok(None),
        }
    }
    Err(failure)
}

/// Guessers have to wait, before anything is computed for them.
fn is_locked(shared: &Shared, source: Option<IpAddr>) -> bool {
    let now = shared.clock.now();
    source.is_some_and(|source| shared.lockout.is_locked(source, now))
}

fn remember(shared: &Shared, source: Option<IpAddr>, proven: &Result<Caller, Failure>) {
    if let Err(Failure::Proof(error)) = proven
        && error.is_a_guess()
    {
        guessed(shared, source);
    }
}

/// Counts a wrong proof.
pub fn guessed(shared: &Shared, source: Option<IpAddr>) {
    if let Some(source) = source
        && shared.lockout.failed(source, shared.clock.now())
    {
        tracing::warn!(%source, "too many proofs failed; this address is refused for a minute");
    }
}

/// Whose failures count together. A balancer's own address stands for everybody behind it: one who guesses would
/// lock out all, so where it does not name the client nothing is asked.
pub fn address_of(peer: Peer, door: &Door) -> Result<Option<IpAddr>, ProofError> {
    match peer {
        Peer::Ip(address) if door.balancers.is_empty() => Ok(Some(address)),
        Peer::Proxied {
            client: Some(client), ..
        } => Ok(Some(client)),
        Peer::Ip(_) | Peer::Proxied { client: None, .. } => Err(ProofError::NoAddress),
        Peer::Unix { .. } => Ok(None),
    }
}

/// Nobody in between can read what the client sends.
fn is_private(stream: &ClientStream, peer: Peer) -> bool {
    match peer {
        Peer::Unix { .. } => true,
        Peer::Ip(address) => stream.is_tls() || address.to_canonical().is_loopback(),
        // How the client reached the balancer is not known; inside this machine it does not matter.
        Peer::Proxied { client, balancer } => {
            let is_local = |address: IpAddr| address.to_canonical().is_loopback();
            stream.is_tls() || (client.is_some_and(is_local) && is_local(balancer))
        }
    }
}

impl Failure {
    fn refusal(&self) -> Refusal {
        match self {
            Self::Local(error) => error.refusal(),
            Self::Proof(error) => error.refusal(),
            Self::Client(fault @ (FrameError::TooLong { .. } | FrameError::BadLength { .. })) => {
                Refusal::new(
                    CloseReason::ProtocolViolation,
                    SqlState::PROTOCOL_VIOLATION,
                    format!("during the authentication: {fault}"),
                )
            }
            Self::Client(_) => Refusal::new(
                CloseReason::ClientLost,
                SqlState::PROTOCOL_VIOLATION,
                "the client left during the authentication",
            ),
            Self::Late => Refusal::new(
                CloseReason::StartupTimeout,
                SqlState::INVALID_AUTHORIZATION,
                "no proof of identity came in time",
            )
            .hint("The client was asked for a password and sent none; see `startup_timeout`."),
            Self::Shutdown => shutting_down(),
        }
    }
}
