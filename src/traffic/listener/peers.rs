//! The address where the other replicas hand on cancel requests: nobody else gets beyond the TLS
//! handshake, and there is nothing but cancels to ask for.

use super::{BindError, Gate, bind_tcp};
use crate::platform::task::Shutdown;
use crate::platform::wire::startup::{Opening, body_length, parse};
use crate::traffic::peers::Peers;
use crate::traffic::session::{Shared, cancel};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// Connections of replicas at a time; further ones are closed.
const CONNECTIONS_MAX: usize = 128;
/// A stranger gets no further, and takes a place for as long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);
/// From accept until the answer is written; more than a cancel takes at most, and less than the asker waits.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A bound address for replicas.
#[derive(Debug)]
pub struct PeerListener {
    listener: TcpListener,
    peers: Arc<Peers>,
}

impl PeerListener {
    pub fn bind(address: SocketAddr, peers: Arc<Peers>) -> Result<Self, BindError> {
        let listener = bind_tcp(address).map_err(|source| BindError {
            address: super::Address::Tcp(address),
            source,
        })?;
        Ok(Self { listener, peers })
    }

    /// Serves until the end; cancels work while sessions drain.
    pub async fn run(self, gate: Gate, shutdown: Shutdown) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let accepted = tokio::select! {
                () = shutdown.end.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, source) = match accepted.and_then(|(s, a)| Ok((s.into_std()?, a))) {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accept of a replica's connection failed");
                    sleep(super::ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                continue;
            };
            let (shared, peers) = (gate.shared.clone(), self.peers.clone());
            gate.workers.spawn_passing(async move {
                let _place = place;
                let served = async { serve(&shared, &peers, TcpStream::from_std(stream)?).await };
                match timeout(REQUEST_TIMEOUT, served).await {
                    Ok(Ok(())) => {}
                    // Scans and replicas with another secret end here.
                    Ok(Err(error)) => tracing::debug!(%source, %error, "a replica's request failed"),
                    Err(_) => tracing::debug!(%source, "a replica's request took too long"),
                }
            });
        }
    }
}

async fn serve(shared: &Shared, peers: &Peers, tcp: TcpStream) -> io::Result<()> {
    let acceptor = TlsAcceptor::from(peers.tls.server.clone());
    let mut stream = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(tcp)).await??;
    let mut header = [0; 4];
    stream.read_exact(&mut header).await?;
    let length = body_length(header).map_err(io::Error::other)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let Opening::Cancel(key) = parse(&body).map_err(io::Error::other)? else {
        return Err(io::Error::other("not a cancel request"));
    };
    // The answer is on its way when the cancelled session, perhaps the last one, has ended.
    let _held = shared.shutdown.hold();
    let answer = cancel::serve_replica(shared, &key).await;
    stream.write_all(&[answer.to_byte()]).await?;
    stream.shutdown().await
}
