//! HTTP for operators, on its own loopback address: health, metrics, sessions, reload, shutdown.
//!
//! - [`guard`]: no web page; [`operator`]: who it is, and what policy says to that
//! - [`sessions`]: lists and ends them; [`reload`](mod@reload): what SIGHUP does;
//!   [`shutdown`](mod@shutdown): what SIGTERM does
//!
//! The three probes mean what Kubernetes means by them. None asks the database: a database that
//! is down must not take every dbproxy with it.

mod answer;
mod guard;
mod operator;
mod reload;
mod sessions;
mod shutdown;

pub use reload::{AskReload, AskedReload, RELOADS_WAITING, Reloaded};

use crate::access::catalog::Entry;
use crate::traffic::session::Shared;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// Longest body of a request.
const BODY_BYTES_MAX: usize = 64 * 1_024;

/// What the endpoints read and do.
#[derive(Debug, Clone)]
pub struct Handles {
    pub shared: Arc<Shared>,
    /// All of the configuration.
    pub targets: Arc<[Arc<Entry>]>,
    pub max_clients: usize,
    /// Set once all listeners are bound.
    pub started: Arc<AtomicBool>,
    /// Asks the process to drain and end.
    pub stop: Arc<Notify>,
    pub reload: AskReload,
    /// The admin address, as policies may name it.
    pub listener: String,
}

/// A bound admin address.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    handles: Handles,
}

impl Admin {
    pub async fn bind(address: SocketAddr, handles: Handles) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let handles = Handles {
            listener: listener.local_addr()?.to_string(),
            ..handles
        };
        Ok(Self { listener, handles })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the process ends.
    pub async fn run(self) -> io::Result<()> {
        let end = self.handles.shared.shutdown.end.clone();
        let operators = Router::new()
            .route("/sessions", get(sessions::list))
            .route("/sessions/terminate", post(sessions::terminate))
            .route("/reload", post(reload::reload))
            .route("/shutdown", post(shutdown::shutdown))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(from_fn(guard::no_web_pages));
        let routes = Router::new()
            .route("/startup", get(startup))
            .route("/readiness", get(readiness))
            .route("/liveness", get(|| async { "ok\n" }))
            .route("/metrics", get(metrics))
            .merge(operators)
            .with_state(self.handles)
            .into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(self.listener, routes)
            .with_graceful_shutdown(end.cancelled_owned())
            .await
    }
}

type Answer = (StatusCode, &'static str);
const OK: Answer = (StatusCode::OK, "ok\n");

async fn startup(State(handles): State<Handles>) -> Answer {
    if handles.started.load(Ordering::Acquire) {
        OK
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    }
}

async fn readiness(State(handles): State<Handles>) -> Answer {
    let unavailable = |why| (StatusCode::SERVICE_UNAVAILABLE, why);
    let full =
        usize::try_from(handles.shared.metrics.open_sessions()).is_ok_and(|open| open >= handles.max_clients);
    if !handles.started.load(Ordering::Acquire) {
        unavailable("starting\n")
    } else if handles.shared.shutdown.drain.is_cancelled() {
        unavailable("draining\n")
    } else if handles.shared.audit.is_failing() {
        unavailable("audit: lines are required and cannot be written\n")
    } else if full {
        unavailable("at the limit of client connections\n")
    } else {
        OK
    }
}

async fn metrics(State(handles): State<Handles>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let shared = &handles.shared;
    if let Some(lost) = shared.audit.losses() {
        shared.metrics.audit_lines_lost(lost.failed, lost.dropped);
    }
    ([(header::CONTENT_TYPE, kind)], shared.metrics.encode())
}
