//! The tokens that were accepted, each until it expires, so that none is accepted twice.
//!
//! Not a cache: what a cache drops when it is full could be presented again, and whoever may obtain
//! tokens could push another's out. So nothing is dropped before it expires; when the memory is full,
//! tokens are refused. Only verified tokens get in, and each issuer has its own memory: nobody but an
//! issuer's own clients can fill it. 128 a second, each valid for a quarter of an hour, do not.

use super::error::OidcError;
use aws_lc_rs::digest::{SHA256, digest};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Tokens of one issuer that are remembered at a time: some 12 MiB.
const REMEMBERED_MAX: usize = 131_072;

/// A token's `jti`, in a length that the token does not choose.
type Id = [u8; 32];

#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<Remembered>);

/// Both hold the same tokens.
#[derive(Debug, Default)]
struct Remembered {
    ids: HashSet<Id>,
    by_expiry: BinaryHeap<Reverse<(SystemTime, Id)>>,
}

impl Seen {
    /// Remembers a token unless it is remembered.
    pub(super) fn admit(&self, jti: &str, expires: SystemTime, now: SystemTime) -> Result<(), OidcError> {
        let mut id = Id::default();
        id.copy_from_slice(digest(&SHA256, jti.as_bytes()).as_ref());
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.forget_expired(now);
        if remembered.ids.contains(&id) {
            return Err(OidcError::Replayed);
        }
        if remembered.ids.len() >= REMEMBERED_MAX {
            return Err(OidcError::Crowded);
        }
        remembered.ids.insert(id);
        remembered.by_expiry.push(Reverse((expires, id)));
        Ok(())
    }
}

impl Remembered {
    /// An expired token is refused for that.
    fn forget_expired(&mut self, now: SystemTime) {
        while let Some(Reverse((expires, id))) = self.by_expiry.peek()
            && *expires <= now
        {
            self.ids.remove(id);
            self.by_expiry.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn each_is_admitted_once_until_it_expires() {
        let seen = Seen::default();
        assert!(seen.admit("a", at(100), at(0)).is_ok());
        assert!(seen.admit("b", at(50), at(0)).is_ok());
        // Whatever the second token of that id says about its end.
        assert!(matches!(
            seen.admit("a", at(500), at(99)),
            Err(OidcError::Replayed)
        ));
        assert_eq!(seen.0.lock().unwrap().ids.len(), 1, "b is forgotten");
        assert!(seen.admit("a", at(200), at(100)).is_ok());
    }

    #[test]
    fn a_full_memory_refuses_until_one_expires() {
        let seen = Seen::default();
        for number in 0..REMEMBERED_MAX {
            let expires = at(100 + u64::from(number > 0));
            assert!(seen.admit(&number.to_string(), expires, at(0)).is_ok());
        }
        assert!(matches!(
            seen.admit("new", at(200), at(99)),
            Err(OidcError::Crowded)
        ));
        assert!(matches!(
            seen.admit("1", at(200), at(99)),
            Err(OidcError::Replayed)
        ));
        assert!(seen.admit("new", at(200), at(100)).is_ok());
        assert!(matches!(
            seen.admit("newer", at(200), at(100)),
            Err(OidcError::Crowded)
        ));
    }
}
