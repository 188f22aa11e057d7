//! The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677) as PostgreSQL speaks
//! it: two messages in, two out, no sockets. The user name inside the exchange is ignored: it is the one
//! of the startup message that counts.

mod end_point;
mod hash;
mod message;
mod verifier;

pub use end_point::end_point;
pub use verifier::{ITERATIONS_MAX, ITERATIONS_MIN, Verifier, VerifierError};

use super::auth::{SCRAM_SHA_256, SCRAM_SHA_256_PLUS};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hash::{Key, hmac, sha256};
use message::{ClientFinal, ClientFirst, Flag};
use std::fmt;
use zeroize::Zeroizing;

/// Longest message of a client that is read; drivers send some hundred bytes.
pub const MESSAGE_BYTES_MAX: usize = 4_096;
/// Random bytes that the server adds to the client's nonce, as many as PostgreSQL.
pub const NONCE_BYTES: usize = 18;
/// The only type of channel binding that PostgreSQL's clients know (RFC 5929, section 4).
const TLS_SERVER_END_POINT: &str = "tls-server-end-point";

/// Why an exchange ended without a caller. Only [`ScramError::Proof`] says that a password was wrong; the
/// others are not reached by an honest client on an honest connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    #[error("a SCRAM message of {0} bytes, allowed are {MESSAGE_BYTES_MAX}")]
    TooLong(usize),
    #[error("malformed SCRAM message: {0}")]
    Malformed(&'static str),
    #[error("the SCRAM mechanism was not offered")]
    Mechanism,
    #[error("an authorization identity is not supported")]
    AuthorizationIdentity,
    #[error("the client requires a SCRAM extension that is not supported")]
    Extension,
    #[error("SCRAM-SHA-256-PLUS goes with channel binding, and SCRAM-SHA-256 without")]
    Unfit,
    #[error("the client was not told that channel binding is offered: somebody may have changed the offer")]
    Downgrade,
    #[error("the type of channel binding is not supported")]
    BindingType,
    #[error("the channel binding is not that of this connection: somebody may stand between")]
    Binding,
    #[error("the nonce is not that of this exchange")]
    Nonce,
    #[error("the proof does not fit the verifier")]
    Proof,
}

/// What is offered, the best first. `bound` is whether the connection is inside TLS and [`mod@end_point`] knows
/// its certificate's hash: then [`Exchange::begin`] is to be given that hash.
pub fn mechanisms(bound: bool) -> &'static [&'static str] {
    match bound {
        true => &[SCRAM_SHA_256_PLUS, SCRAM_SHA_256],
        false => &[SCRAM_SHA_256],
    }
}

/// An exchange that has answered the client's first message and waits for its last.
pub struct Exchange {
    stored_key: Key,
    server_key: Key,
    /// What the client must send as `c=`.
    binding: String,
    /// The client's nonce and ours.
    nonce: String,
    /// The signed text as far as it is known: both first messages.
    so_far: String,
}

impl Exchange {
    /// Answers the client's first message. `channel_binding` is the `tls-server-end-point` of the
    /// connection, if -PLUS was offered on it; `nonce` is random and never used again.
    pub fn begin(
        verifier: &Verifier,
        mechanism: &str,
        client_first: &[u8],
        channel_binding: Option<&[u8]>,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<(Vec<u8>, Self), ScramError> {
        let nonce = STANDARD.encode(nonce);
        Self::begin_with(verifier, mechanism, client_first, channel_binding, &nonce)
    }

    fn begin_with(
        verifier: &Verifier,
        mechanism: &str,
        client_first: &[u8],
        channel_binding: Option<&[u8]>,
        nonce: &str,
    ) -> Result<(Vec<u8>, Self), ScramError> {
        let first = ClientFirst::parse(client_first)?;
        let binding = binding(mechanism, &first, channel_binding)?;
        let nonce = [first.nonce, nonce].concat();
        let salt = STANDARD.encode(verifier.salt());
        let answer = format!("r={nonce},s={salt},i={}", verifier.iterations());
        let exchange = Self {
            stored_key: verifier.stored_key().clone(),
            server_key: verifier.server_key().clone(),
            binding,
            nonce,
            so_far: format!("{},{answer}", first.bare),
        };
        Ok((answer.into_bytes(), exchange))
    }

    /// Checks the proof in the client's last message. The answer proves to the client that this side knows
    /// the verifier too.
    pub fn finish(self, client_final: &[u8]) -> Result<Vec<u8>, ScramError> {
        let last = ClientFinal::parse(client_final)?;
        verify_slices_are_equal(last.binding.as_bytes(), self.binding.as_bytes())
            .map_err(|_| ScramError::Binding)?;
        if last.nonce != self.nonce {
            return Err(ScramError::Nonce);
        }
        let signed = [self.so_far.as_bytes(), b",", last.without_proof.as_bytes()];
        let signature = hmac(&*self.stored_key, &signed);
        // Whoever has the client's key can log in.
        let mut client_key = Zeroizing::new(last.proof);
        for (byte, mask) in client_key.iter_mut().zip(signature.iter()) {
            *byte ^= mask;
        }
        verify_slices_are_equal(&*sha256(&*client_key), &*self.stored_key).map_err(|_| ScramError::Proof)?;
        let signature = STANDARD.encode(hmac(&*self.server_key, &signed).as_slice());
        Ok(format!("v={signature}").into_bytes())
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

/// What the client must repeat at the end, under its proof: the header that it began with, and the data of
/// the channel (RFC 5802, section 6).
fn binding(mechanism: &str, first: &ClientFirst<'_>, channel: Option<&[u8]>) -> Result<String, ScramError> {
    let header = first.header.as_bytes();
    match (mechanism, first.flag, channel) {
        (SCRAM_SHA_256, Flag::Unsupported, _) | (SCRAM_SHA_256, Flag::NotOffered, None) => {
            Ok(STANDARD.encode(header))
        }
        (SCRAM_SHA_256, Flag::NotOffered, Some(_)) => Err(ScramError::Downgrade),
        (SCRAM_SHA_256, Flag::Used(_), _) => Err(ScramError::Unfit),
        (SCRAM_SHA_256_PLUS, Flag::Used(TLS_SERVER_END_POINT), Some(data)) => {
            Ok(STANDARD.encode([header, data].concat()))
        }
        (SCRAM_SHA_256_PLUS, Flag::Used(_), Some(_)) => Err(ScramError::BindingType),
        (SCRAM_SHA_256_PLUS, _, Some(_)) => Err(ScramError::Unfit),
        _ => Err(ScramError::Mechanism),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
