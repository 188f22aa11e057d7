//! Bound addresses: accepts, counts, hands each socket to a session on a data-path thread.

mod peers;
mod unix;

pub use peers::PeerListener;

use crate::access::audit::Origin;
use crate::access::identity::Peer;
use crate::domain::session_id::SessionId;
use crate::platform::task::Shutdown;
use crate::platform::task::workers::Workers;
use crate::platform::tls::stream::ClientStream;
use crate::platform::wire::error::encode_refusal;
use crate::traffic::session::startup::no_place;
use crate::traffic::session::{self, Accepted, Door, Shared};
use crate::traffic::upstream::dial::prepare;
use aws_lc_rs::rand;
use bytes::BytesMut;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::net::{Shutdown as Closing, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;
use unix::BoundSocket;

/// Connections waiting to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 1024;
/// Pause after a failed accept, which mostly means that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where clients connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    Tcp(SocketAddr),
    /// `<dir>/.s.PGSQL.<port>`, the name that libpq looks for.
    Unix {
        dir: PathBuf,
        port: u16,
    },
}

impl Address {
    /// Only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix { .. } => true,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { dir, port } => write!(f, "unix:{}:{port}", dir.display()),
        }
    }
}

/// Why an address could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    pub address: Address,
    source: io::Error,
}

/// A bound address; clients queue in the kernel until [`Listener::run`].
#[derive(Debug)]
pub struct Listener {
    address: Address,
    socket: Bound,
    door: Arc<Door>,
}

#[derive(Debug)]
enum Bound {
    Tcp(TcpListener),
    Unix(BoundSocket),
}

/// What all listeners share.
#[derive(Debug, Clone)]
pub struct Gate {
    pub shared: Arc<Shared>,
    pub workers: Arc<Workers>,
    places: Arc<Semaphore>,
    /// Bounds everything, also those who are only told that there is no place.
    sockets: Arc<Semaphore>,
}

impl Gate {
    /// `turned_away_max` clients beyond the limit may be told at a time that there is no place.
    pub fn new(
        shared: Arc<Shared>,
        workers: Arc<Workers>,
        max_clients: usize,
        turned_away_max: usize,
    ) -> Self {
        let all = max_clients.saturating_add(turned_away_max);
        Self {
            shared,
            workers,
            places: Arc::new(Semaphore::new(max_clients.min(Semaphore::MAX_PERMITS))),
            sockets: Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS))),
        }
    }
}

impl Listener {
    /// Binds within the runtime that will accept.
    pub fn bind(address: Address, door: Arc<Door>) -> Result<Self, BindError> {
        let bound = match &address {
            Address::Tcp(address) => bind_tcp(*address).map(Bound::Tcp),
            Address::Unix { dir, port } => BoundSocket::bind(dir, *port, door.shared_socket).map(Bound::Unix),
        };
        match bound {
            Ok(Bound::Tcp(listener)) => Ok(Self {
                // With port 0 the kernel chose one.
                address: listener.local_addr().map_or(address, Address::Tcp),
                socket: Bound::Tcp(listener),
                door,
            }),
            Ok(socket) => Ok(Self {
                address,
                socket,
                door,
            }),
            Err(source) => Err(BindError { address, source }),
        }
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    pub fn door(&self) -> &Door {
        &self.door
    }

    /// Accepts until the end. While sessions drain, cancels must still get in; new sessions are refused
    /// by name.
    pub async fn run(self, gate: Gate, shutdown: Shutdown) {
        let listener = self.address.to_string();
        loop {
            let accepted = tokio::select! {
                () = shutdown.end.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((socket, source)) => self.admit(socket, source, &listener, &gate),
                Err(error) => {
                    tracing::warn!(listener, %error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, socket: Handed, source: Source, listener: &str, gate: &Gate) {
        let Ok(held) = gate.sockets.clone().try_acquire_owned() else {
            gate.shared.metrics.connection_dropped();
            tracing::debug!(listener, source = source.name, "connection refused: far too many");
            socket.say_no_place();
            return;
        };
        let mut bits = [0; 8];
        // Ids need not be secret; should the system give no randomness they are merely not unique.
        let _ = rand::fill(&mut bits);
        let origin = Origin {
            session: SessionId::from_random(u64::from_ne_bytes(bits)),
            source: source.name,
            listener: listener.to_owned(),
            target: self.door.target.name().to_string(),
        };
        let place = gate.places.clone().try_acquire_owned().ok();
        let (door, shared) = (self.door.clone(), gate.shared.clone());
        let draining = shared.shutdown.drain.is_cancelled();
        let work = async move {
            let _held = held;
            // Registered with the thread's own reactor, so both sockets of a session wake it.
            match socket.adopt(shared.config.tcp_user_timeout) {
                Ok(stream) => {
                    let accepted = Accepted {
                        stream,
                        peer: source.peer,
                        origin,
                        door,
                        place,
                    };
                    session::run(shared, accepted).await;
                }
                Err(error) => tracing::debug!(%error, "accepted socket is unusable"),
            }
        };
        // Who comes during a drain gets no session, and cannot make it last.
        match draining {
            true => gate.workers.spawn_passing(work),
            false => gate.workers.spawn(work),
        }
    }
}

/// Who connected, as far as the kernel says.
struct Source {
    peer: Peer,
    name: String,
}

/// An accepted socket on its way to another thread.
enum Handed {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Handed {
    /// What can be done for one of far too many without waiting for it: PostgreSQL too answers a client
    /// that it cannot serve before it has read from it.
    fn say_no_place(self) {
        let mut message = BytesMut::new();
        encode_refusal(&no_place(), SessionId::from_random(0), &mut message);
        let socket = match &self {
            Self::Tcp(socket) => SockRef::from(socket),
            Self::Unix(socket) => SockRef::from(socket),
        };
        // It is non-blocking, and its buffer is empty.
        let _ = socket.send(&message);
        let _ = socket.shutdown(Closing::Write);
        // What has been sent must not be lost to the reset that unread input would cause.
        let _ = socket.recv(&mut [MaybeUninit::uninit(); 1024]);
    }

    fn adopt(self, user_timeout: Option<Duration>) -> io::Result<ClientStream> {
        match self {
            Self::Tcp(socket) => {
                let stream = TcpStream::from_std(socket)?;
                prepare(&stream, user_timeout)?;
                Ok(ClientStream::Tcp(stream))
            }
            Self::Unix(socket) => UnixStream::from_std(socket).map(ClientStream::Unix),
        }
    }
}

impl Bound {
    async fn accept(&self) -> io::Result<(Handed, Source)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                let source = Source {
                    peer: Peer::Ip(address.ip()),
                    name: address.to_string(),
                };
                Ok((Handed::Tcp(stream.into_std()?), source))
            }
            Self::Unix(listener) => {
                let stream = listener.accept().await?;
                let credentials = stream.peer_cred()?;
                let uid = credentials.uid();
                let name = match credentials.pid() {
                    Some(pid) => format!("unix:uid={uid},pid={pid}"),
                    None => format!("unix:uid={uid}"),
                };
                let source = Source {
                    peer: Peer::Unix { uid },
                    name,
                };
                Ok((Handed::Unix(stream.into_std()?), source))
            }
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
