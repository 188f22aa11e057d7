//! A TCP relay that does to one connection what networks do, and leaves all others alone.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What happens to the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each chunk comes late.
    Delay,
    /// Each byte is a segment of its own.
    Split,
    /// Both sides read an ordinary end.
    CutByEnd,
    /// Both sides read a reset.
    CutByReset,
    /// Nothing comes any more, in either direction, and nobody is told.
    BlackHole,
}

/// Which way the bytes go whose number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
}

#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub kind: Kind,
    pub way: Way,
    /// It begins behind so many bytes of that way.
    pub after: usize,
}

pub struct Relay {
    pub address: SocketAddr,
    next: Arc<Mutex<Option<Fault>>>,
}

impl Relay {
    /// In front of `upstream`.
    pub fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let next: Arc<Mutex<Option<Fault>>> = Arc::default();
        let fault = next.clone();
        // Ends with the process.
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let fault = fault.lock().unwrap().take();
                if let Ok(far) = TcpStream::connect(upstream) {
                    connect(&near, &far, fault);
                }
            }
        });
        Self { address, next }
    }

    /// The next connection gets this fault.
    pub fn fail_next(&self, fault: Fault) {
        *self.next.lock().unwrap() = Some(fault);
    }
}

fn connect(near: &TcpStream, far: &TcpStream, fault: Option<Fault>) {
    let hole = Arc::new(Mutex::new(false));
    for (from, to, way) in [(near, far, Way::ToServer), (far, near, Way::ToClient)] {
        from.set_nodelay(true).unwrap();
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let fault = fault.filter(|fault| fault.way == way);
        let hole = hole.clone();
        thread::spawn(move || copy(from, to, fault, &hole));
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, fault: Option<Fault>, hole: &Mutex<bool>) {
    let (mut buffer, mut passed) = ([0; 4096], 0usize);
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let mut chunk = &buffer[..read];
        if let Some(fault) = fault {
            let untouched = fault.after.saturating_sub(passed).min(chunk.len());
            let _ = to.write_all(&chunk[..untouched]);
            passed += read;
            chunk = &chunk[untouched..];
            if passed >= fault.after && !strike(fault.kind, &from, &mut to, chunk, hole) {
                return;
            }
        } else if *hole.lock().unwrap() {
            // Nothing passes, but the sockets stay open until their owners give up.
        } else if to.write_all(chunk).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

/// Does it to the rest of a chunk; false when the connection is no more.
fn strike(kind: Kind, from: &TcpStream, to: &mut TcpStream, chunk: &[u8], hole: &Mutex<bool>) -> bool {
    match kind {
        Kind::Delay => {
            thread::sleep(Duration::from_millis(5));
            to.write_all(chunk).is_ok()
        }
        Kind::Split => chunk.iter().all(|byte| to.write_all(&[*byte]).is_ok()),
        Kind::CutByEnd => {
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            false
        }
        Kind::CutByReset => {
            for stream in [from, &*to] {
                let socket = socket2::SockRef::from(stream);
                // Discards what is unsent and makes the close a reset.
                let _ = socket.set_linger(Some(Duration::ZERO));
                let _ = stream.shutdown(Shutdown::Read);
            }
            false
        }
        Kind::BlackHole => {
            *hole.lock().unwrap() = true;
            true
        }
    }
}
