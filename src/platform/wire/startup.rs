//! The first packets of a connection: SSLRequest, GSSENCRequest, CancelRequest, StartupMessage
//! (PostgreSQL manual, "Message Flow: Start-up").

use super::options::settings;
use crate::domain::cancel_key::CancelKey;
use bytes::{BufMut, BytesMut};

/// PostgreSQL's own limit for an opening packet (`MAX_STARTUP_PACKET_LENGTH`), length included.
pub const OPENING_BYTES_MAX: usize = 10_000;

const CODE_SSL: u32 = 80_877_103;
const CODE_GSS: u32 = 80_877_104;
const CODE_CANCEL: u32 = 80_877_102;

/// The answer of PostgreSQL to an SSLRequest or GSSENCRequest it does not grant.
pub const NOT_GRANTED: u8 = b'N';
/// The answer of PostgreSQL to an SSLRequest it grants.
pub const GRANTED: u8 = b'S';

/// Why opening bytes were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpeningError {
    #[error("opening packet of {0} bytes, allowed are 8 to {OPENING_BYTES_MAX}")]
    Length(u32),
    #[error("unsupported frontend protocol {major}.{minor}: dbproxy supports 3.0 to 3.2")]
    Version { major: u16, minor: u16 },
    #[error("malformed startup packet: {0}")]
    Malformed(&'static str),
    /// PostgreSQL refuses them in the same words.
    #[error("received unencrypted data after an encryption request")]
    EarlyBytes,
}

/// One opening packet.
#[derive(Debug)]
pub enum Opening {
    Ssl,
    Gss,
    Cancel(CancelKey),
    Startup(StartupMessage),
}

/// Checks the four length bytes; returns how many bytes follow them.
pub fn body_length(header: [u8; 4]) -> Result<usize, OpeningError> {
    let length = u32::from_be_bytes(header);
    match usize::try_from(length) {
        Ok(n) if (8..=OPENING_BYTES_MAX).contains(&n) => Ok(n.saturating_sub(4)),
        _ => Err(OpeningError::Length(length)),
    }
}

/// Reads what follows the length bytes; the slice is exactly one packet.
pub fn parse(body: &[u8]) -> Result<Opening, OpeningError> {
    let (code, rest) = body
        .split_first_chunk::<4>()
        .ok_or(OpeningError::Malformed("no request code"))?;
    match u32::from_be_bytes(*code) {
        CODE_SSL | CODE_GSS if !rest.is_empty() => {
            Err(OpeningError::Malformed("bytes after an encryption request"))
        }
        CODE_SSL => Ok(Opening::Ssl),
        CODE_GSS => Ok(Opening::Gss),
        CODE_CANCEL => parse_cancel(rest),
        version => StartupMessage::parse(version, rest).map(Opening::Startup),
    }
}

fn parse_cancel(rest: &[u8]) -> Result<Opening, OpeningError> {
    rest.split_first_chunk::<4>()
        .and_then(|(pid, secret)| CancelKey::new(i32::from_be_bytes(*pid), secret))
        .map(Opening::Cancel)
        .ok_or(OpeningError::Malformed("cancel request of a wrong size"))
}

/// Name and value as sent.
type Parameter = (Box<[u8]>, Box<[u8]>);

/// A StartupMessage with its parameters in the order they were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartupMessage {
    /// Minor protocol version the client asks for; the server negotiates it down by itself.
    pub minor: u16,
    parameters: Vec<Parameter>,
}

impl StartupMessage {
    fn parse(version: u32, mut rest: &[u8]) -> Result<Self, OpeningError> {
        let [a, b, c, d] = version.to_be_bytes();
        let (major, minor) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        if major != 3 {
            return Err(OpeningError::Version { major, minor });
        }
        let mut parameters = Vec::new();
        loop {
            let name = take_cstring(&mut rest)?;
            if name.is_empty() {
                break;
            }
            let value = take_cstring(&mut rest)?;
            parameters.push((name.into(), value.into()));
        }
        if !rest.is_empty() {
            return Err(OpeningError::Malformed("bytes after the parameters"));
        }
        let message = Self { minor, parameters };
        message.refuse_ambiguity()?;
        Ok(message)
    }

    /// Which of two values a reader takes is its own affair, so there must not be two.
    fn refuse_ambiguity(&self) -> Result<(), OpeningError> {
        for name in ["user", "database", "replication"] {
            let given = self.parameters.iter().filter(|(n, _)| **n == *name.as_bytes());
            if given.count() > 1 {
                return Err(OpeningError::Malformed("a parameter is given twice"));
            }
        }
        Ok(())
    }

