//! One client: logs in, asks for a row and looks at it, leaves.

use crate::tally::Failure;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpSocket;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Who hears nothing for so long counts as lost.
const PATIENCE: Duration = Duration::from_secs(30);
const MESSAGE_MAX: usize = 65_536;
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const TERMINATE: [u8; 5] = [b'X', 0, 0, 0, 4];

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// How clients get to dbproxy.
pub struct Way {
    target: SocketAddr,
    /// So many loopback addresses are used in turn: a single one has 28,000 ports.
    sources: u64,
    tls: Option<TlsConnector>,
    next: AtomicU64,
}

impl Way {
    pub fn new(target: &str, sources: &str, authority: Option<&str>) -> Self {
        Self {
            target: target.parse().unwrap(),
            sources: sources.parse().unwrap(),
            tls: authority.map(connector),
            next: AtomicU64::new(1),
        }
    }
}

fn connector(authority: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(authority).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Every login is a full one.
    config.resumption = rustls::client::Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

pub struct Client {
    stream: BufReader<Box<dyn Stream>>,
    number: u64,
}

impl Client {
    /// Until the first ReadyForQuery.
    pub async fn log_in(way: &Way) -> Result<Self, Failure> {
        timeout(PATIENCE, Self::try_log_in(way))
            .await
            .map_err(|_| Failure::Timeout)?
    }

    async fn try_log_in(way: &Way) -> Result<Self, Failure> {
        let number = way.next.fetch_add(1, Ordering::Relaxed);
        let stream = connect(way, number).await?;
        let stream = BufReader::with_capacity(512, stream);
        let mut client = Self { stream, number };
        client
            .send(b"\0\0\0\x23\0\x03\0\0user\0light\0database\0light\0\0")
            .await;
        client.until_ready().await?;
        Ok(client)
    }

    /// One row, with a number that no other client asks for.
    pub async fn ask(&mut self) -> Result<(), Failure> {
        let number = self.number.to_string();
        let query = format!("select {number}\0");
        let mut message = vec![b'Q'];
        message.extend(u32::try_from(query.len() + 4).unwrap().to_be_bytes());
        message.extend(query.as_bytes());
        self.send(&message).await;
        let row = timeout(PATIENCE, self.until_ready())
            .await
            .map_err(|_| Failure::Timeout)??;
        let right = row.is_some_and(|row| row.get(6..) == Some(number.as_bytes()));
        if right { Ok(()) } else { Err(Failure::WrongAnswer) }
    }

    pub async fn leave(mut self) {
        self.send(&TERMINATE).await;
        let _ = self.stream.shutdown().await;
    }

    /// What cannot be written is found out by reading: a reason may stand there.
    async fn send(&mut self, message: &[u8]) {
        let _ = self.stream.write_all(message).await;
        let _ = self.stream.flush().await;
    }

    /// The last row before ReadyForQuery.
    async fn until_ready(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut row = None;
        loop {
            let kind = self.stream.read_u8().await?;
            let length = usize::try_from(self.stream.read_u32().await?).unwrap_or(usize::MAX);
            let mut body = vec![0; length.clamp(4, MESSAGE_MAX) - 4];
            self.stream.read_exact(&mut body).await?;
            match kind {
                b'Z' => return Ok(row),
                b'E' => return Err(Failure::refused(&body)),
                b'D' => row = Some(body),
                _ => {}
            }
        }
    }
}

async fn connect(way: &Way, number: u64) -> Result<Box<dyn Stream>, Failure> {
    let socket = TcpSocket::new_v4().map_err(Failure::own)?;
    if way.sources > 1 {
        let host = u8::try_from(number % way.sources + 1).unwrap();
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 2, host));
        socket.bind(SocketAddr::new(source, 0)).map_err(Failure::own)?;
    }
    let mut stream = socket.connect(way.target).await?;
    stream.set_nodelay(true)?;
    let Some(connector) = &way.tls else {
        return Ok(Box::new(stream));
    };
    stream.write_all(&SSL_REQUEST).await?;
    if stream.read_u8().await? != b'S' {
        return Err(Failure::Tls);
    }
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, stream).await?;
    Ok(Box::new(stream))
}
