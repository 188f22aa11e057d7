//! The side door: a CancelRequest finds the server of the session it names, or nothing. It is never
//! answered, so that a guesser learns nothing.

use super::Shared;
use super::sources;
use crate::domain::cancel_key::CancelKey;
use crate::domain::reason::CloseReason;
use crate::error::Chain;
use crate::platform::telemetry::metrics::CancelOutcome;
use crate::platform::tls::stream::ClientStream;
use crate::traffic::peers::{Answer, HandedOn, Peers};
use crate::traffic::upstream::cancel::CancelRoute;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Cancels under way at once; further ones wait for their turn.
const IN_FLIGHT_MAX: usize = 64;
/// Cancels of one session that may wait or be under way; more of them change nothing.
const PER_SESSION_MAX: usize = 4;
/// Tries to find a secret of this replica's slot; 64 are needed on average.
const TRIES_MAX: usize = 8_192;
/// How long a cancel may wait for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that connected only to cancel.
#[derive(Debug)]
pub struct CancelRequest {
    pub stream: ClientStream,
    pub key: CancelKey,
    /// Counts as a connection of its source until it is served.
    pub of_source: sources::Entry,
}

/// Which session a key belongs to. The process id is the server's own, so that clients that compare
/// it with `pg_backend_pid()` are right; the secret is dbproxy's, so that the same id on two
/// servers stays two keys and the server's secret never leaves dbproxy.
#[derive(Debug)]
pub struct CancelKeys {
    by_pid: Mutex<HashMap<i32, Vec<Entry>>>,
    in_flight: Semaphore,
    /// The replicas that share this one's address, if there are any.
    peers: Option<Arc<Peers>>,
}

#[derive(Debug)]
struct Entry {
    secret: Box<[u8]>,
    way: Arc<Way>,
}

/// The route of a key, and how many cancels are on it.
#[derive(Debug)]
struct Way {
    route: Arc<CancelRoute>,
    turns: Semaphore,
    /// The session is over: a cancel that still waits for its turn has nothing left to do.
    ended: AtomicBool,
}

/// Keeps a key valid for as long as its session lives.
#[derive(Debug)]
pub struct KeyGuard<'a> {
    keys: &'a CancelKeys,
    /// What the client is given.
    pub key: CancelKey,
}

impl CancelKeys {
    pub fn new(peers: Option<Arc<Peers>>) -> Self {
        Self {
            by_pid: Mutex::default(),
            in_flight: Semaphore::new(IN_FLIGHT_MAX),
            peers,
        }
    }

    /// A random key that, where there are replicas, leads to this one.
    fn random(&self, pid: i32, length: usize) -> Option<CancelKey> {
        let mut secret = vec![0; length];
        for _ in 0..TRIES_MAX {
            rand::fill(&mut secret).ok()?;
            let key = CancelKey::new(pid, &secret)?;
            if self.peers.as_ref().is_none_or(|peers| peers.leads_here(&key)) {
                return Some(key);
            }
        }
        None
    }

