//! As much of a PostgreSQL server as a login inside TLS and one row need.

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Also in the password file that `benches/load.py` gives to dbproxy.
const PASSWORD: &[u8] = b"light-password\0";
const SSL_REQUEST: u32 = 80_877_103;
const BACKLOG: u32 = 4_096;
/// Longer messages are not spoken here.
const MESSAGE_MAX: usize = 65_536;

/// Prints its port; answers `sessions` with the number of those logged in now.
pub async fn run(certificate: &str, key: &str, mut commands: UnboundedReceiver<String>) {
    let acceptor = acceptor(certificate, key);
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(BACKLOG).unwrap();
    println!(r#"{{"port": {}}}"#, listener.local_addr().unwrap().port());
    let sessions = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            accepted = listener.accept() => {
                let (acceptor, sessions) = (acceptor.clone(), sessions.clone());
                if let Ok((stream, _)) = accepted {
                    // How a session ends is the other side's to tell.
                    tasks.spawn(async move { drop(serve(stream, acceptor, sessions).await) });
                }
            }
            command = commands.recv() => match command {
                Some(_) => println!(r#"{{"sessions": {}}}"#, sessions.load(Ordering::Relaxed)),
                None => return,
            },
        }
    }
}

/// Like PostgreSQL: no session tickets, no resumption.
fn acceptor(certificate: &str, key: &str) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certificate)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    TlsAcceptor::from(Arc::new(config))
}

/// One session on the count.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(mut stream: TcpStream, acceptor: TlsAcceptor, sessions: Arc<AtomicUsize>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if stream.read_u32().await? != 8 || stream.read_u32().await? != SSL_REQUEST {
        return Ok(());
    }
    stream.write_all(b"S").await?;
    let mut stream = BufStream::with_capacity(512, 512, acceptor.accept(stream).await?);
    let length = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    let mut startup = vec![0; length.clamp(4, MESSAGE_MAX) - 4];
    stream.read_exact(&mut startup).await?;
    send(&mut stream, b'R', &3_u32.to_be_bytes()).await?;
    stream.flush().await?;
    if read(&mut stream).await? != (b'p', PASSWORD.to_vec()) {
        send(&mut stream, b'E', b"SFATAL\0VFATAL\0C28P01\0Mwrong password\0\0").await?;
        return stream.flush().await;
    }
    sessions.fetch_add(1, Ordering::Relaxed);
    let _counted = Counted(sessions);
    greet(&mut stream).await?;
    loop {
        let (kind, body) = read(&mut stream).await?;
        match kind {
            b'Q' => answer(&mut stream, &body).await?,
            // With TLS' own goodbye, as PostgreSQL does.
            _ => return stream.shutdown().await,
        }
    }
}

type Wire = BufStream<tokio_rustls::server::TlsStream<TcpStream>>;

async fn greet(stream: &mut Wire) -> io::Result<()> {
    send(stream, b'R', &0_u32.to_be_bytes()).await?;
    for parameter in [
        &b"server_version\x0015.0 (light)\0"[..],
        b"server_encoding\0UTF8\0",
        b"client_encoding\0UTF8\0",
        b"DateStyle\0ISO, MDY\0",
        b"integer_datetimes\0on\0",
        b"standard_conforming_strings\0on\0",
    ] {
        send(stream, b'S', parameter).await?;
    }
    send(stream, b'K', &[0, 0, 1, 1, 7, 7, 7, 7]).await?;
    send(stream, b'Z', b"I").await?;
    stream.flush().await
}

/// `select X` has one row: X.
async fn answer(stream: &mut Wire, query: &[u8]) -> io::Result<()> {
    let value = query
        .strip_prefix(b"select ")
        .and_then(|rest| rest.strip_suffix(b"\0"))
        .unwrap_or_default();
    let mut column = b"\0\x01x\0".to_vec();
    column.extend([
        0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0,
    ]);
    let mut row = vec![0, 1];
    row.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
    row.extend(value);
    send(stream, b'T', &column).await?;
    send(stream, b'D', &row).await?;
    send(stream, b'C', b"SELECT 1\0").await?;
    send(stream, b'Z', b"I").await?;
    stream.flush().await
}

async fn send(stream: &mut Wire, kind: u8, body: &[u8]) -> io::Result<()> {
    stream.write_u8(kind).await?;
    stream.write_u32(u32::try_from(body.len() + 4).unwrap()).await?;
    stream.write_all(body).await
}

async fn read(stream: &mut Wire) -> io::Result<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await?;
    let length = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    let mut body = vec![0; length.clamp(4, MESSAGE_MAX) - 4];
    stream.read_exact(&mut body).await?;
    Ok((kind, body))
}
