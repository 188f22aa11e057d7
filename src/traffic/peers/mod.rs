//! The other replicas behind one address. A load balancer sends a CancelRequest to any of them, and only
//! the one that relays the session can carry it out: the others hand it on, over TLS that both
//! ends have proven ([`PeerTls`]). Nothing else is shared.

mod slot;

pub use slot::{Slot, Slots};

use crate::domain::cancel_key::CancelKey;
use crate::domain::target::HostPort;
use crate::platform::telemetry::seldom::Seldom;
use crate::platform::tls::peer::PeerTls;
use crate::platform::wire::greeting::encode_cancel_request;
use bytes::BytesMut;
use rustls::pki_types::ServerName;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

/// How long a request may take once it has its turn, until the last answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a request may wait for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a replica may take to accept and prove itself: it is near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the names of the replicas may take to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// For how long resolved names are used again.
const KNOWN_FOR: Duration = Duration::from_secs(5);
/// Requests on their way to other replicas at a time; further ones wait.
const IN_FLIGHT_MAX: usize = 64;
/// Addresses that are taken from one name.
const ADDRESSES_MAX: usize = 1_024;

/// Guesses make replicas be asked.
static DEAF_REPLICAS: Seldom = Seldom::new();

/// What a replica answers, as one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The server has taken the cancel.
    Done,
    /// No session here has this key.
    Unknown,
    /// The key is known, but the cancel did not reach the server.
    Failed,
}

/// What became of a request that was to be handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandedOn {
    Answered(Answer),
    /// Too many are under way.
    Refused,
}

impl Answer {
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Done => b'D',
            Self::Unknown => b'U',
            Self::Failed => b'F',
        }
    }

    fn from_byte(byte: u8) -> Self {
        match byte {
            b'D' => Self::Done,
            b'U' => Self::Unknown,
            _ => Self::Failed,
        }
    }
}

/// The replicas of one address, and this one's place among them.
#[derive(Debug)]
pub struct Peers {
    pub tls: PeerTls,
    slots: Slots,
    own: SocketAddr,
    own_slot: Slot,
    members: Vec<HostPort>,
    /// The other members as they were resolved last. Held while they are: who asks meanwhile waits for the same.
    known: Mutex<Option<(Instant, Vec<SocketAddr>)>>,
    in_flight: Semaphore,
    warned: AtomicBool,
}

