//! When a cluster is tried again that could not be changed.

use crate::domain::name::TargetName;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// Failures in a row, and when the next attempt is.
#[derive(Debug, Default)]
pub struct Attempts(BTreeMap<TargetName, (u32, Instant)>);

impl Attempts {
    pub fn is_time(&self, cluster: &TargetName, now: Instant) -> bool {
        self.0.get(cluster).is_none_or(|(_, next)| *next <= now)
    }

    pub fn is_repeated(&self, cluster: &TargetName) -> bool {
        self.0.contains_key(cluster)
    }

    /// How long after a failure now it is tried again.
    pub fn pause(&self, cluster: &TargetName) -> Duration {
        let failures = self.0.get(cluster).map_or(0, |(failures, _)| *failures);
        let factor = 2_u32.saturating_pow(failures.min(16));
        FIRST.saturating_mul(factor).min(LONGEST)
    }

    pub fn note(&mut self, cluster: &TargetName, done: bool, now: Instant) {
        if done {
            return self.forget(cluster);
        }
        let next = now.checked_add(self.pause(cluster)).unwrap_or(now);
        let failures = self.0.get(cluster).map_or(0, |(failures, _)| *failures);
        self.0.insert(cluster.clone(), (failures.saturating_add(1), next));
    }

    /// There is nothing more to do about it.
    pub fn forget(&mut self, cluster: &TargetName) {
        self.0.remove(cluster);
    }

    pub fn next(&self) -> Option<Instant> {
        self.0.values().map(|(_, next)| *next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_five_minutes_and_begin_anew() {
        let (cluster, now) = (TargetName::new("orders").unwrap(), Instant::now());
        let mut attempts = Attempts::default();
        assert!(attempts.is_time(&cluster, now));
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pauses.push(attempts.pause(&cluster).as_secs());
            attempts.note(&cluster, false, now);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
        assert!(!attempts.is_time(&cluster, now + Duration::from_secs(299)));
        assert!(attempts.is_time(&cluster, now + Duration::from_secs(300)));
        assert_eq!(attempts.next(), Some(now + Duration::from_secs(300)));
        attempts.note(&cluster, true, now);
        assert!(attempts.is_time(&cluster, now) && attempts.next().is_none());
        assert_eq!(attempts.pause(&cluster), FIRST);
    }
}