    /// Issues a key that leads to `route`, with a random secret as long as the server's. `None`
    /// when the operating system gives no random bytes.
    pub fn issue(&self, route: Arc<CancelRoute>) -> Option<KeyGuard<'_>> {
        let pid = route.key.pid;
        let key = self.random(pid, route.key.secret().len())?;
        let entry = Entry {
            secret: key.secret().into(),
            way: Arc::new(Way {
                route,
                turns: Semaphore::new(PER_SESSION_MAX),
                ended: AtomicBool::new(false),
            }),
        };
        self.lock().entry(pid).or_default().push(entry);
        Some(KeyGuard { keys: self, key })
    }

    /// One of the turns that bound how many cancels are under way; `None` if none is free for long.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        timeout(TURN_TIMEOUT, self.in_flight.acquire()).await.ok()?.ok()
    }

    fn find(&self, key: &CancelKey) -> Option<Arc<Way>> {
        let by_pid = self.lock();
        let entries = by_pid.get(&key.pid)?;
        entries
            .iter()
            .find(|entry| verify_slices_are_equal(&entry.secret, key.secret()).is_ok())
            .map(|entry| entry.way.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<i32, Vec<Entry>>> {
        self.by_pid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KeyGuard<'_> {
    fn drop(&mut self) {
        let mut by_pid = self.keys.lock();
        if let Some(entries) = by_pid.get_mut(&self.key.pid) {
            entries.retain(|entry| {
                let others = *entry.secret != *self.key.secret();
                if !others {
                    entry.way.ended.store(true, Ordering::Release);
                }
                others
            });
            if entries.is_empty() {
                by_pid.remove(&self.key.pid);
            }
        }
    }
}

/// Hands the request on. The client waits for the close of its connection, which comes when the
/// server has taken the cancel.
pub async fn serve(shared: &Shared, request: CancelRequest) -> CloseReason {
    let _held = shared.shutdown.hold();
    // The key is judged first: a guesser takes no turn from those who know theirs. What other replicas may know is
    // asked for only where the key leads to one.
    let outcome = match shared.cancel_keys.find(&request.key) {
        Some(way) => forward(shared, &way).await,
        None => Box::pin(hand_on(shared, &request.key)).await,
    };
    shared.metrics.cancel(outcome);
    drop(request.stream);
    CloseReason::CancelRequest
}

/// The same for a request that another replica hands on; it goes no further.
pub async fn serve_replica(shared: &Shared, key: &CancelKey) -> Answer {
    let outcome = match shared.cancel_keys.find(key) {
        Some(way) => forward(shared, &way).await,
        None => CancelOutcome::UnknownKey,
    };
    shared.metrics.cancel(outcome);
    match outcome {
        CancelOutcome::Forwarded => Answer::Done,
        CancelOutcome::UnknownKey => Answer::Unknown,
        _ => Answer::Failed,
    }
}

async fn hand_on(shared: &Shared, key: &CancelKey) -> CancelOutcome {
    let Some(peers) = &shared.cancel_keys.peers else {
        return CancelOutcome::UnknownKey;
    };
    match peers.hand_on(key).await {
        HandedOn::Answered(Answer::Done) => CancelOutcome::HandedOn,
        HandedOn::Answered(Answer::Unknown) => CancelOutcome::UnknownKey,
        HandedOn::Answered(Answer::Failed) => CancelOutcome::Failed,
        HandedOn::Refused => CancelOutcome::Refused,
    }
}

async fn forward(shared: &Shared, way: &Way) -> CancelOutcome {
    let Ok(_own) = way.turns.try_acquire() else {
        return CancelOutcome::Refused;
    };
    let Some(_turn) = shared.cancel_keys.turn().await else {
        return CancelOutcome::Refused;
    };
    if way.ended.load(Ordering::Acquire) {
        return CancelOutcome::UnknownKey;
    }
    match shared.connector.cancel(&way.route).await {
        Ok(()) => CancelOutcome::Forwarded,
        Err(error) => {
            let pid = way.route.key.pid;
            tracing::warn!(backend_pid = pid, error = %Chain(&error), "cancel failed");
            CancelOutcome::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::endpoint::{EndpointName, Region, RootsKind};
    use crate::domain::name::TargetName;
    use crate::domain::target::*;

    fn route(pid: i32, secret: &[u8]) -> Arc<CancelRoute> {
        let at = |port| HostPort {
            host: "localhost".into(),
            port,
        };
        Arc::new(CancelRoute {
            target: Arc::new(Target {
                name: TargetName::new("t").unwrap(),
                endpoint: EndpointName::parse("localhost"),
                dial: at(1),
                tls_name: "localhost".into(),
                token: at(1),
                region: Region::new("us-east-1").unwrap(),
                resource_id: None,
                account_id: None,
                trust: TrustRoots::Shipped(RootsKind::Rds),
                users: Users::Any,
                db_roles: Default::default(),
                cluster: None,
                declared: Default::default(),
                databases: Vec::new(),
                default_database: None,
                default_db_user: None,
                credential: CredentialKind::Passthrough,
                user_credentials: Default::default(),
                propagation: Default::default(),
            }),
            address: "127.0.0.1:1".parse().unwrap(),
            key: CancelKey::new(pid, secret).unwrap(),
        })
    }

    #[test]
    fn a_key_lives_as_long_as_its_session() {
        let keys = CancelKeys::new(None);
        let first = keys.issue(route(7, &[1; 4])).unwrap();
        let second = keys.issue(route(7, &[2; 32])).unwrap();
        assert_eq!(first.key.pid, 7);
        assert_eq!(first.key.secret().len(), 4);
        assert_eq!(second.key.secret().len(), 32);
        assert_eq!(keys.find(&first.key).unwrap().route.key.secret(), [1; 4]);
        assert_eq!(keys.find(&second.key).unwrap().route.key.secret(), [2; 32]);
        let gone = first.key.clone();
        let waiting = keys.find(&gone).unwrap();
        drop(first);
        assert!(waiting.ended.load(Ordering::Acquire));
        assert!(keys.find(&gone).is_none());
        assert!(keys.find(&second.key).is_some());
        drop(second);
        assert!(keys.lock().is_empty());
    }

    #[test]
    fn neither_the_servers_own_secret_nor_a_part_of_ours_is_a_key() {
        let keys = CancelKeys::new(None);
        let guard = keys.issue(route(7, &[1; 32])).unwrap();
        assert!(keys.find(&CancelKey::new(7, &[1; 32]).unwrap()).is_none());
        let part = CancelKey::new(7, &guard.key.secret()[..4]).unwrap();
        assert!(keys.find(&part).is_none());
        let other_pid = CancelKey::new(8, guard.key.secret()).unwrap();
        assert!(keys.find(&other_pid).is_none());
    }
}
