//! What the server says between AuthenticationOk and the first ReadyForQuery.

use crate::domain::cancel_key::CancelKey;
use bytes::BytesMut;
use pgwire::messages::Message;
use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::startup::{BackendKeyData, SecretKey, SslRequest};

/// Message types of a server (PostgreSQL manual, "Message Formats").
pub mod tag {
    pub const AUTHENTICATION: u8 = b'R';
    pub const BACKEND_KEY_DATA: u8 = b'K';
    pub const ERROR_RESPONSE: u8 = b'E';
    pub const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';
    pub const NOTICE_RESPONSE: u8 = b'N';
    pub const PARAMETER_STATUS: u8 = b'S';
    pub const READY_FOR_QUERY: u8 = b'Z';
    /// A client's answer in an authentication exchange.
    pub const PASSWORD_FAMILY: u8 = b'p';
}

/// Reads BackendKeyData; `None` when its secret has a length the protocol does not know.
pub fn parse_backend_key(body: &[u8]) -> Option<CancelKey> {
    let (pid, secret) = body.split_first_chunk::<4>()?;
    CancelKey::new(i32::from_be_bytes(*pid), secret)
}

/// BackendKeyData with the given key.
pub fn encode_backend_key(key: &CancelKey, out: &mut BytesMut) {
    let message = BackendKeyData::new(key.pid, secret_of(key));
    // Encoding fails only for keys beyond 256 bytes, which CancelKey does not hold.
    let _ = message.encode(out);
}

/// A CancelRequest for the given key.
pub fn encode_cancel_request(key: &CancelKey, out: &mut BytesMut) {
    let _ = CancelRequest::new(key.pid, secret_of(key)).encode(out);
}

/// An SSLRequest.
pub fn encode_ssl_request(out: &mut BytesMut) {
    let _ = SslRequest::new().encode(out);
}

fn secret_of(key: &CancelKey) -> SecretKey {
    match <[u8; 4]>::try_from(key.secret()) {
        Ok(four) => SecretKey::I32(i32::from_be_bytes(four)),
        Err(_) => SecretKey::Bytes(bytes::Bytes::copy_from_slice(key.secret())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::wire::startup::{self, Opening};

    #[test]
    fn keys_of_both_protocols_survive_the_way_there_and_back() {
        for length in [4, 32, 256] {
            let key = CancelKey::new(-5, &vec![7; length]).unwrap();
            let mut out = BytesMut::new();
            encode_backend_key(&key, &mut out);
            let read = parse_backend_key(&out[5..]).unwrap();
            assert_eq!((read.pid, read.secret()), (key.pid, key.secret()));

            let mut request = BytesMut::new();
            encode_cancel_request(&key, &mut request);
            let Ok(Opening::Cancel(read)) = startup::parse(&request[4..]) else {
                panic!("a cancel request")
            };
            assert_eq!((read.pid, read.secret()), (key.pid, key.secret()));
        }
        assert!(parse_backend_key(&[0, 0, 0, 1, 2, 3, 4]).is_none());
    }
}
