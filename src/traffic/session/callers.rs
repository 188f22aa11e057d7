//! How many sessions each caller has, and how fast it opens new ones, so that one cannot take the places, or the
//! logins, of all.

use crate::domain::caller::Principal;
use crate::domain::reason::CloseReason;
use crate::error::{Refusal, SqlState};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A burst may be as large as what a second permits.
const BURST: Duration = Duration::from_secs(1);
/// So many callers are remembered before those are looked for that need not be.
const SWEEP_FROM: usize = 1_024;

/// What one caller may have. 0: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallerLimits {
    /// At a time.
    pub sessions: usize,
    /// New ones a second.
    pub per_second: u32,
}

/// The sessions of each caller. Touched when a caller is proven and when its session ends.
#[derive(Debug, Clone)]
pub struct Callers {
    limits: CallerLimits,
    accounts: Arc<Mutex<Accounts>>,
}

#[derive(Debug)]
struct Accounts {
    by_caller: HashMap<Principal, Account>,
    sweep_at: usize,
}

/// What is known of one caller.
#[derive(Debug, Clone, Copy)]
struct Account {
    sessions: usize,
    /// When all that was opened so far would have been opened at exactly the permitted pace (the "theoretical
    /// arrival time" of the generic cell rate algorithm, ITU-T I.371).
    paid_until: Instant,
}

/// One session of a caller; gives its place back when it ends.
#[derive(Debug)]
pub struct Seat {
    callers: Callers,
    /// Nobody where nothing is limited.
    counted: Option<Principal>,
}

/// Which limit a caller has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    Sessions(usize),
    Pace(u32),
}

impl Callers {
    pub fn new(limits: CallerLimits) -> Self {
        let accounts = Accounts {
            by_caller: HashMap::new(),
            sweep_at: SWEEP_FROM,
        };
        Self {
            limits,
            accounts: Arc::new(Mutex::new(accounts)),
        }
    }

    /// One more session of this caller, or why not.
    pub fn enter(&self, principal: &Principal, now: Instant) -> Result<Seat, Over> {
        let counted = (self.limits != CallerLimits::default()).then(|| principal.clone());
        if let Some(principal) = &counted {
            let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            accounts.sweep(now);
            let account = accounts.by_caller.entry(principal.clone());
            let account = account.or_insert(Account {
                sessions: 0,
                paid_until: now,
            });
            account.admit(self.limits, now)?;
        }
        Ok(Seat {
            callers: self.clone(),
            counted,
        })
    }
}

impl Account {
    /// Counts one more session, unless that is one too many. What is refused costs nothing.
    fn admit(&mut self, limits: CallerLimits, now: Instant) -> Result<(), Over> {
        if limits.sessions > 0 && self.sessions >= limits.sessions {
            return Err(Over::Sessions(limits.sessions));
        }
        if let Some(interval) = BURST.checked_div(limits.per_second) {
            let paid_until = self.paid_until.max(now);
            let ahead = paid_until.saturating_duration_since(now);
            if ahead > BURST.saturating_sub(interval) {
                return Err(Over::Pace(limits.per_second));
            }
            self.paid_until = paid_until.checked_add(interval).unwrap_or(paid_until);
        }
        self.sessions = self.sessions.saturating_add(1);
        Ok(())
    }

    /// Without sessions and with a whole burst before it: as if it had never been seen.
    fn is_blank(&self, now: Instant) -> bool {
        self.sessions == 0 && self.paid_until <= now
    }
}

impl Accounts {
    /// Forgets whom it need not remember, once there are twice as many as the last time.
    fn sweep(&mut self, now: Instant) {
        if self.by_caller.len() >= self.sweep_at {
            self.by_caller.retain(|_, account| !account.is_blank(now));
            self.sweep_at = self.by_caller.len().saturating_mul(2).max(SWEEP_FROM);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(principal) = &self.counted else { return };
        let mut accounts = self
            .callers
            .accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.by_caller.get_mut(principal) {
            account.sessions = account.sessions.saturating_sub(1);
            if account.is_blank(Instant::now()) {
                accounts.by_caller.remove(principal);
            }
        }
    }
}

impl Over {
    /// The caller is proven, so it may learn as whom it is counted.
    pub fn refusal(self, principal: &Principal) -> Refusal {
        let (message, hint) = match self {
            Self::Sessions(limit) => (
                format!("{principal} has {limit} sessions already, which is the limit for one caller"),
                "Close idle sessions, or have `max_sessions_per_caller` raised in dbproxy's configuration.",
            ),
            Self::Pace(limit) => (
                format!(
                    "{principal} opens sessions faster than {limit} a second, which is the limit for one caller"
                ),
                "Connect again in a second; keep connections open (a pool), or have `new_sessions_per_caller` \
                 raised in dbproxy's configuration.",
            ),
        };
        let reason = CloseReason::TooManyConnections;
        Refusal::new(reason, SqlState::TOO_MANY_CONNECTIONS, message).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> Principal {
        Principal::Password {
            name: name.to_owned(),
        }
    }

    fn limits(sessions: usize, per_second: u32) -> Callers {
        Callers::new(CallerLimits { sessions, per_second })
    }

    fn remembered(callers: &Callers) -> usize {
        callers.accounts.lock().unwrap().by_caller.len()
    }

    #[test]
    fn a_caller_is_counted_while_its_sessions_live_and_others_are_not_concerned() {
        let callers = limits(2, 0);
        let now = Instant::now();
        let enter = |name| callers.enter(&caller(name), now);
        let first = enter("a").unwrap();
        let second = enter("a").unwrap();
        assert_eq!(enter("a").err(), Some(Over::Sessions(2)));
        assert!(enter("b").is_ok());
        drop(first);
        let third = enter("a").unwrap();
        assert_eq!(enter("a").err(), Some(Over::Sessions(2)));
        drop((second, third));
        assert_eq!(remembered(&callers), 0);
    }

    #[test]
    fn a_caller_may_open_a_seconds_worth_at_once_and_then_keeps_the_pace() {
        let callers = limits(0, 4);
        let start = Instant::now();
        let at = |milliseconds| {
            let now = start + Duration::from_millis(milliseconds);
            callers.enter(&caller("a"), now).map(drop)
        };
        assert!((0..4).all(|_| at(0).is_ok()));
        // What is refused does not push the next one back.
        assert!((0..100).all(|_| at(0) == Err(Over::Pace(4))));
        assert_eq!(at(249), Err(Over::Pace(4)));
        assert_eq!(at(250), Ok(()));
        assert_eq!(at(251), Err(Over::Pace(4)));
        assert!((0..4).all(|_| at(5_000).is_ok()));
        assert_eq!(at(5_000), Err(Over::Pace(4)));
        assert!(callers.enter(&caller("b"), start).is_ok());
    }

    #[test]
    fn who_needs_not_be_remembered_is_forgotten() {
        let callers = limits(0, 1);
        let start = Instant::now();
        let held = callers.enter(&caller("held"), start).unwrap();
        for number in 1..SWEEP_FROM {
            drop(callers.enter(&caller(&number.to_string()), start));
        }
        assert_eq!(remembered(&callers), SWEEP_FROM);
        drop(callers.enter(&caller("late"), start + Duration::from_secs(3)));
        assert_eq!(remembered(&callers), 2);
        drop(held);
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let callers = limits(0, 0);
        let held: Vec<_> = (0..100)
            .map(|_| callers.enter(&caller("a"), Instant::now()).unwrap())
            .collect();
        assert_eq!(remembered(&callers), 0);
        drop(held);
    }
}
