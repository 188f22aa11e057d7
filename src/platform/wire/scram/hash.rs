//! The two hashes of SCRAM-SHA-256. Whatever comes out of them is wiped: most of it are keys.

use aws_lc_rs::digest;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use zeroize::Zeroizing;

pub(super) type Key = Zeroizing<[u8; 32]>;

pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    let mut context = hmac::Context::with_key(&hmac::Key::new(HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    taken(context.sign().as_ref())
}

pub(super) fn sha256(bytes: &[u8]) -> Key {
    taken(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// The 32 bytes of a hash whose type does not tell its length.
fn taken(hash: &[u8]) -> Key {
    let mut key = Key::default();
    for (to, from) in key.iter_mut().zip(hash) {
        *to = *from;
    }
    key
}
