//! A client that speaks bytes, for what no driver would do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// One message of the server.
#[derive(Debug, Clone)]
pub struct Message {
    pub tag: u8,
    pub body: Vec<u8>,
}

pub struct Raw<S = TcpStream> {
    pub stream: S,
}

impl Raw<TcpStream> {
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("dbproxy accepts");
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// Connects and logs in; everything up to ReadyForQuery.
    pub fn log_in(port: u16, user: &str) -> (Self, Vec<Message>) {
        let mut raw = Self::connect(port);
        raw.send(&startup(3 << 16, &[("user", user), ("database", "app")]));
        let greeting = raw.read_until(b'Z');
        (raw, greeting)
    }
}

impl<S: Read + Write> Raw<S> {
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("bytes are taken");
    }

    pub fn query(&mut self, sql: &str) {
        self.send(&message(b'Q', &[sql.as_bytes(), b"\0"].concat()));
    }

    /// Begins a query that runs for ten minutes; returns when it does.
    pub fn begin_long_query(&mut self) {
        self.query("do $$ begin raise notice 'running'; perform pg_sleep(600); end $$");
        self.read_until(b'N');
    }

    pub fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).expect("a byte");
        byte[0]
    }

    /// The next message, or `None` at the end of the connection.
    pub fn message(&mut self) -> Option<Message> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).ok()?;
        Some(Message { tag: head[0], body })
    }

    /// All messages up to and with the first of this type.
    pub fn read_until(&mut self, tag: u8) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let message = self.message();
            let message = message.unwrap_or_else(|| panic!("the connection ended after {messages:?}"));
            let done = message.tag == tag;
            messages.push(message);
            if done {
                return messages;
            }
        }
    }

    /// Everything until the other side closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
        rest
    }

    /// The other side closed without another byte.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(n) => n == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

impl Message {
    /// A field of an ErrorResponse: `C` SQLSTATE, `M` message, `D` detail, `H` hint.
    pub fn field(&self, kind: u8) -> String {
        let mut fields = self.body.split(|byte| *byte == 0);
        let found = fields.find(|field| field.first() == Some(&kind));
        found
            .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
            .unwrap_or_default()
    }
}

pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[tag][..], &length, body].concat()
}

pub fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend_from_slice(&[name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    body.push(0);
    packet(&body)
}

/// An opening packet: length and body.
pub fn packet(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 4).to_be_bytes()[..], body].concat()
}

pub const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
pub const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

pub fn cancel_request(key: &[u8]) -> Vec<u8> {
    packet(&[&80_877_102u32.to_be_bytes()[..], key].concat())
}

/// The body of BackendKeyData: process id and secret.
pub fn backend_key(greeting: &[Message]) -> Vec<u8> {
    let key = greeting.iter().find(|message| message.tag == b'K');
    key.expect("BackendKeyData").body.clone()
}
