//! The client's side of each proof, message by message.

use crate::support::Raw;
use crate::support::raw::{Message, message, startup};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// Codes of `R` messages.
pub const PASSWORD: u32 = 3;
pub const SASL: u32 = 10;
pub const SASL_CONTINUE: u32 = 11;
pub const SASL_FINAL: u32 = 12;

/// What an `R` message asks for.
#[track_caller]
pub fn code(message: &Message) -> u32 {
    assert_eq!(message.tag, b'R', "{message:?}");
    u32::from_be_bytes(message.body[..4].try_into().unwrap())
}

/// Everything until the client is in, or refused.
pub fn outcome<S: Read + Write>(raw: &mut Raw<S>) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some(message) = raw.message() {
        let is_last = matches!(message.tag, b'Z' | b'E');
        messages.push(message);
        if is_last {
            break;
        }
    }
    messages
}

/// The startup message, and what it is answered with.
pub fn knock<S: Read + Write>(raw: &mut Raw<S>, user: &str) -> Message {
    knock_with(raw, user, &[])
}

/// With more parameters.
fn knock_with<S: Read + Write>(raw: &mut Raw<S>, user: &str, more: &[(&str, &str)]) -> Message {
    let parameters = [&[("user", user), ("database", "app")], more].concat();
    raw.send(&startup(3 << 16, &parameters));
    raw.message().expect("an answer")
}

/// Whom a session is, which then ends.
pub fn whoami<S: Read + Write>(raw: &mut Raw<S>) -> String {
    raw.query("select current_user");
    let answer = raw.read_until(b'Z');
    let row = answer.iter().find(|message| message.tag == b'D').expect("a row");
    String::from_utf8_lossy(&row.body[6..]).into_owned()
}

/// One connection that answers a password request with this.
pub fn by_password(port: u16, user: &str, password: &[u8]) -> Vec<Message> {
    with_password(&mut Raw::connect(port), user, password)
}

pub fn with_password<S: Read + Write>(raw: &mut Raw<S>, user: &str, password: &[u8]) -> Vec<Message> {
    let asked = knock(raw, user);
    if asked.tag == b'E' {
        return vec![asked];
    }
    assert_eq!(code(&asked), PASSWORD);
    raw.send(&message(b'p', &[password, b"\0"].concat()));
    outcome(raw)
}

/// Mechanism, length, data.
pub fn sasl_initial(mechanism: &str, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u32).to_be_bytes();
    message(b'p', &[mechanism.as_bytes(), b"\0", &length, data].concat())
}

/// A password exchange that has come to its last message, which is not sent yet.
pub struct Challenged<S = TcpStream> {
    pub raw: Raw<S>,
    last: Vec<u8>,
    /// What dbproxy has said.
    pub seen: Vec<Message>,
    scram: ScramSha256,
}

pub fn challenged<S: Read + Write>(raw: Raw<S>, user: &str, password: &str) -> Challenged<S> {
    challenged_with(raw, user, password, &[])
}

fn challenged_with<S: Read + Write>(
    mut raw: Raw<S>,
    user: &str,
    password: &str,
    more: &[(&str, &str)],
) -> Challenged<S> {
    let asked = knock_with(&mut raw, user, more);
    assert_eq!(code(&asked), SASL);
    let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
    raw.send(&sasl_initial("SCRAM-SHA-256", scram.message()));
    let challenge = raw.message().expect("a challenge");
    assert_eq!(code(&challenge), SASL_CONTINUE);
    scram.update(&challenge.body[4..]).unwrap();
    Challenged {
        raw,
        last: message(b'p', scram.message()),
        seen: vec![asked, challenge],
        scram,
    }
}

impl<S: Read + Write> Challenged<S> {
    /// Says the last message on another connection than that it belongs to.
    pub fn replay_on(&self, raw: &mut Raw<S>) -> Vec<Message> {
        raw.send(&self.last);
        outcome(raw)
    }

    /// Sends the last message; everything dbproxy has said, and the session if there is one.
    pub fn finish(mut self) -> (Vec<Message>, Raw<S>) {
        self.raw.send(&self.last);
        let outcome = outcome(&mut self.raw);
        if let [signature, _, ..] = &outcome[..] {
            assert_eq!(code(signature), SASL_FINAL);
            self.scram
                .finish(&signature.body[4..])
                .expect("dbproxy knows the password, too");
        }
        self.seen.extend(outcome);
        (self.seen, self.raw)
    }
}

pub fn by_scram(port: u16, user: &str, password: &str) -> Vec<Message> {
    challenged(Raw::connect(port), user, password).finish().0
}

/// With more parameters in the startup message.
pub fn by_scram_with(
    port: u16,
    user: &str,
    password: &str,
    more: &[(&str, &str)],
) -> (Vec<Message>, Raw<TcpStream>) {
    challenged_with(Raw::connect(port), user, password, more).finish()
}

/// From another address of this machine.
pub fn connect_from(source: &str, to: (IpAddr, u16)) -> Raw {
    let (source, to) = (source.parse::<IpAddr>().unwrap(), SocketAddr::from(to));
    let kind = socket2::Type::STREAM;
    let socket = socket2::Socket::new(socket2::Domain::for_address(to), kind, None).unwrap();
    socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
    socket.connect(&to.into()).expect("dbproxy accepts");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    Raw { stream }
}
