//! The bounded queue to the thread that writes: its callers' end.

use super::line::one_line;
use super::writer::{Answer, Job, Sink, State, Work, run};
use super::{FLUSH_TIMEOUT, SinkError};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines that may wait; a disk that stalls for a second at some thousand sessions a second loses none.
const QUEUE_LINES_MAX: usize = 8_192;
/// Bytes that may wait.
const QUEUE_BYTES_MAX: usize = 16 * 1_024 * 1_024;
/// How often a full queue is looked at again by a flush.
const FLUSH_STEP: Duration = Duration::from_millis(10);

/// The caller's end.
pub(super) struct Queue {
    jobs: Option<SyncSender<Job>>,
    state: Arc<State>,
    /// Nothing is ever sent: its other end goes with the thread.
    ended: Mutex<Receiver<()>>,
}

impl Queue {
    pub(super) fn start(sinks: Vec<Box<dyn Sink>>) -> io::Result<Self> {
        let (sender, jobs) = sync_channel(QUEUE_LINES_MAX);
        let (alive, ended) = sync_channel(1);
        let state = Arc::new(State {
            healthy: AtomicBool::new(true),
            retrying: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            queued_bytes: AtomicUsize::new(0),
        });
        let theirs = state.clone();
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || {
                run(sinks, &jobs, &theirs);
                drop::<SyncSender<()>>(alive);
            })?;
        Ok(Self {
            jobs: Some(sender),
            state,
            ended: Mutex::new(ended),
        })
    }

    /// Never waits.
    pub(super) fn put(&self, line: String, answer: Answer) -> Result<(), SinkError> {
        let line = one_line(line).inspect_err(|_| {
            // Not ill: it may be a client's doing.
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
        })?;
        let bytes = line.len();
        let queued = self.state.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let job = Job {
            work: Work::Line(line),
            answer,
        };
        let sent = match queued.saturating_add(bytes) > QUEUE_BYTES_MAX {
            true => Err(SinkError::Full),
            false => self.send(job).map_err(|(error, _)| error),
        };
        if sent.is_err() {
            self.state.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
            self.state.healthy.store(false, Ordering::Relaxed);
        }
        sent
    }

    /// Never waits; a second one waits for the first. Whether it was written shows in [`Queue::healthy`].
    pub(super) fn retry(&self, line: String) {
        if self.healthy() || self.state.retrying.swap(true, Ordering::Relaxed) {
            return;
        }
        let job = Job {
            work: Work::Retry(line),
            answer: Answer::Nobody,
        };
        if self.send(job).is_err() {
            self.state.retrying.store(false, Ordering::Relaxed);
        }
    }

    fn send(&self, job: Job) -> Result<(), (SinkError, Option<Job>)> {
        let jobs = self.jobs.as_ref().ok_or((SinkError::Stopped, None))?;
        jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) => (SinkError::Full, Some(job)),
            TrySendError::Disconnected(_) => (SinkError::Stopped, None),
        })
    }

    /// Waits for an answer on this thread.
    pub(super) fn wait(
        &self,
        answered: &Receiver<Result<(), SinkError>>,
        limit: Duration,
    ) -> Result<(), SinkError> {
        match answered.recv_timeout(limit) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => Err(self.late()),
            Err(RecvTimeoutError::Disconnected) => Err(self.gone()),
        }
    }

    pub(super) fn late(&self) -> SinkError {
        self.state.healthy.store(false, Ordering::Relaxed);
        SinkError::TimedOut
    }

    pub(super) fn gone(&self) -> SinkError {
        self.state.healthy.store(false, Ordering::Relaxed);
        SinkError::Stopped
    }

    pub(super) fn flush(&self, limit: Duration) -> Result<(), SinkError> {
        let began = Instant::now();
        let (answer, answered) = sync_channel(1);
        let mut job = Job {
            work: Work::Flush,
            answer: Answer::Thread(answer),
        };
        loop {
            job = match self.send(job) {
                Ok(()) => return self.wait(&answered, limit.saturating_sub(began.elapsed())),
                Err((SinkError::Full, Some(job))) if began.elapsed() < limit => job,
                Err((error, _)) => return Err(error),
            };
            std::thread::sleep(FLUSH_STEP);
        }
    }

    pub(super) fn healthy(&self) -> bool {
        self.state.healthy.load(Ordering::Relaxed)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.state.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> u64 {
        self.state.failed.load(Ordering::Relaxed)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // The thread ends when it has written what is queued.
        self.jobs = None;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(FLUSH_TIMEOUT);
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LINE_BYTES_MAX, Sinks};
    use super::*;

    /// Waits for a word before each line.
    struct Slow(Receiver<()>, Arc<AtomicUsize>);

    impl Sink for Slow {
        fn write(&mut self, _line: &str) -> Result<(), SinkError> {
            let _ = self.0.recv();
            self.1.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    struct Broken;

    impl Sink for Broken {
        fn write(&mut self, _line: &str) -> Result<(), SinkError> {
            panic!("a defect")
        }
    }

    fn slow() -> (Queue, SyncSender<()>, Arc<AtomicUsize>) {
        let (go, wait) = sync_channel(QUEUE_LINES_MAX * 2);
        let written = Arc::new(AtomicUsize::new(0));
        let queue = Queue::start(vec![Box::new(Slow(wait, written.clone()))]).unwrap();
        (queue, go, written)
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_what_is_queued_is_written_at_the_end() {
        let (queue, go, written) = slow();
        let asked = QUEUE_LINES_MAX + 10;
        let taken = (0..asked)
            .filter(|_| queue.put("{}".to_owned(), Answer::Nobody).is_ok())
            .count();
        assert!(
            (QUEUE_LINES_MAX..=QUEUE_LINES_MAX + 1).contains(&taken),
            "{taken}"
        );
        assert_eq!(queue.dropped(), u64::try_from(asked - taken).unwrap());
        assert!(!queue.healthy());
        assert!(queue.flush(Duration::from_millis(30)).is_err());
        drop(go);
        drop(queue);
        assert_eq!(written.load(Ordering::SeqCst), taken);
    }

    /// The time of the test passes as soon as nothing else happens.
    #[tokio::test(start_paused = true)]
    async fn a_line_that_takes_too_long_is_waited_for_no_longer() {
        let (queue, go, written) = slow();
        let sinks = Sinks {
            queue,
            required: true,
        };
        let began = tokio::time::Instant::now();
        let result = sinks.write_durably("{}".to_owned()).await;
        assert!(matches!(result, Err(SinkError::TimedOut)), "{result:?}");
        assert!(began.elapsed() < Duration::from_secs(3));
        assert!(!sinks.healthy());
        drop(go);
        sinks.flush().unwrap();
        assert_eq!((written.load(Ordering::SeqCst), sinks.healthy()), (1, true));
    }

    #[test]
    fn what_waits_is_bounded_in_bytes() {
        let (queue, go, _) = slow();
        let line = "x".repeat(LINE_BYTES_MAX);
        let taken = (0..300)
            .filter(|_| queue.put(line.clone(), Answer::Nobody).is_ok())
            .count();
        assert!((256..=257).contains(&taken), "{taken}");
        drop(go);
        queue.flush(Duration::from_secs(5)).unwrap();
        assert_eq!(queue.state.queued_bytes.load(Ordering::SeqCst), 0);
        queue.put(line.clone(), Answer::Nobody).unwrap();
        let long = "\n".repeat(LINE_BYTES_MAX / 2 + 1);
        assert!(matches!(
            queue.put(long, Answer::Nobody),
            Err(SinkError::TooLong(65_538))
        ));
    }

    #[test]
    fn a_thread_that_died_is_an_error_and_not_a_wait() {
        let queue = Queue::start(vec![Box::new(Broken)]).unwrap();
        let (answer, answered) = sync_channel(1);
        queue.put("{}".to_owned(), Answer::Thread(answer)).unwrap();
        let result = queue.wait(&answered, Duration::from_secs(5));
        assert!(matches!(result, Err(SinkError::Stopped)), "{result:?}");
        assert!(!queue.healthy());
        let began = Instant::now();
        while queue.put("{}".to_owned(), Answer::Nobody).is_ok() {
            assert!(began.elapsed() < Duration::from_secs(5));
        }
    }
}
