//! How the rest of the process tells a relay to end, without a lock on the data path.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

/// What is wished of a session. Wishes only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Run,
    /// End as soon as no query runs and no transaction is open.
    EndWhenIdle,
    EndNow,
}

/// One session's ear.
#[derive(Debug, Default)]
pub struct Control {
    wish: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

impl Control {
    pub fn wish(&self, wish: Wish) {
        let level = match wish {
            Wish::Run => 0,
            Wish::EndWhenIdle => 1,
            Wish::EndNow => 2,
        };
        self.wish.fetch_max(level, Ordering::AcqRel);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waker {
            waker.wake_by_ref();
        }
    }

    fn current(&self) -> Wish {
        match self.wish.load(Ordering::Acquire) {
            0 => Wish::Run,
            1 => Wish::EndWhenIdle,
            _ => Wish::EndNow,
        }
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
            *self.control.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
        }
        self.control.current()
    }
}
