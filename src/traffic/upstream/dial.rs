//! Reaching a server: DNS, TCP, SSLRequest, verified TLS. There is no way without TLS.

use crate::access::policy::Permit;
use crate::domain::name::{DbUser, TargetName};
use crate::domain::target::{HostPort, Target, TrustRoots};
use crate::platform::telemetry::metrics::Metrics;
use crate::platform::tls::TlsError;
use crate::platform::tls::client::{self, HandshakeFault};
use crate::platform::wire::greeting::encode_ssl_request;
use crate::platform::wire::startup::GRANTED;
use bytes::BytesMut;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

/// A server's byte stream; there is no other kind. Boxed: it is passed from state to state, and a
/// kilobyte large.
pub type ServerStream = Box<tokio_rustls::client::TlsStream<TcpStream>>;

/// Deadlines of the way to a server.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// DNS and TCP together.
    pub dial_timeout: Duration,
    /// SSLRequest and TLS handshake together.
    pub tls_timeout: Duration,
    /// From the startup message to the first ReadyForQuery.
    pub login_timeout: Duration,
    /// See [`prepare`].
    pub tcp_user_timeout: Option<Duration>,
}

/// Why a server could not be reached or not be trusted.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("the name of {0} does not resolve")]
    Resolve(HostPort, #[source] io::Error),
    #[error("{0} cannot be reached")]
    Connect(HostPort, #[source] io::Error),
    #[error("{0} did not answer in time")]
    Timeout(HostPort),
    #[error("{0} refuses TLS")]
    TlsRefused(HostPort),
    #[error("{0} does not speak the PostgreSQL protocol")]
    NotPostgres(HostPort),
    #[error("the TLS handshake with {0} failed")]
    Handshake(HostPort, HandshakeFault, #[source] io::Error),
    #[error("the TLS settings of the target cannot be used")]
    Settings(#[from] Arc<TlsError>),
}

/// Dials servers; holds one TLS configuration for each set of roots.
#[derive(Debug)]
pub struct Connector {
    config: Config,
    tls: HashMap<TrustRoots, Arc<ClientConfig>>,
    /// Who has logged in by IAM, by target: narrows down why another one cannot.
    iam_seen: Mutex<HashMap<TargetName, HashSet<DbUser>>>,
    metrics: Metrics,
}

/// A verified connection and the address it really goes to: a cancel must reach the same host.
#[derive(Debug)]
pub struct Link {
    pub stream: ServerStream,
    pub address: SocketAddr,
}

impl Connector {
    /// Reads all roots that `targets` need.
    pub fn new<'a>(
        config: Config,
        targets: impl IntoIterator<Item = &'a Target>,
        metrics: Metrics,
    ) -> Result<Self, TlsError> {
        let mut tls = HashMap::new();
        for target in targets {
            if !tls.contains_key(&target.trust) {
                tls.insert(target.trust.clone(), client::config(&target.trust)?);
            }
        }
        Ok(Self {
            config,
            tls,
            iam_seen: Mutex::default(),
            metrics,
        })
    }

    pub fn login_timeout(&self) -> Duration {
        self.config.login_timeout
    }

    pub fn iam_worked(&self, permit: &Permit) {
        let mut seen = self.iam_seen();
        let users = seen.entry(permit.target().name.clone()).or_default();
        if !users.contains(permit.db_user()) {
            users.insert(permit.db_user().clone());
        }
    }

    /// Whether IAM works on this target for others, now that `permit`'s user was not asked for a
    /// token. One who was asked before shows that something has changed: all is forgotten then.
    pub fn iam_works_for_others(&self, permit: &Permit) -> bool {
        let mut seen = self.iam_seen();
        let Some(users) = seen.get_mut(&permit.target().name) else {
            return false;
        };
        if users.contains(permit.db_user()) {
            users.clear();
        }
        !users.is_empty()
    }

    fn iam_seen(&self) -> MutexGuard<'_, HashMap<TargetName, HashSet<DbUser>>> {
        self.iam_seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A verified connection to the permit's target, at latest at `deadline`.
    pub async fn dial(&self, permit: &Permit, deadline: Instant) -> Result<Link, DialError> {
        let target = permit.target();
        let began = Instant::now();
        let within = self.config.dial_timeout;
        let dialling = timeout(within, connect(&target.dial, self.config.tcp_user_timeout));
        let (tcp, address) = match timeout_at(deadline, dialling).await {
            Ok(Ok(connected)) => connected?,
            _ => return Err(DialError::Timeout(target.dial.clone())),
        };
        let stream = self.secure(target, tcp, deadline).await?;
        self.metrics.dialed(began.elapsed());
        Ok(Link { stream, address })
    }

    /// Another connection to the very host a session uses.
    pub(super) async fn redial(
        &self,
        target: &Target,
        address: SocketAddr,
        deadline: Instant,
    ) -> Result<ServerStream, DialError> {
        let failed = |error| DialError::Connect(target.dial.clone(), error);
        let tcp = timeout_at(deadline, TcpStream::connect(address))
            .await
            .map_err(|_| DialError::Timeout(target.dial.clone()))?
            .map_err(failed)?;
        prepare(&tcp, self.config.tcp_user_timeout).map_err(failed)?;
        self.secure(target, tcp, deadline).await
    }

    async fn secure(
        &self,
        target: &Target,
        tcp: TcpStream,
        deadline: Instant,
    ) -> Result<ServerStream, DialError> {
        let late = || DialError::Timeout(target.dial.clone());
        let handshake = timeout(self.config.tls_timeout, self.handshake(target, tcp));
        timeout_at(deadline, handshake)
            .await
            .map_err(|_| late())?
            .map_err(|_| late())?
    }

    async fn handshake(&self, target: &Target, mut tcp: TcpStream) -> Result<ServerStream, DialError> {
        let lost = |error| DialError::Connect(target.dial.clone(), error);
        let mut request = BytesMut::new();
        encode_ssl_request(&mut request);
        tcp.write_all(&request).await.map_err(lost)?;
        // Exactly one byte: what a stranger puts behind it is left to TLS, which refuses it.
        match tcp.read_u8().await.map_err(lost)? {
            GRANTED => {}
            b'N' => return Err(DialError::TlsRefused(target.dial.clone())),
            // An error told before TLS may come from anybody; its text is not shown
            // (PostgreSQL CVE-2024-10977).
            _ => return Err(DialError::NotPostgres(target.dial.clone())),
        }
        let failed =
            |error: io::Error| DialError::Handshake(target.dial.clone(), HandshakeFault::of(&error), error);
        let name =
            ServerName::try_from(target.tls_name.clone()).map_err(|error| failed(io::Error::other(error)))?;
        let config = self
            .tls
            .get(&target.trust)
            .ok_or_else(|| failed(io::Error::other("no roots were loaded for this target")))?;
        TlsConnector::from(config.clone())
            .connect(name, tcp)
            .await
            .map(Box::new)
            .map_err(failed)
    }
}

/// Tries every address of the name, in the order DNS gives them.
async fn connect(
    dial: &HostPort,
    user_timeout: Option<Duration>,
) -> Result<(TcpStream, SocketAddr), DialError> {
    let addresses = tokio::net::lookup_host((dial.host.as_str(), dial.port))
        .await
        .map_err(|error| DialError::Resolve(dial.clone(), error))?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                prepare(&stream, user_timeout).map_err(|error| DialError::Connect(dial.clone(), error))?;
                return Ok((stream, address));
            }
            Err(error) => last = error,
        }
    }
    Err(DialError::Connect(dial.clone(), last))
}

/// Finds a peer that went away silently by keepalive probes, also below the 350 s after which a
/// network load balancer forgets a connection. While bytes are under way to such a peer the kernel
/// sends them again instead of probing, for a quarter of an hour unless TCP_USER_TIMEOUT says less. That
/// is off unless asked for: it also counts the time in which a living peer takes nothing, and would cut
/// a client that reads slowly or a server that waits for a lock.
pub fn prepare(stream: &TcpStream, user_timeout: Option<Duration>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    if user_timeout.is_some() {
        socket.set_tcp_user_timeout(user_timeout)?;
    }
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)
}
