//! The client's byte stream, encrypted or not.

use rustls::pki_types::CertificateDer;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// What a listener accepted, after TLS if the client asked for it.
#[derive(Debug)]
pub enum ClientStream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<Encrypted>),
}

/// A stream inside TLS, and the certificate of ours that its handshake has shown.
#[derive(Debug)]
pub struct Encrypted {
    stream: TlsStream<TcpStream>,
    leaf: Arc<CertificateDer<'static>>,
}

impl ClientStream {
    /// `leaf` is the certificate of the configuration that made the handshake.
    pub fn tls(stream: TlsStream<TcpStream>, leaf: Arc<CertificateDer<'static>>) -> Self {
        Self::Tls(Box::new(Encrypted { stream, leaf }))
    }

    /// Our own certificate as this client has seen it, in DER: what channel binding is to.
    pub fn server_leaf(&self) -> Option<&[u8]> {
        match self {
            Self::Tls(tls) => Some(tls.leaf.as_ref().as_ref()),
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    /// The client's certificate in DER, if it has presented one; the handshake has verified it.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        match self {
            Self::Tls(tls) => {
                let chain = tls.stream.get_ref().1.peer_certificates()?;
                chain.first().map(AsRef::as_ref)
            }
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The name that the client has asked for in its TLS handshake (RFC 6066, server name indication).
    pub fn server_name(&self) -> Option<&str> {
        match self {
            Self::Tls(tls) => tls.stream.get_ref().1.server_name(),
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    #[cfg(test)]
    pub fn handshake_kind(&self) -> Option<rustls::HandshakeKind> {
        match self {
            Self::Tls(tls) => tls.stream.get_ref().1.handshake_kind(),
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    /// The version of the client's TLS.
    pub fn tls_version(&self) -> Option<&'static str> {
        match self {
            Self::Tls(tls) => version_name(tls.stream.get_ref().1),
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    /// Whether bytes in clear have arrived that nobody has read.
    pub fn has_unread(&self) -> bool {
        match self {
            Self::Tcp(tcp) => matches!(now(tcp.peek(&mut [0])), Some(Ok(1..))),
            // Nobody can put bytes between the two ends of a unix socket.
            Self::Unix(_) | Self::Tls(_) => false,
        }
    }

    /// Whether the kernel has seen the peer's end, although bytes before it may be unread.
    pub fn peer_has_ended(&self) -> bool {
        match self {
            Self::Tcp(tcp) => has_ended(tcp.ready(Interest::READABLE)),
            Self::Unix(unix) => has_ended(unix.ready(Interest::READABLE)),
            Self::Tls(tls) => has_ended(tls.stream.get_ref().0.ready(Interest::READABLE)),
        }
    }
}

/// Of a connection whose handshake is done.
pub fn version_name<Side>(connection: &rustls::ConnectionCommon<Side>) -> Option<&'static str> {
    match connection.protocol_version()? {
        rustls::ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
        rustls::ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
        _ => Some("other"),
    }
}

fn has_ended(ready: impl Future<Output = io::Result<Ready>>) -> bool {
    match now(ready) {
        Some(Ok(ready)) => ready.is_read_closed() || ready.is_error(),
        Some(Err(_)) => true,
        None => false,
    }
}

/// What is known now; nobody is woken when it changes.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            ClientStream::Tcp(inner) => {
                let $stream = Pin::new(inner);
                $call
            }
            ClientStream::Unix(inner) => {
                let $stream = Pin::new(inner);
                $call
            }
            ClientStream::Tls(inner) => {
                let $stream = Pin::new(&mut inner.stream);
                $call
            }
        }
    };
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_shutdown(cx))
    }
}
