//! When a cluster is tried again that could not be changed.

use crate::domain::name::TargetName;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// Failures in a row and when the next attempt is, of those that failed last; and which are tried right now.
#[derive(Debug, Default)]
pub struct Attempts {
    failed: BTreeMap<TargetName, (u32, Instant)>,
    under_way: BTreeSet<TargetName>,
}

/// What one attempt needs to know of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    pub failed: bool,
    /// How long after a failure it is tried again.
    pub pause: Duration,
}

impl Attempts {
    /// Begins an attempt, if it is time for one.
    pub fn begin(&mut self, cluster: &TargetName, now: Instant) -> Option<Before> {
        let before = self.failed.get(cluster);
        if before.is_some_and(|(_, next)| *next > now) || self.is_under_way(cluster) {
            return None;
        }
        let before = Before {
            failed: before.is_some(),
            pause: self.pause(cluster),
        };
        self.under_way.insert(cluster.clone());
        Some(before)
    }

    pub fn is_under_way(&self, cluster: &TargetName) -> bool {
        self.under_way.contains(cluster)
    }

    fn pause(&self, cluster: &TargetName) -> Duration {
        let failures = self.failed.get(cluster).map_or(0, |(failures, _)| *failures);
        let factor = 2_u32.saturating_pow(failures.min(16));
        FIRST.saturating_mul(factor).min(LONGEST)
    }

    /// How the attempt ended.
    pub fn note(&mut self, cluster: &TargetName, done: bool, now: Instant) {
        self.under_way.remove(cluster);
        if done {
            return self.forget(cluster);
        }
        let next = now.checked_add(self.pause(cluster)).unwrap_or(now);
        let failures = self.failed.get(cluster).map_or(0, |(failures, _)| *failures);
        self.failed
            .insert(cluster.clone(), (failures.saturating_add(1), next));
    }

    /// There is nothing more to do about it.
    pub fn forget(&mut self, cluster: &TargetName) {
        self.failed.remove(cluster);
    }

    /// The next attempt of those that wait for one.
    pub fn next(&self) -> Option<Instant> {
        let waiting = self.failed.iter();
        let waiting = waiting.filter(|(cluster, _)| !self.is_under_way(cluster));
        waiting.map(|(_, (_, next))| *next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_five_minutes_and_begin_anew() {
        let (cluster, now) = (TargetName::new("orders").unwrap(), Instant::now());
        let mut attempts = Attempts::default();
        let (mut pauses, mut at) = (Vec::new(), now);
        for _ in 0..8 {
            let before = attempts.begin(&cluster, at).unwrap();
            assert_eq!(before.failed, !pauses.is_empty());
            pauses.push(before.pause.as_secs());
            attempts.note(&cluster, false, at);
            assert_eq!(attempts.begin(&cluster, at), None);
            assert_eq!(attempts.next(), Some(at + before.pause));
            at += before.pause;
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
        attempts.begin(&cluster, at).unwrap();
        attempts.note(&cluster, true, at);
        assert_eq!(attempts.next(), None);
        assert_eq!(attempts.begin(&cluster, at).unwrap().pause, FIRST);
    }

    #[test]
    fn one_attempt_at_a_time_and_each_cluster_by_itself() {
        let (one, two) = (TargetName::new("one").unwrap(), TargetName::new("two").unwrap());
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        attempts.begin(&one, now).unwrap();
        attempts.note(&one, false, now);
        let later = now + FIRST;
        assert!(attempts.begin(&one, later).is_some());
        assert!(attempts.begin(&one, later).is_none());
        // Nobody is woken for what is under way.
        assert_eq!(attempts.next(), None);
        assert!(attempts.begin(&two, later).is_some());
    }
}
