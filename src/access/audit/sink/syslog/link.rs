//! The way to a syslog server: a unix or UDP datagram a message, or a TCP connection.

use super::SyslogTo;
use rustix::io::Errno;
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

/// How long a server may take to accept, over all its addresses.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(750);
/// How long it may take nothing.
const SEND_TIMEOUT: Duration = Duration::from_millis(750);
/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;
/// A datagram is held as a whole; some systems give a socket only room for 2 KiB.
const DATAGRAM_BUFFER: usize = 256 * 1_024;

#[derive(Debug)]
pub(super) enum Link {
    Unix(UnixDatagram),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Link {
    pub(super) fn connect(to: &SyslogTo) -> io::Result<Self> {
        match to {
            SyslogTo::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_write_timeout(Some(SEND_TIMEOUT))?;
                let _ = SockRef::from(&socket).set_send_buffer_size(DATAGRAM_BUFFER);
                Ok(Self::Unix(socket))
            }
            SyslogTo::Udp(name) => first_of(name, |address, _| {
                let any: SocketAddr = match address {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                socket.set_write_timeout(Some(SEND_TIMEOUT))?;
                Ok(Self::Udp(socket))
            }),
            SyslogTo::Tcp(name) => first_of(name, |address, left| {
                let stream = TcpStream::connect_timeout(&address, left)?;
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(SEND_TIMEOUT))?;
                let keepalive = TcpKeepalive::new()
                    .with_time(Duration::from_secs(30))
                    .with_interval(Duration::from_secs(10));
                SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
                Ok(Self::Tcp(stream))
            }),
        }
    }

    /// Hands the whole message to the kernel, or fails.
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(socket) => whole(socket.send(message)?, message),
            Self::Udp(socket) => whole(socket.send(message)?, message),
            Self::Tcp(stream) => {
                check_open(stream)?;
                send_all(stream, message)
            }
        }
    }
}

/// The first address that takes us; each gets its part of the time.
fn first_of(name: &str, connect: impl Fn(SocketAddr, Duration) -> io::Result<Link>) -> io::Result<Link> {
    let addresses: Vec<_> = name.to_socket_addrs()?.take(ADDRESSES_MAX).collect();
    let share = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let share = CONNECT_TIMEOUT.checked_div(share).unwrap_or(CONNECT_TIMEOUT);
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match connect(address, share) {
            Ok(link) => return Ok(link),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn whole(sent: usize, message: &[u8]) -> io::Result<()> {
    match sent == message.len() {
        true => Ok(()),
        false => Err(ErrorKind::WriteZero.into()),
    }
}

/// The first message after the server closed would be taken by the kernel and lost. Nothing is expected
/// from a server; what it says is dropped, a piece at a time.
fn check_open(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let heard = stream.read(&mut [0; 512]);
    stream.set_nonblocking(false)?;
    match heard {
        Ok(0) => Err(ErrorKind::ConnectionReset.into()),
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(()),
        Err(error) => Err(error),
    }
}

/// As `write_all`, but a server that takes a few bytes at a time does not have the limit for each anew.
fn send_all(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let began = Instant::now();
    let mut rest = message;
    loop {
        match stream.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(taken) => rest = rest.get(taken..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if rest.is_empty() {
            return Ok(());
        }
        if began.elapsed() >= SEND_TIMEOUT {
            return Err(ErrorKind::TimedOut.into());
        }
    }
}

/// The message is too long for a datagram; the next one may not be.
pub(super) fn does_not_fit(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error())
}

/// The server takes nothing. A socket's own limit is told as "would block".
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
