//! One client connection from accept to close. Every state is a value that holds exactly what is
//! known so far; every step takes the state before it by value:
//!
//! [`arrive`](mod@arrive) → [`startup`] → [`identify`](mod@identify) → [`authorize`](mod@authorize) →
//! [`credential`](mod@credential) → [`connect`](mod@connect) (dial, login) →
//! [`serve`](mod@serve) (relay, close).
//! [`cancel`] is the side door.

pub mod arrive;
pub mod authorize;
pub mod callers;
pub mod cancel;
pub mod connect;
pub mod credential;
pub mod identify;
pub mod propagate;
pub mod refuse;
pub mod registry;
pub mod serve;
pub mod sources;
pub mod startup;

use crate::access::audit::{Audit, Origin};
use crate::access::catalog::{Catalog, Entry};
use crate::access::credential::Credentials;
use crate::access::credential::budget::LoginBudgets;
use crate::access::identity::lockout::Lockout;
use crate::access::identity::{Authenticator, Identity, Peer};
use crate::access::policy::{Permit, Policy};
use crate::domain::reason::CloseReason;
use crate::domain::target::Target;
use crate::platform::clock::Clock;
use crate::platform::task::Shutdown;
use crate::platform::telemetry::metrics::Metrics;
use crate::platform::tls::server::ServerIdentity;
use crate::platform::tls::stream::ClientStream;
use crate::traffic::upstream::Connector;
use callers::Callers;
use cancel::CancelKeys;
use ipnet::IpNet;
use registry::Registry;
use sources::Sources;
use startup::Opened;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Bounds that hold for every session.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// From accept until the client is logged in at the server.
    pub startup_timeout: Duration,
    /// See [`prepare`](crate::traffic::upstream::dial::prepare).
    pub tcp_user_timeout: Option<Duration>,
}

/// What all sessions share.
#[derive(Debug)]
pub struct Shared {
    pub config: Config,
    pub audit: Arc<Audit>,
    pub identity: Identity,
    pub lockout: Lockout,
    pub policy: Arc<Policy>,
    /// All databases of the configuration, as the manifest says now.
    pub catalog: Arc<Catalog>,
    /// How many decisions of policies run at a time: the relays need processors, too.
    pub deciding: Arc<Semaphore>,
    pub clock: Clock,
    pub credentials: Credentials,
    pub budgets: LoginBudgets,
    pub connector: Connector,
    pub cancel_keys: CancelKeys,
    pub registry: Registry,
    pub sources: Sources,
    pub callers: Callers,
    pub shutdown: Shutdown,
    pub metrics: Metrics,
}

impl Shared {
    /// What is known now of the target that a permit is for.
    pub fn target_of(&self, permit: &Permit) -> Arc<Target> {
        let entry = self.catalog.entry(&permit.target().name);
        entry.map_or_else(|| permit.target().clone(), |entry| entry.now())
    }
}

/// What the sessions of one listener share.
#[derive(Debug)]
pub struct Door {
    pub target: Arc<Entry>,
    pub tls: Option<Arc<ServerIdentity>>,
    /// Refuse clients that do not ask for TLS.
    pub tls_required: bool,
    /// How callers may prove themselves here, in the order in which that is tried.
    pub authenticators: Arc<[Authenticator]>,
    /// A unix socket that other users may reach.
    pub shared_socket: bool,
    /// Load balancers that connect here and say for whom, by PROXY protocol v2. Empty: clients connect
    /// themselves.
    pub balancers: Vec<IpNet>,
}

/// A connection that was just accepted.
#[derive(Debug)]
pub struct Accepted {
    pub stream: ClientStream,
    pub peer: Peer,
    pub origin: Origin,
    pub door: Arc<Door>,
    /// A place among the permitted number of sessions; without one the client is refused, but
    /// politely.
    pub place: Option<OwnedSemaphorePermit>,
}

/// Drives one connection to its end.
pub async fn run(shared: Arc<Shared>, accepted: Accepted) {
    let _open = shared.metrics.connection_accepted();
    let reason = drive(&shared, accepted).await;
    shared.metrics.connection_closed(reason);
}

async fn drive(shared: &Shared, accepted: Accepted) -> CloseReason {
    let deadline = Instant::now()
        .checked_add(shared.config.startup_timeout)
        .unwrap_or_else(Instant::now);
    let opening = startup::open(shared, accepted, deadline);
    let started = match Box::pin(opening).await {
        Ok(Opened::Session(started)) => started,
        Ok(Opened::Cancel(request)) => return Box::pin(cancel::serve(shared, request)).await,
        Err(refused) => return Box::pin(refused.tell(deadline)).await,
    };
    // The steps are boxed: their futures are many times the size of the relay's, which is what a
    // session consists of for nearly all its life.
    let connected = Box::pin(async {
        let identified = identify::identify(shared, *started, deadline).await?;
        let permitted = authorize::authorize(shared, identified, deadline).await?;
        let credentialed = credential::credential(shared, permitted, deadline).await?;
        connect::connect(shared, credentialed, deadline).await
    });
    match connected.await {
        Ok(connected) => serve::serve(shared, connected).await,
        Err(refused) => Box::pin(refused.tell(deadline)).await,
    }
}