    /// A message that asks for protocol 3.0 with these parameters.
    pub fn new<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self {
            minor: 0,
            parameters: parameters
                .into_iter()
                .map(|(n, v)| (n.as_bytes().into(), v.as_bytes().into()))
                .collect(),
        }
    }

    /// The value of a parameter, byte for byte.
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        self.parameters
            .iter()
            .find(|(n, _)| **n == *name.as_bytes())
            .map(|(_, value)| &**value)
    }

    /// Names and values in the order sent.
    pub fn parameters(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.parameters.iter().map(|(n, v)| (&**n, &**v))
    }

    /// Appends a parameter, or replaces the value of one that is there.
    pub fn set(&mut self, name: &str, value: &str) {
        let existing = self.parameters.iter_mut().find(|(n, _)| **n == *name.as_bytes());
        match existing {
            Some((_, old)) => *old = value.as_bytes().into(),
            None => self
                .parameters
                .push((name.as_bytes().into(), value.as_bytes().into())),
        }
    }

    /// What the session begins with of a setting, by any of its names: by a parameter, which the server reads
    /// last, or by `options`, of several of which it takes the last.
    pub fn setting(&self, names: &[&str]) -> Option<Vec<u8>> {
        let is_meant = |name: &[u8]| is_one_of(name, names);
        let by_parameter = self.parameters().filter(|(name, _)| is_meant(name)).last();
        let by_options = || {
            let options = self.parameters().filter(|(name, _)| *name == b"options").last();
            let all = settings(options.map(|(_, value)| value).unwrap_or_default());
            let meant = all.into_iter().rfind(|setting| is_meant(&setting.name));
            meant.map(|setting| setting.value)
        };
        by_parameter.map(|(_, value)| value.to_vec()).or_else(by_options)
    }

    /// Sets it by the one parameter that counts.
    pub fn set_setting(&mut self, name: &str, value: &str) {
        self.parameters.retain(|(given, _)| !is_one_of(given, &[name]));
        self.set(name, value);
    }

    /// Of the packet, its own four bytes included.
    pub fn length(&self) -> usize {
        let strings = self.parameters.iter();
        let strings = strings.map(|(n, v)| n.len().saturating_add(v.len()).saturating_add(2));
        strings.fold(9, usize::saturating_add)
    }

    /// Writes the packet with its length, parameters in their order.
    pub fn encode(&self, out: &mut BytesMut) {
        let length = self.length();
        out.reserve(length);
        out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        out.put_u16(3);
        out.put_u16(self.minor);
        for (name, value) in &self.parameters {
            out.put_slice(name);
            out.put_u8(0);
            out.put_slice(value);
            out.put_u8(0);
        }
        out.put_u8(0);
    }
}

/// The server does not look at the case of a setting's name.
fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names
        .iter()
        .any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

fn take_cstring<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], OpeningError> {
    let end = rest
        .iter()
        .position(|b| *b == 0)
        .ok_or(OpeningError::Malformed("string without its end"))?;
    let (text, after) = rest.split_at(end);
    *rest = after.get(1..).unwrap_or_default();
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(message: &StartupMessage) -> BytesMut {
        let mut out = BytesMut::new();
        message.encode(&mut out);
        out
    }

    #[test]
    fn parameters_keep_their_order_and_bytes() {
        let sent = StartupMessage::new([
            ("user", "app"),
            ("options", r"-c search_path=a\ b --x=1"),
            ("application_name", "psql"),
        ]);
        let bytes = packet(&sent);
        let header: [u8; 4] = bytes[..4].try_into().unwrap();
        assert_eq!(body_length(header).unwrap(), bytes.len() - 4);
        let Opening::Startup(read) = parse(&bytes[4..]).unwrap() else {
            panic!("a startup message")
        };
        assert_eq!(read, sent);
        assert_eq!(read.parameter("user"), Some(&b"app"[..]));
    }

    #[test]
    fn lengths_out_of_bounds_are_refused_before_anything_is_allocated() {
        for length in [0u32, 7, 10_001, u32::from_be_bytes(*b"GET "), u32::MAX] {
            assert_eq!(
                body_length(length.to_be_bytes()),
                Err(OpeningError::Length(length))
            );
        }
    }

    #[test]
    fn odd_packets_are_refused() {
        let v3 = [0, 3, 0, 0];
        for (body, what) in [
            (&[0u8, 3][..], "no request code"),
            (&[&v3[..], b"user\0app"].concat(), "string without its end"),
            (&[&v3[..], b"user\0app\0"].concat(), "string without its end"),
            (
                &[&v3[..], b"user\0app\0\0x"].concat(),
                "bytes after the parameters",
            ),
            (
                &[&v3[..], b"user\0a\0user\0b\0\0"].concat(),
                "a parameter is given twice",
            ),
            (
                &[&CODE_SSL.to_be_bytes()[..], b"x"].concat(),
                "bytes after an encryption request",
            ),
            (
                &[&CODE_CANCEL.to_be_bytes()[..], &[0; 7]].concat(),
                "cancel request of a wrong size",
            ),
        ] {
            assert_eq!(parse(body).unwrap_err(), OpeningError::Malformed(what));
        }
        assert_eq!(
            parse(&[0, 2, 0, 0, 0]).unwrap_err(),
            OpeningError::Version { major: 2, minor: 0 }
        );
    }

    /// Compared with `show application_name` in sessions that were opened so.
    #[test]
    fn a_setting_is_what_the_server_takes_for_it() {
        let (options, name) = (("options", "-c application-name=o"), "application_name");
        for (parameters, expected) in [
            (&[("user", "app")][..], None),
            (&[options], Some("o")),
            (&[options, ("options", "-c work_mem=1MB")], None),
            (&[(name, "p"), options], Some("p")),
            (&[("Application_Name", "p"), (name, "q"), options], Some("q")),
            (&[(name, "q"), ("Application_Name", "p")], Some("p")),
        ] {
            let mut message = StartupMessage::new(parameters.iter().copied());
            let expected = expected.map(|text| text.as_bytes().to_vec());
            assert_eq!(message.setting(&[name]), expected, "{parameters:?}");
            message.set_setting(name, "new");
            assert_eq!(message.setting(&[name]).as_deref(), Some(&b"new"[..]));
            assert_eq!(packet(&message).len(), message.length());
        }
    }

    #[test]
    fn a_cancel_request_keeps_its_key() {
        let body = [&CODE_CANCEL.to_be_bytes()[..], &77i32.to_be_bytes(), &[9; 32]].concat();
        let Opening::Cancel(key) = parse(&body).unwrap() else {
            panic!("a cancel request")
        };
        assert_eq!((key.pid, key.secret()), (77, &[9u8; 32][..]));
    }
}
