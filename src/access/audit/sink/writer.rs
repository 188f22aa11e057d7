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

pub(super) enum Work {
    Line(String),
    /// For sinks that did not take the last line, and no others.
    Retry(String),
    Flush,
}

pub(super) struct Job {
    pub(super) work: Work,
    pub(super) answer: Answer,
}

/// What both ends know.
#[derive(Debug)]
pub(super) struct State {
    pub(super) healthy: AtomicBool,
    /// A retry is queued: one is enough.
    pub(super) retrying: AtomicBool,
    pub(super) dropped: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) queued_bytes: AtomicUsize,
}

/// A sink, whether it took the last line, and when its failure was last logged.
struct Outlet {
    sink: Box<dyn Sink>,
    failed: bool,
    complaint: Seldom,
}

impl Outlet {
    fn new(sink: Box<dyn Sink>) -> Self {
        Self {
            sink,
            failed: false,
            complaint: Seldom::new(),
        }
    }
}

/// The thread: until every sender is gone and the queue is empty.
pub(super) fn run(sinks: Vec<Box<dyn Sink>>, jobs: &Receiver<Job>, state: &State) {
    let mut outlets: Vec<_> = sinks.into_iter().map(Outlet::new).collect();
    for job in jobs {
        let result = match job.work {
            Work::Flush => {
                outlets.iter_mut().for_each(|outlet| outlet.sink.flush());
                job.answer.give(Ok(()));
                continue;
            }
            Work::Retry(line) => {
                state.retrying.store(false, Ordering::Relaxed);
                write_to(outlets.iter_mut().filter(|outlet| outlet.failed), &line)
            }
            Work::Line(line) => {
                state.queued_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                let result = write_to(outlets.iter_mut(), &line);
                if result.is_err() {
                    state.failed.fetch_add(1, Ordering::Relaxed);
                }
                result
            }
        };
        state.healthy.store(result.is_ok(), Ordering::Relaxed);
        job.answer.give(result);
    }
    outlets.iter_mut().for_each(|outlet| outlet.sink.flush());
}

/// One that fails keeps the line from no other; the first failure is the answer.
fn write_to<'a>(outlets: impl Iterator<Item = &'a mut Outlet>, line: &str) -> Result<(), SinkError> {
    let mut result = Ok(());
    for outlet in outlets {
        let written = outlet.sink.write(line);
        outlet.failed = written.is_err();
        if let Err(error) = written {
            if outlet.complaint.is_due() {
                tracing::error!(error = %Chain(&error), "audit line not written");
            }
            result = result.and(Err(error));
        }
    }
    result
}
