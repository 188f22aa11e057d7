//! A log line that strangers can cause must not become a flood.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Says yes once in a while.
#[derive(Debug, Default)]
pub struct Seldom {
    last: Mutex<Option<Instant>>,
}

/// How long after a yes the answer is no.
const PAUSE: Duration = Duration::from_secs(10);

impl Seldom {
    pub const fn new() -> Self {
        Self {
            last: Mutex::new(None),
        }
    }

    /// Whether it is time again; if so, the pause begins.
    pub fn is_due(&self) -> bool {
        self.is_due_at(Instant::now())
    }

    fn is_due_at(&self, now: Instant) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.saturating_duration_since(last) >= PAUSE);
        if due {
            *last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_a_pause() {
        let seldom = Seldom::new();
        let now = Instant::now();
        assert!(seldom.is_due_at(now));
        assert!(!seldom.is_due_at(now + PAUSE / 2));
        assert!(seldom.is_due_at(now + PAUSE));
    }
}
