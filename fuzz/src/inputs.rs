//! What must hold for any input of each target.

pub mod callers;

use crate::domain::cancel_key::CancelKey;
use crate::platform::wire::auth::{self, Authentication};
use crate::platform::wire::error::ServerError;
use crate::platform::wire::frame::take_frame;
use crate::platform::wire::greeting::{encode_backend_key, encode_cancel_request, parse_backend_key};
use crate::platform::wire::options;
use crate::platform::wire::proxy_header;
use crate::platform::wire::startup::{self, OPENING_BYTES_MAX, Opening};
use crate::platform::wire::walker::{FrameWalker, Traffic};
use bytes::BytesMut;

/// Opening packets one after another, as a connection would read them; a startup message that is
/// accepted can be written and read back.
pub fn startup(mut input: &[u8]) {
    while let Some((header, rest)) = input.split_first_chunk::<4>() {
        let Ok(length) = startup::body_length(*header) else {
            return;
        };
        assert!(length <= OPENING_BYTES_MAX);
        let Some((body, rest)) = rest.split_at_checked(length) else {
            return;
        };
        if let Ok(Opening::Startup(message)) = startup::parse(body) {
            let mut written = BytesMut::new();
            message.encode(&mut written);
            match startup::parse(&written[4..]) {
                Ok(Opening::Startup(again)) => assert_eq!(again, message),
                other => panic!("{message:?} was read back as {other:?}"),
            }
        }
        input = rest;
    }
}

/// A stream of messages: cut whole, walked whole and walked in pieces, it is the same stream. The first
/// byte says how it is cut into pieces.
pub fn framing(input: &[u8]) {
    let Some((step, stream)) = input.split_first() else {
        return;
    };
    let step = usize::from(*step).max(1);
    let walk = |step: usize| {
        let (mut walker, mut seen) = (FrameWalker::default(), Vec::new());
        for chunk in stream.chunks(step) {
            walker.walk(chunk, |tag, status| seen.push((tag, status)));
        }
        (seen, walker.at_boundary())
    };
    let whole = walk(stream.len().max(1));
    assert_eq!(walk(step), whole);
    let mut rest = BytesMut::from(stream);
    let mut cut = 0;
    while let Ok(Some(frame)) = take_frame(&mut rest, 65_535) {
        assert!(frame.body.len() <= 65_535);
        cut += 1;
    }
    // The walker sees at least every message that can be cut, except a ReadyForQuery without its status.
    let (seen, _) = whole;
    assert!(seen.len() >= cut || stream.windows(5).any(|w| w == b"Z\0\0\0\x04"));
    traffic(stream, step);
}

/// Both directions at once, alternating: whatever they say, it can be asked for.
fn traffic(stream: &[u8], step: usize) {
    let mut traffic = Traffic::after_ready(b'I');
    for (number, chunk) in stream.chunks(step).enumerate() {
        match number % 2 {
            0 => traffic.client_bytes(chunk),
            _ => traffic.server_bytes(chunk),
        }
        assert!(!(traffic.is_idle() && traffic.is_busy()));
        let _ = (traffic.at_server_boundary(), traffic.server_has_told());
    }
}

/// A key that is accepted survives both of its messages.
pub fn cancel(input: &[u8]) {
    let Some(key) = parse_backend_key(input) else {
        return;
    };
    let same = |other: &CancelKey| other.pid == key.pid && other.secret() == key.secret();
    let mut written = BytesMut::new();
    encode_backend_key(&key, &mut written);
    let read = parse_backend_key(&written[5..]);
    assert!(read.as_ref().is_some_and(same), "{read:?}");
    written.clear();
    encode_cancel_request(&key, &mut written);
    match startup::parse(&written[4..]) {
        Ok(Opening::Cancel(read)) => assert!(same(&read)),
        other => panic!("read back as {other:?}"),
    }
}

pub fn proxy_header(input: &[u8]) {
    let Some((prefix, rest)) = input.split_first_chunk() else {
        return;
    };
    let Ok(length) = proxy_header::body_length(prefix) else {
        return;
    };
    assert!(length <= proxy_header::BODY_BYTES_MAX);
    let Some(body) = rest.get(..length) else { return };
    if let Ok(header) = proxy_header::parse(prefix, body) {
        for name in header.authority.iter().chain(&header.vpc_endpoint) {
            assert!(!name.is_empty() && !name.contains(char::is_control));
        }
    }
}

/// What was read can be written as options again, and is read the same.
pub fn options(input: &[u8]) {
    let settings = options::settings(input);
    let mut written = Vec::new();
    for setting in &settings {
        written.extend_from_slice(b"-c");
        written.push(b' ');
        for byte in setting.name.iter().chain(b"=").chain(&setting.value) {
            written.extend_from_slice(&[b'\\', *byte]);
        }
        written.push(b' ');
    }
    assert_eq!(options::settings(&written), settings);
    // A name that is set is seen wherever it stands; `_` may have been `-`.
    let whole = |name: &[u8]| !name.is_empty() && !name.contains(&b'_');
    for setting in settings.iter().filter(|setting| whole(&setting.name)) {
        let seen = std::str::from_utf8(&setting.name).map(|name| options::speak_of(input, name));
        assert_ne!(seen, Ok(false));
    }
}

/// The messages of a server before the relay.
pub fn server(input: &[u8]) {
    if let Some(Authentication::Sasl { mechanisms }) = auth::parse(input) {
        let mut written = BytesMut::new();
        auth::encode_sasl(&mechanisms, &mut written);
        assert_eq!(
            auth::parse(&written[5..]),
            Some(Authentication::Sasl { mechanisms })
        );
    }
    let _ = auth::channel_binding_flag(input);
    let error = ServerError::parse(input);
    assert!(!error.message.contains('\0') && !error.code.contains('\0'));
}
