//! Why pgwire's decoders never see a byte from the network. Each test shows first what they do with
//! hostile bytes (pgwire 0.42.1), and then that ours do not. When an update of pgwire makes the first half
//! of one fail, that hazard is mended upstream.
//!
//! What needs its server API is shown in `tests/pgwire-hazards`.

use super::auth;
use super::frame::{AUTH_MESSAGE_BYTES_MAX, FrameError, take_frame};
use super::startup::{self, Opening, OpeningError};
use crate::domain::name::{DbUser, NameError};
use bytes::{BufMut, BytesMut};
use pgwire::messages::startup::{PasswordMessageFamily, Startup};
use pgwire::messages::{DecodeContext, Message};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The context of a connection that has sent its startup message.
fn authenticating() -> DecodeContext {
    let mut context = DecodeContext::default();
    context.awaiting_frontend_ssl = false;
    context.awaiting_frontend_startup = false;
    context
}

fn panics<T>(decode: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(decode)).is_err()
}

fn packet(body: &[u8]) -> BytesMut {
    let mut packet = BytesMut::new();
    packet.put_u32(u32::try_from(body.len() + 4).unwrap());
    packet.put_slice(body);
    packet
}

#[test]
fn a_short_password_message_makes_pgwire_panic() {
    for length in 0..4u8 {
        let message = [b'p', 0, 0, 0, length];
        assert!(panics(|| {
            PasswordMessageFamily::decode(&mut BytesMut::from(&message[..]), &authenticating())
        }));
        let ours = take_frame(&mut BytesMut::from(&message[..]), AUTH_MESSAGE_BYTES_MAX);
        assert!(matches!(ours, Err(FrameError::BadLength { tag: 'p', .. })));
    }
}

#[test]
fn a_sasl_response_with_a_wrong_length_makes_pgwire_panic() {
    for length in [-2i32, 100, i32::MIN] {
        let body = [&b"SCRAM-SHA-256\0"[..], &length.to_be_bytes(), b"n,,"].concat();
        let raw = PasswordMessageFamily::Raw(BytesMut::from(&body[..]));
        assert!(panics(|| raw.into_sasl_initial_response()));
        // All that we ever read of it is one flag, and the server judges the rest.
        assert_eq!(auth::channel_binding_flag(&body), Some(b'n'));
    }
    let cut = PasswordMessageFamily::Raw(BytesMut::from(&b"SCRAM-SHA-256\0\0"[..]));
    assert!(panics(|| cut.into_sasl_initial_response()));
    assert_eq!(auth::channel_binding_flag(b"SCRAM-SHA-256\0\0"), None);
}

#[test]
fn two_names_become_one_in_pgwire() {
    let user = |name: &[u8]| packet(&[b"\0\x03\0\0user\0", name, b"\0\0"].concat());
    let theirs = |name: &[u8]| {
        let message = Startup::decode(&mut user(name), &DecodeContext::default());
        message.unwrap().unwrap().parameters["user"].clone()
    };
    assert_eq!(theirs(b"ad\xffmin"), theirs(b"ad\xfemin"));
    let ours = |name: &[u8]| match startup::parse(&user(name)[4..]) {
        Ok(Opening::Startup(message)) => message.parameter("user").unwrap().to_vec(),
        other => panic!("{other:?}"),
    };
    assert_ne!(ours(b"ad\xffmin"), ours(b"ad\xfemin"));
    assert_eq!(DbUser::new(ours(b"ad\xffmin")), Err(NameError::NotUtf8));
}

/// What follows the message in the buffer belongs to the next one.
#[test]
fn a_startup_message_without_its_end_swallows_what_follows_in_pgwire() {
    let mut stream = packet(b"\0\x03\0\0user\0app");
    stream.put_slice(b"_rw\0database\0other\0\0");
    let theirs = Startup::decode(&mut stream.clone(), &DecodeContext::default());
    assert_eq!(theirs.unwrap().unwrap().parameters["user"], "app_rw");
    let length = startup::body_length(*stream.first_chunk().unwrap()).unwrap();
    let ours = startup::parse(&stream[4..4 + length]);
    assert!(matches!(
        ours,
        Err(OpeningError::Malformed("string without its end"))
    ));
}

#[test]
fn a_password_of_ten_thousand_bytes_is_too_long_for_pgwire() {
    let mut message = BytesMut::new();
    auth::encode_frame(b'p', &[&[b'x'; 10_000][..], b"\0"].concat(), &mut message);
    assert!(PasswordMessageFamily::decode(&mut message.clone(), &authenticating()).is_err());
    let ours = take_frame(&mut message, AUTH_MESSAGE_BYTES_MAX).unwrap().unwrap();
    assert_eq!(ours.body.len(), 10_001);
}
