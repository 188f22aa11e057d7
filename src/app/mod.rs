//! The one place where the parts meet: builds everything once, runs it, reloads, drains.

mod book;
mod callers;
pub mod doctor;
mod listeners;
mod oddities;
mod parts;
pub mod provision;
mod reload;
mod room;
mod signals;
mod take_back;
mod turn;
mod watch;

pub use signals::{Signals, Stopped};

use crate::access::audit::By;
use crate::access::audit::sink::SinkError;
use crate::access::catalog::{Catalog, Entry};
use crate::access::credential::Credentials;
use crate::access::credential::budget::LoginBudgets;
use crate::access::identity::lockout::Lockout;

use crate::admin::{Admin, AskedReload, Handles, RELOADS_WAITING};
use crate::config::Settings;
use crate::domain::reason::CloseReason;
use crate::platform::aws::Sdk;
use crate::platform::clock::Clock;
use crate::platform::process::{forbid_core_dumps, raise_file_limit};
use crate::platform::task::workers::Workers;
use crate::platform::task::{Background, Shutdown, aside, within};
use crate::platform::telemetry::metrics::Metrics;
use crate::platform::tls::TlsError;
use crate::platform::tls::server::ServerIdentity;
use crate::traffic::listener::{BindError, Gate, Listener, PeerListener};
use crate::traffic::peers::PeersError;
use crate::traffic::relay::Wish;
use crate::traffic::session::Shared;
use crate::traffic::session::callers::Callers;
use crate::traffic::session::cancel::CancelKeys;
use crate::traffic::session::registry::Registry;
use crate::traffic::session::sources::Sources;
use crate::traffic::upstream::Connector;
use book::Book;
use listeners::{bind, psql_command};
use parts::{identity_of_callers, join_peers, load_client_tls, open_admin, open_audit};
use room::Room;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use take_back::TakeBack;
use tokio::sync::{Notify, Semaphore, mpsc};

