//! Sources that fail again and again have to wait. A wrong proof costs a guesser its next tries, whatever it
//! guesses. A success forgives nothing: somebody with one login of their own could guess the others' for ever.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How long a source that has failed too often is refused.
const LOCKED_FOR: Duration = Duration::from_secs(60);
/// Within which time failures count together.
const WINDOW: Duration = Duration::from_secs(60);
/// Sources that are remembered; when there are more, those whose failures are over are forgotten.
const SOURCES_MAX: usize = 50_000;

/// Failures by source.
#[derive(Debug)]
pub struct Lockout {
    /// Failures within the window that lock a source; 0: never.
    limit: u32,
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    /// When the present window ends, or the lock.
    until: SystemTime,
}

impl Lockout {
    pub fn new(limit: u32) -> Self {
        Self {
            limit,
            failures: Mutex::default(),
        }
    }

    pub fn is_locked(&self, source: IpAddr, now: SystemTime) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let known = failures.get(&network(source));
        self.limit > 0 && known.is_some_and(|known| known.count >= self.limit && now < known.until)
    }

    /// Counts a failure; true when it locks the source.
    pub fn failed(&self, source: IpAddr, now: SystemTime) -> bool {
        if self.limit == 0 {
            return false;
        }
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let source = network(source);
        if failures.len() >= SOURCES_MAX && !failures.contains_key(&source) {
            failures.retain(|_, known| now < known.until);
            // So many at once are no guessers that a list of sources stops.
            if failures.len() >= SOURCES_MAX {
                return false;
            }
        }
        let fresh = Failures {
            count: 0,
            until: now.checked_add(WINDOW).unwrap_or(now),
        };
        let known = failures.entry(source).or_insert(fresh);
        if now >= known.until {
            *known = fresh;
        }
        known.count = known.count.saturating_add(1);
        let locks = known.count == self.limit;
        if locks {
            known.until = now.checked_add(LOCKED_FOR).unwrap_or(now);
        }
        locks
    }
}

/// An IPv6 host has a whole /64 to itself.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_source_that_guesses_waits_and_others_do_not() {
        let lockout = Lockout::new(3);
        let (guesser, other) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        assert!(!lockout.failed(guesser, at(0)));
        assert!(!lockout.failed(guesser, at(1)));
        assert!(!lockout.is_locked(guesser, at(1)));
        assert!(lockout.failed(guesser, at(2)));
        assert!(lockout.is_locked(guesser, at(61)));
        assert!(!lockout.is_locked(other, at(2)));
        assert!(!lockout.is_locked(guesser, at(62)));
        assert!(!lockout.failed(guesser, at(62)), "it begins anew");
    }

    #[test]
    fn slow_failures_lock_nobody() {
        let lockout = Lockout::new(2);
        let source = "2001:db8::1".parse().unwrap();
        assert!(!lockout.failed(source, at(0)));
        assert!(!lockout.failed(source, at(60)));
        assert!(!lockout.failed(source, at(120)));
        assert!(
            lockout.failed("2001:db8::2".parse().unwrap(), at(121)),
            "the same host"
        );
        assert!(!Lockout::new(0).failed(source, at(0)));
    }
}
