//! The live sessions: what they are, and how they are told to end.

use crate::access::policy::Permit;
use crate::domain::reason::CloseReason;
use crate::domain::session_id::SessionId;
use crate::traffic::relay::{Control, Wish};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// All sessions whose relay runs. Touched when one begins or ends, and by whoever looks at them all, never by a
/// session while it runs.
#[derive(Debug, Default)]
pub struct Registry(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<SessionId, Live>,
    /// What was wished of all; sessions that begin later hear it too.
    wished: Option<Wish>,
}

/// One session as others see it.
#[derive(Debug, Clone)]
pub struct Facts {
    pub session: SessionId,
    pub permit: Permit,
    pub source: String,
    pub backend_pid: Option<i32>,
    pub began: SystemTime,
}

#[derive(Debug)]
struct Live {
    control: Arc<Control>,
    facts: Arc<Facts>,
    /// Since when it is to end.
    ending: Option<SystemTime>,
}

/// A session at one moment.
#[derive(Debug, Clone)]
pub struct Seen {
    pub facts: Arc<Facts>,
    /// Why it is to end, if it is.
    pub ending: Option<CloseReason>,
}

/// Keeps a session in the registry for as long as it lives.
#[derive(Debug)]
pub struct Listed<'a> {
    registry: &'a Registry,
    pub id: SessionId,
    pub control: Arc<Control>,
}

impl Registry {
    pub fn list(&self, facts: Facts) -> Listed<'_> {
        let (id, control) = (facts.session, Arc::new(Control::default()));
        let mut state = self.lock();
        if let Some(wish) = state.wished {
            control.wish(wish);
        }
        let live = Live {
            control: control.clone(),
            facts: Arc::new(facts),
            ending: None,
        };
        state.sessions.insert(id, live);
        Listed {
            registry: self,
            id,
            control,
        }
    }

    /// Tells every session, present and to come.
    pub fn wish_all(&self, wish: Wish) {
        let mut state = self.lock();
        state.wished = Some(wish);
        for live in state.sessions.values() {
            live.control.wish(wish);
        }
    }

    /// Tells one session to end; false when there is none of this id.
    pub fn end(&self, id: SessionId, wish: Wish, now: SystemTime) -> bool {
        match self.lock().sessions.get_mut(&id) {
            Some(live) => {
                live.end(wish, now);
                true
            }
            None => false,
        }
    }

    /// Ends sessions whose permitted time is over, and those that were to end and have not for longer than
    /// `grace`.
    pub fn sweep(&self, now: SystemTime, grace: Duration) {
        for live in self.lock().sessions.values_mut() {
            if let Some((end, reason)) = live.facts.permit.expires()
                && end <= now
            {
                live.end(Wish::EndWhenIdle(reason), now);
            }
            let since = live.ending.map(|since| now.duration_since(since));
            if since.is_some_and(|since| since.is_ok_and(|since| since >= grace)) {
                // It keeps the reason for which it began to end.
                live.control.wish(Wish::EndNow(CloseReason::Terminated));
            }
        }
    }

    /// The session goes on with another permit, whose time may be another.
    pub fn renew(&self, id: SessionId, permit: Permit) {
        if let Some(live) = self.lock().sessions.get_mut(&id) {
            let facts = Facts::clone(&live.facts);
            live.facts = Arc::new(Facts { permit, ..facts });
        }
    }

    pub fn all(&self) -> Vec<Arc<Facts>> {
        let state = self.lock();
        state.sessions.values().map(|live| live.facts.clone()).collect()
    }

    /// All sessions, the oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        let mut all: Vec<Seen> = self.lock().sessions.values().map(Live::seen).collect();
        all.sort_by_key(|seen| seen.facts.began);
        all
    }

    /// The sessions of these ids that there are.
    pub fn find(&self, ids: &[SessionId]) -> Vec<Arc<Facts>> {
        let state = self.lock();
        let found = ids.iter().filter_map(|id| state.sessions.get(id));
        found.map(|live| live.facts.clone()).collect()
    }

    pub fn len(&self) -> usize {
        self.lock().sessions.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    fn seen(&self) -> Seen {
        Seen {
            facts: self.facts.clone(),
            ending: match self.control.current() {
                Wish::Run => None,
                Wish::EndWhenIdle(reason) | Wish::EndNow(reason) => Some(reason),
            },
        }
    }

    fn end(&mut self, wish: Wish, now: SystemTime) {
        self.ending.get_or_insert(now);
        self.control.wish(wish);
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.registry.lock().sessions.remove(&self.id);
    }
}
