//! Signatures of proofs that were used, until the proofs are too old to be used again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How far the clock may be set back without a used proof becoming good again.
const MARGIN: Duration = Duration::from_secs(60);

/// Why a proof may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It was used, or is being verified right now.
    Used,
    /// Forgetting an earlier one would allow its replay.
    Full,
}

/// When it may be forgotten (seconds of the epoch), and the signature. The date is signed, so one
/// signature always comes with one end.
type Entry = (u64, Box<str>);

/// Remembers a bounded number of signatures.
#[derive(Debug)]
pub struct Replays {
    used: Mutex<BTreeSet<Entry>>,
    capacity: usize,
}

impl Replays {
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            used: Mutex::default(),
            capacity,
        })
    }

    /// Claims a signature that is good until `end`. Dropping the claim gives it back: a proof that
    /// opened nothing was not used. Were it kept, strangers' made-up signatures would fill the memory.
    pub fn claim(
        self: &Arc<Self>,
        signature: &str,
        end: SystemTime,
        now: SystemTime,
    ) -> Result<Claim, Refused> {
        let entry = (seconds(end).saturating_add(MARGIN.as_secs()), signature.into());
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let now = seconds(now);
        while used.first().is_some_and(|(end, _)| *end < now) {
            used.pop_first();
        }
        if used.contains(&entry) {
            return Err(Refused::Used);
        }
        if used.len() >= self.capacity {
            return Err(Refused::Full);
        }
        used.insert(entry.clone());
        Ok(Claim {
            replays: self.clone(),
            entry: Some(entry),
        })
    }
}

/// Rounded up, so that nothing is forgotten early by a fraction.
fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since
        .as_secs()
        .saturating_add(u64::from(since.subsec_nanos() > 0))
}

/// A signature that nobody else can use meanwhile.
#[derive(Debug)]
pub struct Claim {
    replays: Arc<Replays>,
    /// `None` once it is used for good.
    entry: Option<Entry>,
}

impl Claim {
    /// The proof was accepted: it never is again.
    pub fn used(mut self) {
        self.entry = None;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            let used = self.replays.used.lock();
            used.unwrap_or_else(PoisonError::into_inner).remove(&entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_signature_is_used_once_until_it_is_too_old() {
        let replays = Replays::new(10);
        replays.claim("a", at(100), at(40)).unwrap().used();
        for now in [40, 100, 160] {
            assert_eq!(
                replays.claim("a", at(100), at(now)).unwrap_err(),
                Refused::Used,
                "{now}"
            );
        }
        assert!(replays.claim("b", at(100), at(40)).is_ok());
        assert!(replays.claim("a", at(100), at(161)).is_ok());
    }

    #[test]
    fn who_is_being_verified_is_not_verified_twice() {
        let replays = Replays::new(10);
        let claim = replays.claim("a", at(100), at(40)).unwrap();
        assert_eq!(replays.claim("a", at(100), at(40)).unwrap_err(), Refused::Used);
        drop(claim);
        assert!(replays.claim("a", at(100), at(40)).is_ok());
    }

    #[test]
    fn nothing_is_forgotten_for_want_of_room() {
        let replays = Replays::new(2);
        replays.claim("a", at(100), at(40)).unwrap().used();
        let pending = replays.claim("b", at(200), at(40)).unwrap();
        assert_eq!(replays.claim("c", at(200), at(40)).unwrap_err(), Refused::Full);
        assert_eq!(replays.claim("a", at(100), at(40)).unwrap_err(), Refused::Used);
        pending.used();
        // `a` is too old by now.
        replays.claim("c", at(300), at(170)).unwrap().used();
        assert_eq!(replays.claim("d", at(300), at(170)).unwrap_err(), Refused::Full);
    }
}
