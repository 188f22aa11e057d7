//! The thread that writes.

use super::SinkError;
use crate::error::Chain;
use crate::platform::telemetry::seldom::Seldom;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use tokio::sync::oneshot;

/// A place for lines. Called from one thread; a call ends within a second or two, save for stdout, the
/// disk and the resolver, which have no limit of their own.
pub(super) trait Sink: Send {
    /// The line has no end and holds no control characters.
    fn write(&mut self, line: &str) -> Result<(), SinkError>;
    fn flush(&mut self) {}
}

/// Who waits for a line.
pub(super) enum Answer {
    Nobody,
    Thread(SyncSender<Result<(), SinkError>>),
    Task(oneshot::Sender<Result<(), SinkError>>),
}

impl Answer {
    fn give(self, result: Result<(), SinkError>) {
        // Whoever waited may have gone.
        match self {
            Self::Nobody => {}
            Self::Thread(answer) => drop(answer.try_send(result)),
            Self::Task(answer) => drop(answer.send(result)),
        }
    }
}

pub(super) struct Job {
    /// `None`: flush.
    pub(super) line: Option<String>,
    pub(super) answer: Answer,
}

/// What both ends know.
#[derive(Debug)]
pub(super) struct State {
    pub(super) healthy: AtomicBool,
    pub(super) dropped: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) queued_bytes: AtomicUsize,
}

/// A sink, and when its failure was last logged.
struct Outlet {
    sink: Box<dyn Sink>,
    complaint: Seldom,
}

impl Outlet {
    fn new(sink: Box<dyn Sink>) -> Self {
        Self {
            sink,
            complaint: Seldom::new(),
        }
    }
}

/// The thread: until every sender is gone and the queue is empty.
pub(super) fn run(sinks: Vec<Box<dyn Sink>>, jobs: &Receiver<Job>, state: &State) {
    let mut outlets: Vec<_> = sinks.into_iter().map(Outlet::new).collect();
    for job in jobs {
        let Some(line) = job.line else {
            outlets.iter_mut().for_each(|outlet| outlet.sink.flush());
            job.answer.give(Ok(()));
            continue;
        };
        state.queued_bytes.fetch_sub(line.len(), Ordering::Relaxed);
        let result = write_to_all(&mut outlets, &line);
        if result.is_err() {
            state.failed.fetch_add(1, Ordering::Relaxed);
        }
        state.healthy.store(result.is_ok(), Ordering::Relaxed);
        job.answer.give(result);
    }
    outlets.iter_mut().for_each(|outlet| outlet.sink.flush());
}

/// One that fails keeps the line from no other; the first failure is the answer.
fn write_to_all(outlets: &mut [Outlet], line: &str) -> Result<(), SinkError> {
    let mut result = Ok(());
    for outlet in outlets {
        if let Err(error) = outlet.sink.write(line) {
            if outlet.complaint.is_due() {
                tracing::error!(error = %Chain(&error), "audit line not written");
            }
            result = result.and(Err(error));
        }
    }
    result
}
