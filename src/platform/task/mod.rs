//! The only place that spawns: named tasks, the data-path threads, one way to stop.

pub mod workers;

use std::future::Future;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The stages of an end, in order: stop accepting, then end what still runs.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Accept nothing new; sessions end as soon as nothing is cut.
    pub drain: CancellationToken,
    /// The grace is over: sessions end wherever they are.
    pub end: CancellationToken,
    held: TaskTracker,
}

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    /// Holds up the end of the process for a short work that nobody else waits for.
    pub fn hold(&self) -> TaskTrackerToken {
        self.held.token()
    }

    /// Resolves when nothing holds it up any more.
    pub async fn released(&self) {
        self.held.close();
        self.held.wait().await;
    }
}

/// Spawns background work on the runtime of AWS calls and housekeeping.
#[derive(Debug, Clone)]
pub struct Background(Handle);

impl Background {
    pub fn new(handle: Handle) -> Self {
        Self(handle)
    }

    /// Runs `work` there; nobody waits for it.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(async move {
            work.await;
            tracing::trace!(task = name, "task ended");
        });
    }

    /// Runs `work` there and waits for its answer: HTTP clients keep their connections on the
    /// runtime that first used them, so they must not be polled from a data-path thread. `None`
    /// when the runtime is shutting down or `work` panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.0.spawn(work).await.ok()
    }
}

impl Background {
    /// Runs `work` on a thread that may block. `None` as for [`Background::run`].
    pub async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.0.spawn_blocking(work).await.ok()
    }
}

/// Runs work that takes a while beside the thread's sockets. `None` when it panicked.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// Waits as long as it takes for `work`, but not longer than `limit`.
pub async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}