/// After the grace is over, how long closing may take.
const LAST_MOMENT: Duration = Duration::from_secs(3);
/// Why the process could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the data path's threads could not be started")]
    Threads(#[source] std::io::Error),
    #[error("the trust roots of the targets cannot be used")]
    Roots(#[source] TlsError),
    #[error("`client_tls` cannot be used")]
    ClientTls(#[source] TlsError),
    #[error("`peers` cannot be used")]
    Peers(#[from] PeersError),
    #[error("`audit` cannot be used")]
    Audit(#[source] SinkError),
    #[error("callers could not prove who they are")]
    Callers(#[from] callers::CallersError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("cannot listen on the admin address {0}")]
    Admin(SocketAddr, #[source] std::io::Error),
}

/// Everything built and bound; nothing accepted yet.
#[derive(Debug)]
pub struct App {
    listeners: Vec<Listener>,
    peer_listener: Option<PeerListener>,
    admin: Option<Admin>,
    gate: Gate,
    identity: Option<Arc<ServerIdentity>>,
    background: Background,
    shutdown: Shutdown,
    started: Arc<AtomicBool>,
    stop: Arc<Notify>,
    /// Reloads that operators wait for.
    reloads: mpsc::Receiver<AskedReload>,
    drain_timeout: Duration,
    policies: Option<watch::Place>,
    book: Option<Arc<Book>>,
    take_back: Option<TakeBack>,
    session_grace: Duration,
}

/// Credentials as the `token` command uses them, without listeners.
pub async fn credentials(settings: &Settings, background: &Background, metrics: &Metrics) -> Credentials {
    let region = settings.targets.first().map(|target| &target.region);
    let sdk = Sdk::load(region).await;
    Credentials::new(sdk, Clock::system(), background.clone(), metrics.clone())
}

impl App {
    /// Builds all parts and binds all addresses, or says what is in the way.
    pub async fn start(settings: Settings, runtime: tokio::runtime::Handle) -> Result<Self, StartError> {
        forbid_core_dumps();
        let room = Room::within(raise_file_limit(), settings.max_clients);
        let background = Background::new(runtime);
        let metrics = Metrics::new();
        let credentials = credentials(&settings, &background, &metrics).await;
        let connector =
            Connector::new(settings.dial, &settings.targets, metrics.clone()).map_err(StartError::Roots)?;
        let identity = load_client_tls(&settings)?;
        let peers = join_peers(settings.peers.as_ref())?;
        let clock = Clock::system();
        let audit = open_audit(&settings.audit, &clock)?;
        let identity_of_callers = identity_of_callers(&settings, &clock, &background)?;
        let shutdown = Shutdown::new();
        let catalog = Arc::new(Catalog::new(settings.policy.catalog.iter().cloned()));
        let book = settings.manifest.clone().map(Book::new).map(Arc::new);
        let shared = Arc::new(Shared {
            config: settings.session,
            audit: Arc::new(audit),
            identity: identity_of_callers,
            lockout: Lockout::new(settings.callers.login_failures),
            policy: settings.policy.policy.clone(),
            catalog: catalog.clone(),
            deciding: Arc::new(Semaphore::new(thread_count(settings.workers).div_ceil(2))),
            clock,
            credentials,
            budgets: LoginBudgets::new(settings.logins_per_second),
            connector,
            cancel_keys: CancelKeys::new(peers.as_ref().map(|(_, peers)| peers.clone())),
            registry: Registry::default(),
            sources: Sources::new(settings.max_clients_per_source),
            callers: Callers::new(settings.caller_limits),
            shutdown: shutdown.clone(),
            metrics,
        });
        let workers = Workers::start(thread_count(settings.workers)).map_err(StartError::Threads)?;
        let (started, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        let (reload, reloads) = mpsc::channel(RELOADS_WAITING);
        let admin = open_admin(
            settings.admin,
            Handles {
                shared: shared.clone(),
                targets: served(&catalog, &settings),
                max_clients: room.clients,
                started: started.clone(),
                stop: stop.clone(),
                reload,
                listener: String::new(),
            },
        )
        .await?;
        let take_back = take_back(&settings, &shared, book.as_ref(), &background);
        let drain_timeout = settings.drain_timeout;
        let (policies, session_grace) = (watch::Place::of(&settings.policy), settings.session_grace);
        let listeners = bind(settings, identity.as_ref(), &catalog)?;
        let peer_listener = peers
            .map(|(address, peers)| PeerListener::bind(address, peers))
            .transpose()?;
        Ok(Self {
            listeners,
            peer_listener,
            admin,
            gate: Gate::new(shared, Arc::new(workers), room.clients, room.turned_away),
            identity,
            background,
            shutdown,
            started,
            stop,
            reloads,
            drain_timeout,
            policies,
            book,
            take_back,
            session_grace,
        })
    }

    /// A paste-ready psql command for each address that clients connect to themselves.
    pub fn psql_commands(&self) -> Vec<String> {
        self.listeners.iter().map(psql_command).collect()
    }

    /// Serves until a signal or `POST /shutdown` says stop, then drains.
    pub async fn run(mut self, mut signals: Signals) -> Stopped {
        self.open();
        let stopped = self.wait(&mut signals).await;
        self.drain(signals.second_stop()).await;
        stopped
    }

    /// Serves until `ended` resolves, then drains. Signals are the caller's affair.
    pub async fn run_until(mut self, ended: impl Future<Output = ()>) {
        self.open();
        ended.await;
        self.drain(std::future::pending()).await;
    }

    /// Lets clients in.
    fn open(&mut self) {
        for listener in &self.listeners {
            let target = listener.door().target.name();
            tracing::info!(address = %listener.address(), database_target = %target, "listening");
        }
        for listener in std::mem::take(&mut self.listeners) {
            let running = listener.run(self.gate.clone(), self.shutdown.clone());
            self.background.spawn("listener", running);
        }
        if let Some(listener) = self.peer_listener.take() {
            let running = listener.run(self.gate.clone(), self.shutdown.clone());
            self.background.spawn("peers", running);
        }
        if let Some(admin) = self.admin.take() {
            if let Ok(address) = admin.address() {
                tracing::info!(%address, "admin address listening");
            }
            self.background.spawn("admin", async move {
                if let Err(error) = admin.run().await {
                    tracing::error!(%error, "admin address failed");
                }
            });
        }
        let shared = self.gate.shared.clone();
        if self.policies.is_some() {
            oddities::tell(&shared.policy, &shared.catalog);
        }
        let (place, book) = (self.policies.clone(), self.book.clone());
        let sweeping = watch::sweep(shared.clone(), self.session_grace);
        self.background.spawn("sweep", sweeping);
        self.background.spawn("watch", watch::files(shared, place, book));
        if let Some(house) = self.take_back.take() {
            self.background.spawn("take back", take_back::run(house));
        }
        self.started.store(true, Ordering::Release);
    }

    async fn wait(&mut self, signals: &mut Signals) -> Stopped {
        loop {
            tokio::select! {
                () = self.stop.notified() => return Stopped::Asked,
                signal = signals.next() => match signal {
                    signals::Signal::Stop(stopped) => return stopped,
                    signals::Signal::Reload => {
                        self.reload(By::Signal).await;
                    }
                },
                Some(AskedReload { by, answer }) = self.reloads.recv() => {
                    let _ = answer.send(self.reload(by).await);
                }
            }
        }
    }

    /// No new sessions; those that are finish; the rest is ended. `impatience` ends the waiting.
    async fn drain(&mut self, impatience: impl Future<Output = ()>) {
        let sessions = self.gate.shared.registry.len();
        tracing::info!(sessions, "draining");
        self.shutdown.drain.cancel();
        self.gate
            .shared
            .registry
            .wish_all(Wish::EndWhenIdle(CloseReason::Shutdown));
        let workers = self.gate.workers.clone();
        let drained = tokio::select! {
            drained = within(self.drain_timeout, workers.drained()) => drained.is_some(),
            () = impatience => false,
        };
        self.shutdown.end.cancel();
        if !drained {
            let left = self.gate.workers.tasks();
            tracing::warn!(connections = left, "grace is over, ending what is left");
            self.gate
                .shared
                .registry
                .wish_all(Wish::EndNow(CloseReason::Shutdown));
            let _ = within(LAST_MOMENT, workers.drained()).await;
        }
        // Cancels that came during the drain.
        let _ = within(LAST_MOMENT, self.shutdown.released()).await;
        let audit = self.gate.shared.audit.clone();
        aside(move || audit.flush()).await;
        tracing::info!(all_drained = drained, "stopped");
    }
}

/// Only if asked to: the provisioner's credential must be at hand for it.
fn take_back(
    settings: &Settings,
    shared: &Arc<Shared>,
    book: Option<&Arc<Book>>,
    background: &Background,
) -> Option<TakeBack> {
    let wanted = settings
        .manifest
        .as_ref()
        .is_some_and(|manifest| manifest.take_back);
    let book = book.filter(|_| wanted)?.clone();
    let targets = settings.targets.iter();
    let served = targets.filter(|target| target.credential.broker().is_none());
    let served = served.map(|target| target.name.clone()).collect();
    let around = (shared.clone(), book);
    Some(TakeBack::new(around, background.clone(), settings.dial, served))
}

fn served(catalog: &Catalog, settings: &Settings) -> Arc<[Arc<Entry>]> {
    let targets = settings.targets.iter();
    let entries = targets.filter_map(|target| catalog.entry(&target.name));
    entries.cloned().collect()
}

fn thread_count(configured: usize) -> usize {
    match configured {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        count => count,
    }
}
