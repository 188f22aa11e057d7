//! How the rest of the process tells a relay to end, without a lock on the data path.

use crate::domain::reason::CloseReason;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

/// What is wished of a session. Wishes only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Run,
    /// End as soon as no query runs and no transaction is open.
    EndWhenIdle(CloseReason),
    EndNow(CloseReason),
}

impl Wish {
    fn level(self) -> u8 {
        match self {
            Self::Run => 0,
            Self::EndWhenIdle(_) => 1,
            Self::EndNow(_) => 2,
        }
    }
}

/// One session's ear.
#[derive(Debug)]
pub struct Control {
    /// Of the wish below, for a look without its lock.
    level: AtomicU8,
    heard: Mutex<Heard>,
}

#[derive(Debug)]
struct Heard {
    wish: Wish,
    waker: Option<Waker>,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            level: AtomicU8::new(0),
            heard: Mutex::new(Heard {
                wish: Wish::Run,
                waker: None,
            }),
        }
    }
}

impl Control {
    /// Of two wishes that are equally urgent the first counts: its reason is why the session ends.
    pub fn wish(&self, wish: Wish) {
        let mut heard = self.lock();
        if wish.level() > heard.wish.level() {
            heard.wish = match (heard.wish, wish) {
                // What began to end for one reason does not end for another because it took long.
                (Wish::EndWhenIdle(reason), Wish::EndNow(_)) => Wish::EndNow(reason),
                _ => wish,
            };
            self.level.store(heard.wish.level(), Ordering::Release);
        }
        if let Some(waker) = &heard.waker {
            waker.wake_by_ref();
        }
    }

    pub fn current(&self) -> Wish {
        match self.level.load(Ordering::Acquire) {
            0 => Wish::Run,
            _ => self.lock().wish,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The relay's end: the lock is taken only when the task's waker changes, that is once.
#[derive(Debug)]
pub struct Listening {
    control: Arc<Control>,
    registered: Option<Waker>,
}

impl Listening {
    pub fn to(control: Arc<Control>) -> Self {
        Self {
            control,
            registered: None,
        }
    }

    pub fn poll(&mut self, cx: &mut Context<'_>) -> Wish {
        let known = self.registered.as_ref();
        if !known.is_some_and(|waker| waker.will_wake(cx.waker())) {
            let waker = cx.waker().clone();
            self.registered = Some(waker.clone());
            self.control.lock().waker = Some(waker);
        }
        self.control.current()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_grow_and_keep_their_first_reason() {
        let control = Control::default();
        control.wish(Wish::EndWhenIdle(CloseReason::PolicyChanged));
        control.wish(Wish::EndWhenIdle(CloseReason::Shutdown));
        assert_eq!(control.current(), Wish::EndWhenIdle(CloseReason::PolicyChanged));
        control.wish(Wish::EndNow(CloseReason::Shutdown));
        assert_eq!(control.current(), Wish::EndNow(CloseReason::PolicyChanged));
        control.wish(Wish::Run);
        assert_eq!(control.current(), Wish::EndNow(CloseReason::PolicyChanged));
    }
}
