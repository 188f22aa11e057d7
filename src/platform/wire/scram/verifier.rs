//! What a server keeps of a password (RFC 5802, section 3): enough to check it, not enough to log in with.
//! Still a secret: guesses can be tried against it, and it lets its holder pass for the server.

use super::hash::{Key, hmac, sha256};
use aws_lc_rs::pbkdf2;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use zeroize::Zeroizing;

/// PostgreSQL's default, and the least that RFC 7677 allows.
pub const ITERATIONS_MIN: u32 = 4_096;
/// The client computes as long as the server says; longer than this nobody waits.
pub const ITERATIONS_MAX: u32 = 1_000_000;
const SALT_BYTES: RangeInclusive<usize> = 8..=64;
/// PostgreSQL's length of a salt, for users that do not exist.
const MOCK_SALT_BYTES: usize = 16;
/// The longest verifier that fits the bounds has 200.
const TEXT_BYTES_MAX: usize = 256;
const PASSWORD_BYTES_MAX: usize = 1_024;

/// Why something is no verifier. Shows nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    #[error("not of the form `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`")]
    Form,
    #[error("the iterations are not a number from {ITERATIONS_MIN} to {ITERATIONS_MAX}")]
    Iterations,
    #[error("the salt is not base64 of 8 to 64 bytes")]
    Salt,
    #[error("a key is not base64 of 32 bytes")]
    Key,
    #[error("the password is empty or longer than {PASSWORD_BYTES_MAX} bytes")]
    Password,
}

/// The verifier of one user's password. `Debug` shows nothing that helps to guess it; there is no `Display`.
#[derive(Clone)]
pub struct Verifier {
    iterations: u32,
    salt: Box<[u8]>,
    stored_key: Key,
    server_key: Key,
}

impl Verifier {
    /// Reads PostgreSQL's form (`rolpassword` of `pg_authid`).
    pub fn parse(text: &str) -> Result<Self, VerifierError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(VerifierError::Form);
        }
        let split = |text| -> Option<[&str; 4]> {
            let rest = str::strip_prefix(text, "SCRAM-SHA-256$")?;
            let (parameters, keys) = rest.split_once('$')?;
            let (iterations, salt) = parameters.split_once(':')?;
            let (stored_key, server_key) = keys.split_once(':')?;
            Some([iterations, salt, stored_key, server_key])
        };
        let [iterations, salt, stored_key, server_key] = split(text).ok_or(VerifierError::Form)?;
        // `parse` alone would take a sign too.
        if !iterations.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(VerifierError::Iterations);
        }
        let iterations = iterations.parse().map_err(|_| VerifierError::Iterations)?;
        let salt = STANDARD.decode(salt).map_err(|_| VerifierError::Salt)?;
        check(iterations, &salt)?;
        Ok(Self {
            iterations,
            salt: salt.into(),
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }

    /// Computes the verifier of a password, as `CREATE ROLE … PASSWORD` would. Takes as long as a login
    /// takes the client: not for the path of a connection.
    pub fn of_password(password: &[u8], salt: &[u8], iterations: u32) -> Result<Self, VerifierError> {
        if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
            return Err(VerifierError::Password);
        }
        let rounds = check(iterations, salt)?;
        let password = prepared(password);
        let mut salted = Key::default();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, &password, &mut *salted);
        Ok(Self {
            iterations,
            salt: salt.into(),
            stored_key: sha256(&*hmac(&*salted, &[b"Client Key"])),
            server_key: hmac(&*salted, &[b"Server Key"]),
        })
    }

    /// For a user that does not exist: always the same salt, so that asking twice tells nothing, and keys
    /// that nobody has a proof for, because nobody knows of what the stored one would be the hash. The
    /// seed must be secret, and the same as long as users are the same (also on other replicas).
    pub fn mock(user: &str, seed: &[u8; 32]) -> Self {
        Self::mock_of_shape(user, seed, ITERATIONS_MIN, MOCK_SALT_BYTES)
    }

    /// As [`Verifier::mock`], with as many iterations and as long a salt as the verifiers of real users.
    pub fn mock_like(&self, user: &str, seed: &[u8; 32]) -> Self {
        Self::mock_of_shape(user, seed, self.iterations, self.salt.len())
    }

    fn mock_of_shape(user: &str, seed: &[u8; 32], iterations: u32, salt_bytes: usize) -> Self {
        let derived = |label: &[u8]| hmac(seed, &[label, user.as_bytes()]);
        let (first, second) = (derived(b"salt\0"), derived(b"more salt\0"));
        Self {
            iterations,
            salt: first
                .iter()
                .chain(second.iter())
                .copied()
                .take(salt_bytes)
                .collect(),
            stored_key: derived(b"stored key\0"),
            server_key: derived(b"server key\0"),
        }
    }

    /// PostgreSQL's form, which [`Verifier::parse`] reads. Not a `Display`, lest it end in a log.
    pub fn to_text(&self) -> Zeroizing<String> {
        let salt = STANDARD.encode(&self.salt);
        let stored_key = Zeroizing::new(STANDARD.encode(self.stored_key.as_slice()));
        let server_key = Zeroizing::new(STANDARD.encode(self.server_key.as_slice()));
        let iterations = self.iterations;
        let mut text = Zeroizing::new(String::with_capacity(TEXT_BYTES_MAX));
        text.push_str(&format!("SCRAM-SHA-256${iterations}:{salt}$"));
        text.push_str(&stored_key);
        text.push(':');
        text.push_str(&server_key);
        text
    }

    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    pub(super) fn stored_key(&self) -> &Key {
        &self.stored_key
    }

    pub(super) fn server_key(&self) -> &Key {
        &self.server_key
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(redacted)")
    }
}

fn check(iterations: u32, salt: &[u8]) -> Result<NonZeroU32, VerifierError> {
    if !SALT_BYTES.contains(&salt.len()) {
        return Err(VerifierError::Salt);
    }
    match NonZeroU32::new(iterations) {
        Some(rounds) if (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) => Ok(rounds),
        _ => Err(VerifierError::Iterations),
    }
}

fn key(text: &str) -> Result<Key, VerifierError> {
    let bytes = STANDARD.decode(text).map(Zeroizing::new);
    let bytes = bytes.map_err(|_| VerifierError::Key)?;
    let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| VerifierError::Key)?;
    Ok(Zeroizing::new(bytes))
}

/// SASLprep (RFC 4013), and the raw password where that does not apply: so do PostgreSQL and its clients.
pub(super) fn prepared(password: &[u8]) -> Zeroizing<Vec<u8>> {
    let prepared = std::str::from_utf8(password).map(stringprep::saslprep);
    Zeroizing::new(match prepared {
        // PostgreSQL takes what leaves nothing for prohibited.
        Ok(Ok(text)) if !text.is_empty() => text.into_owned().into_bytes(),
        _ => password.to_vec(),
    })
}
