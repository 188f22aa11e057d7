//! Which replica issued a cancel key, told by the key itself.
//!
//! A key of protocol 3.0 has four bytes of secret: too few for an address, and an id in them would
//! leave fewer to guess. So nothing is written into the secret. A keyed hash sorts all secrets
//! into [`SLOTS`] slots, the same hash gives each replica a slot by its address, and a replica issues only
//! secrets of its own slot. Without the hash's key every secret is as likely as any other.

use crate::domain::cancel_key::CancelKey;
use crate::platform::tls::peer::derive;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use std::net::SocketAddr;

/// A secret of the wanted slot takes this many tries on average.
const SLOTS: u8 = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(u8);

/// Sorts keys and replicas into slots.
#[derive(Debug, Clone)]
pub struct Slots(hmac::Key);

impl Slots {
    pub fn from_secret(secret: &[u8]) -> Result<Self, rustls::Error> {
        let key = derive(secret, b"slots")?;
        Ok(Self(hmac::Key::new(HMAC_SHA256, key.as_ref())))
    }

    pub fn of_key(&self, key: &CancelKey) -> Slot {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"key");
        context.update(&key.pid.to_be_bytes());
        context.update(key.secret());
        slot(&context.sign())
    }

    pub fn of_replica(&self, address: SocketAddr) -> Slot {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"replica");
        let canonical = SocketAddr::new(address.ip().to_canonical(), address.port());
        context.update(canonical.to_string().as_bytes());
        slot(&context.sign())
    }
}

fn slot(tag: &hmac::Tag) -> Slot {
    // 256 is a multiple of the number of slots, so each is as likely.
    Slot(tag.as_ref().first().copied().unwrap_or_default() % SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn slots_depend_on_the_whole_key_and_on_the_secret() {
        let (ours, others) = (
            Slots::from_secret(b"a").unwrap(),
            Slots::from_secret(b"b").unwrap(),
        );
        let keys: Vec<_> = (0..400u32)
            .map(|n| CancelKey::new(7, &n.to_be_bytes()).unwrap())
            .collect();
        let seen: HashSet<u8> = keys.iter().map(|key| ours.of_key(key).0).collect();
        assert!(seen.len() > 60, "{}", seen.len());
        assert!(keys.iter().any(|key| ours.of_key(key) != others.of_key(key)));
        let elsewhere = CancelKey::new(8, keys[0].secret()).unwrap();
        let again = CancelKey::new(7, keys[0].secret()).unwrap();
        assert_eq!(ours.of_key(&keys[0]), ours.of_key(&again));
        let pids: HashSet<u8> = (0..100)
            .map(|pid| ours.of_key(&CancelKey::new(pid, elsewhere.secret()).unwrap()).0)
            .collect();
        assert!(pids.len() > 20);
    }

    #[test]
    fn a_replica_has_one_slot_however_its_address_is_written() {
        let slots = Slots::from_secret(b"a").unwrap();
        let v4 = slots.of_replica("10.0.0.1:6433".parse().unwrap());
        assert_eq!(slots.of_replica("[::ffff:10.0.0.1]:6433".parse().unwrap()), v4);
    }
}
