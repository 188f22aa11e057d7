//! The live sessions, so that they can be told to end.

use crate::domain::session_id::SessionId;
use crate::traffic::relay::{Control, Wish};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// All sessions whose relay runs. Touched when one begins or ends, never while it runs.
#[derive(Debug, Default)]
pub struct Registry(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<SessionId, Arc<Control>>,
    /// What was wished of all; sessions that begin later hear it too.
    wished: Option<Wish>,
}

/// Keeps a session in the registry for as long as it lives.
#[derive(Debug)]
pub struct Listed<'a> {
    registry: &'a Registry,
    id: SessionId,
    pub control: Arc<Control>,
}

impl Registry {
    pub fn list(&self, id: SessionId) -> Listed<'_> {
        let control = Arc::new(Control::default());
        let mut state = self.lock();
        if let Some(wish) = state.wished {
            control.wish(wish);
        }
        state.sessions.insert(id, control.clone());
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
        for control in state.sessions.values() {
            control.wish(wish);
        }
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

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.registry.lock().sessions.remove(&self.id);
    }
}
