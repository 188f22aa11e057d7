//! Sources that fail again and again have to wait. A wrong proof costs a guesser its next tries, whatever it
//! guesses. A success forgives nothing: somebody with one login of their own could guess the others' for ever.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How long a source that has failed too often is refused.
const LOCKED_FOR: Duration = Duration::from_secs(60);
/// Within which time failures count together.
const WINDOW: Duration = Duration::from_secs(60);
/// Sources that are remembered; for one more the oldest is forgotten.
const SOURCES_MAX: usize = 50_000;
/// How many of the oldest may be passed over for one more, because they are locked.
const PASSED_OVER_MAX: usize = 8;

/// Failures by source.
#[derive(Debug)]
pub struct Lockout {
    /// Failures within the window that lock a source; 0: never.
    limit: u32,
    failures: Mutex<Table>,
}

/// Each source once in both.
#[derive(Debug, Default)]
struct Table {
    by_source: HashMap<IpAddr, Failures>,
    /// From the oldest on.
    order: VecDeque<IpAddr>,
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
        let known = failures.by_source.get(&network(source));
        known.is_some_and(|known| self.locks(known, now))
    }

    /// Counts a failure; true when it locks the source.
    pub fn failed(&self, source: IpAddr, now: SystemTime) -> bool {
        if self.limit == 0 {
            return false;
        }
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let source = network(source);
        if !failures.by_source.contains_key(&source) {
            if failures.order.len() >= SOURCES_MAX {
                self.forget_one(&mut failures, now);
            }
            failures.order.push_back(source);
        }
        let fresh = Failures {
            count: 0,
            until: now.checked_add(WINDOW).unwrap_or(now),
        };
        let known = failures.by_source.entry(source).or_insert(fresh);
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

    fn locks(&self, known: &Failures, now: SystemTime) -> bool {
        self.limit > 0 && known.count >= self.limit && now < known.until
    }

    /// The oldest that is not locked, as far as that is found at once; else one that is.
    fn forget_one(&self, failures: &mut Table, now: SystemTime) {
        for passed in 0..=PASSED_OVER_MAX {
            let Some(oldest) = failures.order.pop_front() else {
                return;
            };
            let known = failures.by_source.get(&oldest);
            if passed < PASSED_OVER_MAX && known.is_some_and(|known| self.locks(known, now)) {
                failures.order.push_back(oldest);
                continue;
            }
            failures.by_source.remove(&oldest);
            return;
        }
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
    use std::net::Ipv4Addr;

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

    /// Whoever has very many addresses must not be able to switch the counting off.
    #[test]
    fn when_there_are_too_many_the_oldest_is_forgotten_and_new_ones_count() {
        let lockout = Lockout::new(2);
        let source = |number: usize| IpAddr::from(Ipv4Addr::from(u32::try_from(number).unwrap()));
        lockout.failed(source(0), at(0));
        for number in 0..SOURCES_MAX + 100 {
            lockout.failed(source(number), at(0));
        }
        assert!(lockout.is_locked(source(0), at(1)), "a lock outlives a flood");
        let newest = source(SOURCES_MAX + 99);
        assert!(lockout.failed(newest, at(1)), "its second failure");
        assert!(lockout.is_locked(newest, at(2)));
        assert!(!lockout.failed(source(1), at(2)), "its first one is forgotten");
        let failures = lockout.failures.lock().unwrap();
        assert_eq!(
            (failures.by_source.len(), failures.order.len()),
            (SOURCES_MAX, SOURCES_MAX)
        );
    }

    /// Locks alone do not fill it up either.
    #[test]
    fn when_all_are_locked_one_of_them_goes() {
        let lockout = Lockout::new(1);
        let source = |number: usize| IpAddr::from(Ipv4Addr::from(u32::try_from(number).unwrap()));
        for number in 0..SOURCES_MAX + 10 {
            assert!(lockout.failed(source(number), at(0)));
        }
        assert!(lockout.is_locked(source(SOURCES_MAX + 9), at(1)));
        assert_eq!(lockout.failures.lock().unwrap().by_source.len(), SOURCES_MAX);
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