/// Why the replicas cannot work together.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    #[error("the secret cannot be used")]
    Secret(#[from] rustls::Error),
    #[error("the address at which other replicas reach this one is not known; give `advertise`")]
    OwnAddress(#[source] io::Error),
}

impl Peers {
    /// `own` is where this replica listens for the others; an unspecified address is replaced by the one
    /// that packets leave from.
    pub fn new(secret: &[u8], own: SocketAddr, members: Vec<HostPort>) -> Result<Self, PeersError> {
        let own = reachable(own).map_err(PeersError::OwnAddress)?;
        let own = SocketAddr::new(own.ip().to_canonical(), own.port());
        let slots = Slots::from_secret(secret)?;
        Ok(Self {
            tls: PeerTls::from_secret(secret)?,
            own_slot: slots.of_replica(own),
            slots,
            own,
            members,
            known: Mutex::default(),
            in_flight: Semaphore::new(IN_FLIGHT_MAX),
            warned: AtomicBool::new(false),
        })
    }

    /// Whether a key with this secret leads to this replica.
    pub fn leads_here(&self, key: &CancelKey) -> bool {
        self.slots.of_key(key) == self.own_slot
    }

    /// Asks the replicas that may have issued the key, one after another. A guess leads to none of them, mostly, and
    /// costs nothing then.
    pub async fn hand_on(&self, key: &CancelKey) -> HandedOn {
        let slot = self.slots.of_key(key);
        let mut owners = self.others().await;
        owners.retain(|address| self.slots.of_replica(*address) == slot);
        if owners.is_empty() {
            return HandedOn::Answered(Answer::Unknown);
        }
        let turn = timeout(TURN_TIMEOUT, self.in_flight.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return HandedOn::Refused;
        };
        let asking = timeout(ANSWER_TIMEOUT, self.ask_all(&owners, key));
        HandedOn::Answered(asking.await.unwrap_or(Answer::Failed))
    }

    async fn ask_all(&self, owners: &[SocketAddr], key: &CancelKey) -> Answer {
        let mut answer = Answer::Unknown;
        for address in owners {
            match self.ask(*address, key).await {
                Ok(Answer::Done) => return Answer::Done,
                Ok(Answer::Unknown) => {}
                Ok(Answer::Failed) => answer = Answer::Failed,
                Err(error) => {
                    if DEAF_REPLICAS.is_due() {
                        tracing::warn!(replica = %address, %error, "a replica did not take a cancel");
                    }
                    answer = Answer::Failed;
                }
            }
        }
        answer
    }

    /// The members but this one, resolved anew every few seconds: replicas come and go.
    async fn others(&self) -> Vec<SocketAddr> {
        let mut known = self.known.lock().await;
        match &*known {
            Some((at, others)) if at.elapsed() < KNOWN_FOR => return others.clone(),
            _ => {}
        }
        let mut found = Vec::new();
        let mut complete = true;
        for member in &self.members {
            let lookup = lookup_host((member.host.as_str(), member.port));
            match timeout(RESOLVE_TIMEOUT, lookup).await {
                Ok(Ok(addresses)) => found.extend(addresses.take(ADDRESSES_MAX)),
                Ok(Err(error)) => {
                    complete = false;
                    tracing::warn!(%member, %error, "the name of a replica does not resolve");
                }
                Err(_) => {
                    complete = false;
                    tracing::warn!(%member, "the name of a replica does not resolve in time");
                }
            }
        }
        for address in &mut found {
            address.set_ip(address.ip().to_canonical());
        }
        found.sort_unstable();
        found.dedup();
        if complete {
            self.warn_if_not_a_member(&found);
        }
        found.retain(|address| *address != self.own);
        *known = Some((Instant::now(), found.clone()));
        found
    }

    /// The others look for this replica among the members' addresses, and would never find it.
    fn warn_if_not_a_member(&self, found: &[SocketAddr]) {
        if !found.is_empty() && !found.contains(&self.own) && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                own = %self.own,
                members = ?found,
                "this replica's own address is not among `peers.members`: cancels for its sessions do not reach it \
                 by way of other replicas; set `peers.advertise` to the address that the members' names resolve to"
            );
        }
    }

    async fn ask(&self, address: SocketAddr, key: &CancelKey) -> io::Result<Answer> {
        let connecting = async {
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            let name = ServerName::IpAddress(address.ip().into());
            TlsConnector::from(self.tls.client.clone())
                .connect(name, tcp)
                .await
        };
        let mut stream = Box::pin(timeout(CONNECT_TIMEOUT, connecting)).await??;
        let mut request = BytesMut::new();
        encode_cancel_request(key, &mut request);
        stream.write_all(&request).await?;
        stream.flush().await?;
        Ok(Answer::from_byte(stream.read_u8().await?))
    }
}

/// Connecting a datagram socket sends nothing, but says which address packets would leave from.
fn reachable(own: SocketAddr) -> io::Result<SocketAddr> {
    if !own.ip().is_unspecified() {
        return Ok(own);
    }
    // Addresses for documentation (RFC 5737, RFC 3849): no host has them, the default route is asked for.
    let (any, far) = match own {
        SocketAddr::V4(_) => (
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::from(([192, 0, 2, 1], 9)),
        ),
        SocketAddr::V6(_) => (
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 9)),
        ),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(far)?;
    Ok(SocketAddr::new(socket.local_addr()?.ip(), own.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_survive_the_way_and_anything_else_is_a_failure() {
        for answer in [Answer::Done, Answer::Unknown, Answer::Failed] {
            assert_eq!(Answer::from_byte(answer.to_byte()), answer);
        }
        assert_eq!(Answer::from_byte(0), Answer::Failed);
    }

    #[test]
    fn an_address_that_was_given_is_taken() {
        let given = "10.0.0.1:6433".parse().unwrap();
        assert_eq!(reachable(given).unwrap(), given);
    }
}
