//! One issuer's keys as they are held: fetched when needed, by one caller for all, and not too often.
//!
//! Tokens that nobody has verified make keys be fetched, so how often that happens must not depend on
//! how many come. A fetch goes on when the client that caused it leaves; otherwise clients that come
//! and go could use up the turns.

use super::error::OidcError;
use super::fetch::{FetchError, KeysError, Source};
use super::jwks::{KeySet, Miss};
use crate::error::Chain;
use crate::platform::clock::Clock;
use crate::platform::task::Background;
use arc_swap::ArcSwapOption;
use jsonwebtoken::{Algorithm, DecodingKey};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// For how long keys are kept, whatever the issuer says about it.
const KEPT_MIN: Duration = Duration::from_secs(5 * 60);
const KEPT_MAX: Duration = Duration::from_secs(24 * 3_600);
/// After their fetch, keys are good for that long if the issuer does not answer meanwhile.
const USABLE: Duration = KEPT_MAX;
/// Between a fetch for an unknown key, or one that failed, and the next.
const PAUSE: Duration = Duration::from_secs(30);
/// The same while there are no keys at all, so that nobody can log in.
const PAUSE_WITHOUT_KEYS: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Keys {
    source: Source,
    clock: Clock,
    background: Background,
    held: ArcSwapOption<Held>,
    /// Whoever has it may fetch.
    turn: Arc<Mutex<Turn>>,
}

#[derive(Debug)]
struct Held {
    set: KeySet,
    fetched: SystemTime,
    kept: Duration,
}

#[derive(Debug, Default)]
struct Turn {
    /// The last fetch that was for an unknown key, or failed.
    paused_at: Option<SystemTime>,
    /// How the last fetch failed, if it did.
    failure: Option<Arc<KeysError>>,
}

/// Why keys are to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// There are none.
    Missing,
    /// They are old, but the one that is asked for is among them.
    Old,
    /// The one that is asked for is not among them.
    Unknown,
}

impl Keys {
    pub(super) fn new(source: Source, clock: Clock, background: Background) -> Self {
        Self {
            source,
            clock,
            background,
            held: ArcSwapOption::empty(),
            turn: Arc::default(),
        }
    }

    /// The key for a token with this header.
    pub(super) async fn find(
        self: &Arc<Self>,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<DecodingKey>, OidcError> {
        let now = self.clock.now();
        let before = self.held.load_full();
        let usable = before.as_ref().filter(|held| held.is_usable(now));
        let need = match usable.map(|held| (held.is_fresh(now), held.set.find(kid, algorithm))) {
            None => Need::Missing,
            Some((true, Ok(key))) => return Ok(key),
            Some((true, Err(miss @ (Miss::Unfit | Miss::Ambiguous)))) => return Err(miss.into()),
            Some((false, Ok(_))) => Need::Old,
            Some((_, Err(_))) => Need::Unknown,
        };
        let failure = self.renew(before.as_ref(), need).await;
        let held = self.held.load_full().filter(|held| held.is_usable(now));
        let found = held.map_or(Err(Miss::Unknown), |held| held.set.find(kid, algorithm));
        found.map_err(|miss| match (miss, failure) {
            (Miss::Unknown, Some(failure)) => OidcError::KeysUnavailable(failure),
            (miss, _) => miss.into(),
        })
    }

    /// Fetches unless others have done so, or it is too early; says how the last fetch failed.
    async fn renew(self: &Arc<Self>, before: Option<&Arc<Held>>, need: Need) -> Option<Arc<KeysError>> {
        let turn = match self.turn.clone().try_lock_owned() {
            Ok(turn) => turn,
            // Somebody is fetching, and what is held will do: only one needs to wait for the issuer.
            Err(_) if need == Need::Old => return None,
            Err(_) => self.turn.clone().lock_owned().await,
        };
        let is_renewed = self.held.load().as_ref().map(Arc::as_ptr) != before.map(Arc::as_ptr);
        if is_renewed || turn.is_too_early(need, self.clock.now()) {
            return turn.failure.clone();
        }
        let keys = Arc::clone(self);
        let fetch = self
            .background
            .run(async move { keys.fetch(turn, need).await })
            .await;
        fetch.unwrap_or_else(|| Some(Arc::new(self.source.failed(FetchError::Stopping))))
    }

    async fn fetch(&self, mut turn: OwnedMutexGuard<Turn>, need: Need) -> Option<Arc<KeysError>> {
        let fetched = self.clock.now();
        let outcome = self.source.fetch().await;
        if outcome.is_err() || need == Need::Unknown {
            // From its end: those who have waited meanwhile must not try one after the other.
            turn.paused_at = Some(self.clock.now());
        }
        turn.failure = match outcome {
            Ok((set, max_age)) => {
                let kept = max_age.unwrap_or_default().clamp(KEPT_MIN, KEPT_MAX);
                self.held.store(Some(Arc::new(Held { set, fetched, kept })));
                None
            }
            Err(fault) => {
                let failure = self.source.failed(fault);
                // Those whom the old keys suffice would not tell of it.
                tracing::warn!(error = %Chain(&failure), "the keys of an issuer could not be fetched");
                Some(Arc::new(failure))
            }
        };
        turn.failure.clone()
    }
}

impl Held {
    /// Not when the clock has been set back: then their age is not known.
    fn is_fresh(&self, now: SystemTime) -> bool {
        now.duration_since(self.fetched).is_ok_and(|age| age < self.kept)
    }

    fn is_usable(&self, now: SystemTime) -> bool {
        now.duration_since(self.fetched).unwrap_or_default() < USABLE
    }
}

impl Turn {
    fn is_too_early(&self, need: Need, now: SystemTime) -> bool {
        let pause = match need {
            Need::Missing => PAUSE_WITHOUT_KEYS,
            Need::Old | Need::Unknown => PAUSE,
        };
        self.paused_at
            .is_some_and(|at| now.duration_since(at).is_ok_and(|ago| ago < pause))
    }
}
