//! The pair that lets a client cancel its own query from a second connection.

use std::fmt;

/// Bounds of the secret part: 4 bytes in protocol 3.0, up to 256 from 3.2 on
/// (PostgreSQL manual, "Message Formats", `BackendKeyData`).
pub const CANCEL_SECRET_BYTES: std::ops::RangeInclusive<usize> = 4..=256;

/// Process id and secret of a backend, as in BackendKeyData and CancelRequest.
#[derive(Clone)]
pub struct CancelKey {
    pub pid: i32,
    secret: Box<[u8]>,
}

impl CancelKey {
    /// `None` when the secret's length is outside what the protocol knows.
    pub fn new(pid: i32, secret: &[u8]) -> Option<Self> {
        CANCEL_SECRET_BYTES.contains(&secret.len()).then(|| Self {
            pid,
            secret: secret.into(),
        })
    }

    pub fn secret(&self) -> &[u8] {
        &self.secret
    }
}

/// The secret stays out of logs: whoever has it can cancel the query.
impl fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CancelKey {{ pid: {} }}", self.pid)
    }
}
