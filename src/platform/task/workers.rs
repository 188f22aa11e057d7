//! The data path's threads: each runs sessions of its own, so both sockets of a session wake the
//! same thread. Measured against a shared multi-thread runtime, this saves cross-thread wake-ups.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A fixed set of single-threaded runtimes.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Worker {
    handle: Handle,
    load: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// Counts a task as load for as long as it lives.
#[derive(Debug)]
struct LoadGuard(Arc<AtomicUsize>);

impl Drop for LoadGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts `count` threads (at least one).
    pub fn start(count: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let workers = (0..count.max(1))
            .map(|number| Worker::start(number, stop.clone()))
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Self {
            workers,
            tracker: TaskTracker::new(),
            stop,
        })
    }

    /// Runs `work` on the thread with the fewest tasks; it stays there, and [`Workers::drained`] waits for it.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Boxed here: a task holds a future both as it was handed over and as it runs.
        self.place(self.tracker.track_future(Box::pin(work)));
    }

    /// The same for what an end need not wait for.
    pub fn spawn_passing(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.place(Box::pin(work));
    }

    fn place(&self, work: impl Future<Output = ()> + Send + 'static) {
        let least = self
            .workers
            .iter()
            .min_by_key(|worker| worker.load.load(Ordering::Relaxed));
        if let Some(worker) = least {
            worker.load.fetch_add(1, Ordering::Relaxed);
            let guard = LoadGuard(worker.load.clone());
            worker.handle.spawn(async move {
                work.await;
                drop(guard);
            });
        }
    }

    /// Resolves when every task that is to be waited for has ended; no more are expected.
    pub async fn drained(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    pub fn tasks(&self) -> usize {
        self.tracker.len()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                // A panic there has been reported by the panic hook.
                let _ = thread.join();
            }
        }
    }
}

impl Worker {
    fn start(number: usize, stop: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let thread = std::thread::Builder::new()
            .name(format!("data-{number}"))
            .spawn(move || runtime.block_on(stop.cancelled()))?;
        Ok(Self {
            handle,
            load: Arc::default(),
            thread: Some(thread),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Mutex;

    #[tokio::test]
    async fn work_spreads_over_the_threads_and_is_waited_for() {
        let workers = Workers::start(2).unwrap();
        let seen = Arc::new(Mutex::new(HashSet::new()));
        for _ in 0..2 {
            let seen = seen.clone();
            workers.spawn(async move {
                seen.lock().unwrap().insert(std::thread::current().id());
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            });
        }
        workers.spawn_passing(std::future::pending());
        workers.drained().await;
        assert_eq!(seen.lock().unwrap().len(), 2);
        assert_eq!(workers.tasks(), 0);
    }
}
