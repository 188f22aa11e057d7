//! A small cache for values that expire by wall time.
//!
//! Who fills: the first who asks; the others wait for the same fill (single flight). Who
//! refreshes: a hit in the last quarter of a value's life starts one refresh in the background and
//! is answered with the value held. A failed refresh leaves a still-valid value in place. A failed
//! first fill is remembered briefly, longer each time, so that an outage is not hammered.

use crate::domain::credential::Freshness;
use crate::platform::clock::Clock;
use crate::platform::task::Background;
use moka::future::Cache;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// Values kept at most; the least used go first.
const CAPACITY: u64 = 10_000;
const FAILURE_PAUSE_MIN: Duration = Duration::from_secs(1);
const FAILURE_PAUSE_MAX: Duration = Duration::from_secs(8);
/// How long after a failure the next one counts as its continuation.
const FAILURE_MEMORY: Duration = Duration::from_secs(60);
const REFRESH_PAUSE: Duration = Duration::from_secs(15);

/// How to tell when a value ends.
pub struct Life<V> {
    margin: Duration,
    expires_at: fn(&V) -> Option<SystemTime>,
    failure_pause: Duration,
}

impl<V> Life<V> {
    /// `margin` before what `expires_at` says, a value is no longer handed out. A value without
    /// expiry is kept for an hour, so that a changed source is noticed.
    pub fn new(margin: Duration, expires_at: fn(&V) -> Option<SystemTime>) -> Self {
        Self {
            margin,
            expires_at,
            failure_pause: FAILURE_PAUSE_MIN,
        }
    }

    /// Failures are told to those who wait for them, and not remembered.
    pub fn forgetting_failures(self) -> Self {
        Self {
            failure_pause: Duration::ZERO,
            ..self
        }
    }
}

impl<V> Clone for Life<V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<V> Copy for Life<V> {}

enum Slot<V, E> {
    Held {
        value: V,
        refresh_at: SystemTime,
        unusable_at: SystemTime,
        refreshing: AtomicBool,
    },
    Failed {
        error: E,
        until: SystemTime,
        pause: Duration,
    },
}

/// See the module's documentation. Cheap to clone; clones share the values.
pub struct RefreshingCache<K, V, E> {
    slots: Cache<K, Arc<Slot<V, E>>>,
    life: Life<V>,
    clock: Clock,
    background: Background,
}

impl<K, V, E> Clone for RefreshingCache<K, V, E> {
    fn clone(&self) -> Self {
        Self {
            slots: self.slots.clone(),
            life: self.life,
            clock: self.clock.clone(),
            background: self.background.clone(),
        }
    }
}

/// Shows no value: they are secrets.
impl<K, V, E> fmt::Debug for RefreshingCache<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefreshingCache({} slots)", self.slots.entry_count())
    }
}

impl<K, V, E> RefreshingCache<K, V, E>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    pub fn new(life: Life<V>, clock: Clock, background: Background) -> Self {
        Self {
            slots: Cache::new(CAPACITY),
            life,
            clock,
            background,
        }
    }

    /// The value for `key`, filled by `fill` if none is held. If the one who fills gives up, one of
    /// those who wait takes over.
    pub async fn get<F, Fut>(&self, key: &K, fill: F) -> Result<(V, Freshness), E>
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<V, E>> + Send + 'static,
    {
        let now = self.clock.now();
        // The common case first: a hit takes no lock and makes no future.
        if let Some(slot) = self.slots.get(key).await
            && let Slot::Held {
                value,
                refresh_at,
                unusable_at,
                refreshing,
            } = &*slot
            && now < *unusable_at
        {
            if now >= *refresh_at && !refreshing.swap(true, Ordering::AcqRel) {
                self.refresh(key.clone(), slot.clone(), fill);
            }
            return Ok((value.clone(), Freshness::Cached));
        }
        // Boxed: a fill's future is large, and every session would carry room for it.
        let filled = Box::pin(
            self.slots
                .entry_by_ref(key)
                .or_insert_with_if(self.first_fill(key, fill), |slot| slot.is_stale(now)),
        );
        let entry = filled.await;
        let freshness = if entry.is_fresh() {
            Freshness::Fresh
        } else {
            Freshness::Cached
        };
        match &**entry.value() {
            Slot::Held { value, .. } => Ok((value.clone(), freshness)),
            Slot::Failed { error, .. } => Err(error.clone()),
        }
    }

    /// Forgets the value of `key` if it is still the one meant; true if it was.
    pub async fn forget_if(&self, key: &K, meant: impl Fn(&V) -> bool) -> bool {
        if let Some(slot) = self.slots.get(key).await
            && let Slot::Held { value, .. } = &*slot
            && meant(value)
        {
            self.slots.invalidate(key).await;
            return true;
        }
        false
    }

    pub fn forget_all(&self) {
        self.slots.invalidate_all();
    }

    async fn first_fill<F, Fut>(&self, key: &K, fill: F) -> Arc<Slot<V, E>>
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<V, E>> + Send + 'static,
    {
        let before = self.slots.get(key).await;
        Arc::new(match fill().await {
            Ok(value) => self.held(value),
            Err(error) => {
                let now = self.clock.now();
                let pause = match before.as_deref() {
                    Some(Slot::Failed { pause, until, .. }) if is_recent(*until, now) => {
                        pause.saturating_mul(2).min(FAILURE_PAUSE_MAX)
                    }
                    _ => self.life.failure_pause,
                };
                Slot::Failed {
                    error,
                    until: now.checked_add(pause).unwrap_or(now),
                    pause,
                }
            }
        })
    }

    fn refresh<F, Fut>(&self, key: K, old: Arc<Slot<V, E>>, fill: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<V, E>> + Send + 'static,
    {
        let cache = self.clone();
        self.background.spawn("refresh credential", async move {
            if let Ok(value) = fill().await {
                cache.slots.insert(key, Arc::new(cache.held(value))).await;
            } else {
                tokio::time::sleep(REFRESH_PAUSE).await;
                if let Slot::Held { refreshing, .. } = &*old {
                    refreshing.store(false, Ordering::Release);
                }
            }
        });
    }

    fn held(&self, value: V) -> Slot<V, E> {
        let now = self.clock.now();
        let end = (self.life.expires_at)(&value)
            .or_else(|| now.checked_add(Duration::from_secs(3_600)))
            .unwrap_or(now);
        let unusable_at = end.checked_sub(self.life.margin).unwrap_or(end);
        let left = unusable_at.duration_since(now).unwrap_or_default();
        Slot::Held {
            value,
            refresh_at: left
                .checked_div(4)
                .and_then(|quarter| unusable_at.checked_sub(quarter))
                .unwrap_or(unusable_at),
            unusable_at,
            refreshing: AtomicBool::new(false),
        }
    }
}

/// A failure long ago says nothing about this one.
fn is_recent(until: SystemTime, now: SystemTime) -> bool {
    now.duration_since(until).is_ok_and(|ago| ago < FAILURE_MEMORY)
}

impl<V, E> Slot<V, E> {
    fn is_stale(&self, now: SystemTime) -> bool {
        match self {
            Self::Held { unusable_at, .. } => now >= *unusable_at,
            Self::Failed { until, .. } => now >= *until,
        }
    }
}

#[cfg(test)]
mod tests;
