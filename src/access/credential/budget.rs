//! How many new logins a second a cluster is given. RDS refuses IAM logins beyond 200 a second
//! (RDS User Guide, "Troubleshooting IAM DB authentication"), and a refused one costs as much.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex as FairMutex;
use tokio::time::Instant;

/// Logins of one cluster, first come first served.
#[derive(Debug)]
pub struct LoginBudget {
    interval: Duration,
    /// Logins that may start at once after a quiet time.
    burst: u32,
    /// When the next login may start if none had been saved up.
    next: FairMutex<Option<Instant>>,
}

impl LoginBudget {
    /// `per_second` of 0 means no limit.
    pub fn new(per_second: u32) -> Self {
        let interval = match per_second {
            0 => Duration::ZERO,
            n => Duration::from_secs(1).checked_div(n).unwrap_or_default(),
        };
        Self {
            interval,
            // A tenth of a second's worth: short bursts start at once, the rate still holds.
            burst: per_second.div_ceil(10),
            next: FairMutex::new(None),
        }
    }

    /// Waits for this login's turn. Who gives up waiting leaves the queue and takes no turn: only the
    /// one at its head reserves.
    pub async fn turn(&self) {
        if self.interval.is_zero() {
            return;
        }
        let mut next = self.next.lock().await;
        let now = Instant::now();
        let saved = self.interval.saturating_mul(self.burst);
        let earliest = now.checked_sub(saved).unwrap_or(now);
        let start = next.map_or(earliest, |next| next.max(earliest));
        if start > now {
            tokio::time::sleep_until(start).await;
        }
        *next = start.checked_add(self.interval);
    }
}

/// One budget per cluster.
#[derive(Debug)]
pub struct LoginBudgets {
    per_second: u32,
    clusters: Mutex<HashMap<String, Arc<LoginBudget>>>,
}

impl LoginBudgets {
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second,
            clusters: Mutex::default(),
        }
    }

    /// The budget that all targets with this resource id (or endpoint) share.
    pub fn of(&self, cluster: &str) -> Arc<LoginBudget> {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        match clusters.get(cluster) {
            Some(budget) => budget.clone(),
            None => {
                let budget = Arc::new(LoginBudget::new(self.per_second));
                clusters.insert(cluster.to_owned(), budget.clone());
                budget
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_starts_at_once_and_the_rate_holds_after_it() {
        let budget = LoginBudget::new(10);
        let start = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..4 {
            budget.turn().await;
            waits.push(start.elapsed().as_millis());
        }
        assert_eq!(waits, [0, 0, 100, 200]);
    }

    #[tokio::test(start_paused = true)]
    async fn zero_means_no_limit() {
        let budget = LoginBudget::new(0);
        let start = Instant::now();
        for _ in 0..1000 {
            budget.turn().await;
        }
        assert!(start.elapsed().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_takes_no_turn() {
        let budget = LoginBudget::new(10);
        budget.turn().await;
        budget.turn().await;
        for _ in 0..50 {
            let turn = tokio::time::timeout(Duration::from_millis(1), budget.turn());
            assert!(turn.await.is_err());
        }
        let start = Instant::now();
        budget.turn().await;
        assert!(start.elapsed() <= Duration::from_millis(100));
    }

    #[test]
    fn targets_of_one_cluster_share_a_budget() {
        let budgets = LoginBudgets::new(10);
        assert!(Arc::ptr_eq(&budgets.of("a"), &budgets.of("a")));
        assert!(!Arc::ptr_eq(&budgets.of("a"), &budgets.of("b")));
    }
}
