//! HTTP for operators, on its own loopback address: health, metrics, shutdown.
//!
//! The three probes mean what Kubernetes means by them. None asks the database: a database that
//! is down must not take every dbproxy with it.

use crate::platform::task::Shutdown;
use crate::platform::telemetry::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// What the endpoints read and do.
#[derive(Debug, Clone)]
pub struct Handles {
    pub metrics: Metrics,
    pub max_clients: usize,
    pub shutdown: Shutdown,
    /// Set once all listeners are bound.
    pub started: Arc<AtomicBool>,
    /// Asks the process to drain and end.
    pub stop: Arc<Notify>,
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
        Ok(Self { listener, handles })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the process ends.
    pub async fn run(self) -> io::Result<()> {
        let end = self.handles.shutdown.end.clone();
        let routes = Router::new()
            .route("/startup", get(startup))
            .route("/readiness", get(readiness))
            .route("/liveness", get(|| async { "ok\n" }))
            .route("/metrics", get(metrics))
            .route("/shutdown", post(shutdown))
            .with_state(self.handles);
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
    let full = usize::try_from(handles.metrics.open_sessions()).is_ok_and(|open| open >= handles.max_clients);
    if !handles.started.load(Ordering::Acquire) {
        unavailable("starting\n")
    } else if handles.shutdown.drain.is_cancelled() {
        unavailable("draining\n")
    } else if full {
        unavailable("at the limit of client connections\n")
    } else {
        OK
    }
}

async fn metrics(State(handles): State<Handles>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], handles.metrics.encode())
}

/// POST only, and not from a web page: a browser always sends `Origin` with a POST.
async fn shutdown(State(handles): State<Handles>, headers: HeaderMap) -> Answer {
    if headers.contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "not from a web page\n");
    }
    handles.stop.notify_one();
    (StatusCode::ACCEPTED, "draining\n")
}
