//! Where JSON audit lines go: files, syslog, stdout. One thread writes them, so that a slow disk holds up
//! no session that does not wait for its own line.

mod append;
mod file;
mod line;
mod queue;
mod stdout;
mod syslog;
mod writer;

pub(super) use file::predecessor;

use crate::platform::clock::Clock;
use crate::platform::task::within;
use queue::Queue;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::oneshot;
use writer::{Answer, Sink};

/// Longest line that is written, without its end; the reader of audit files skips longer ones.
pub const LINE_BYTES_MAX: usize = 64 * 1_024;
/// Most rotated predecessors of a file.
pub const KEEP_MAX: usize = 100;
/// How long somebody waits for a line of theirs to be written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a close or a flush waits for what is queued.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// One place that gets every line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkSetting {
    Stdout,
    /// `rotate_bytes` 0: never rotated here. Otherwise `keep` predecessors stay: `path.1` (the newest) and on.
    File {
        path: PathBuf,
        rotate_bytes: u64,
        keep: usize,
    },
    /// RFC 5424; `facility` is its number, as 10 for `authpriv`.
    Syslog {
        to: SyslogTo,
        facility: u8,
    },
}

/// Where a syslog server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogTo {
    /// A unix datagram socket, as `/dev/log`.
    Unix(PathBuf),
    /// `host:port`
    Udp(String),
    /// `host:port`; messages with their length before them (RFC 6587, section 3.4.1).
    Tcp(String),
}

/// Why a line did not reach a sink, or the sinks could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error("audit lines are required, but there is no place for them")]
    NoSinks,
    #[error("the audit file `{path}` is to be rotated, so 1 to {KEEP_MAX} old ones must be kept, not {keep}")]
    Keep { path: PathBuf, keep: usize },
    #[error("syslog has no facility {0}")]
    Facility(u8),
    #[error("the audit thread cannot be started")]
    Thread(#[source] io::Error),
    #[error("the audit file `{path}` cannot be opened")]
    Open { path: PathBuf, source: io::Error },
    #[error("audit lines cannot be written to {sink}")]
    Write { sink: String, source: io::Error },
    #[error("syslog at {to} cannot be reached")]
    Reach { to: String, source: io::Error },
    #[error("syslog at {to} could not be reached a moment ago; it is tried again soon")]
    Pausing { to: String },
    #[error("an audit line of {bytes} bytes does not fit a message to syslog at {to}")]
    DoesNotFit { to: String, bytes: usize },
    #[error("an audit line of {0} bytes is too long, allowed are {LINE_BYTES_MAX}")]
    TooLong(usize),
    #[error("too many audit lines wait to be written")]
    Full,
    #[error("the audit line was not written in time")]
    TimedOut,
    #[error("the audit thread has ended")]
    Stopped,
}

/// All sinks, and the thread that writes to them. Dropping it writes what is queued, for a few seconds at
/// most; that blocks, as do [`Sinks::flush`] and, if lines are required, [`Sinks::write`].
#[derive(Debug)]
pub struct Sinks {
    queue: Queue,
    required: bool,
}

impl Sinks {
    /// A file that cannot be opened is an error; a syslog that cannot be reached is one if lines are
    /// `required`. Blocks while it connects.
    pub fn open(settings: &[SinkSetting], required: bool) -> Result<Self, SinkError> {
        Self::open_at(settings, required, &Clock::system())
    }

    /// As [`Sinks::open`]; the clock gives syslog messages their time.
    pub fn open_at(settings: &[SinkSetting], required: bool, clock: &Clock) -> Result<Self, SinkError> {
        if required && settings.is_empty() {
            return Err(SinkError::NoSinks);
        }
        let sinks = settings
            .iter()
            .map(|setting| open_one(setting, required, clock))
            .collect::<Result<_, _>>()?;
        let queue = Queue::start(sinks).map_err(SinkError::Thread)?;
        Ok(Self { queue, required })
    }

    /// Whether no session may begin before its line is written.
    pub fn required(&self) -> bool {
        self.required
    }

    /// Writes one line to every sink; what would end or garble it is escaped. If lines are required it
    /// waits until the kernel has the line, and fails if any sink did. Otherwise it never waits and never
    /// fails: what is lost is counted ([`Sinks::dropped`], [`Sinks::failed`]).
    pub fn write(&self, line: &str) -> Result<(), SinkError> {
        if !self.required {
            let _ = self.queue.put(line.to_owned(), Answer::Nobody);
            return Ok(());
        }
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        self.queue.put(line.to_owned(), Answer::Thread(answer))?;
        self.queue.wait(&answered, WRITE_TIMEOUT)
    }

    /// The same for async callers, required or not: the thread writes, the caller awaits its answer. Of a
    /// line that was not written in time it is not known whether it will be: it stays queued.
    pub async fn write_durably(&self, line: String) -> Result<(), SinkError> {
        let (answer, answered) = oneshot::channel();
        self.queue.put(line, Answer::Task(answer))?;
        match within(WRITE_TIMEOUT, answered).await {
            Some(answer) => answer.unwrap_or_else(|_| Err(self.queue.gone())),
            None => Err(self.queue.late()),
        }
    }

    /// Waits until what was queued before is written and files are on their disks; a few seconds at most.
    pub fn flush(&self) -> Result<(), SinkError> {
        self.queue.flush(FLUSH_TIMEOUT)
    }

    /// False after a line that did not reach every sink, until one does.
    pub fn healthy(&self) -> bool {
        self.queue.healthy()
    }

    /// While unhealthy: writes a line to the sinks that failed, to see whether they take lines again. Never waits.
    pub fn retry(&self, line: &str) {
        self.queue.retry(line.to_owned());
    }

    /// Lines that found no place in the queue, or were too long for it.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// Lines that at least one sink did not take.
    pub fn failed(&self) -> u64 {
        self.queue.failed()
    }
}

fn open_one(setting: &SinkSetting, required: bool, clock: &Clock) -> Result<Box<dyn Sink>, SinkError> {
    Ok(match setting {
        SinkSetting::Stdout => Box::new(stdout::Stdout::open()?),
        SinkSetting::File {
            path,
            rotate_bytes,
            keep,
        } => Box::new(file::File::open(path, *rotate_bytes, *keep)?),
        SinkSetting::Syslog { to, facility } => {
            let mut syslog = syslog::Syslog::new(to.clone(), *facility, clock.clone())?;
            match syslog.connect() {
                Err(error) if required => return Err(error),
                // Said by the first line that is to go there.
                Ok(()) | Err(_) => Box::new(syslog),
            }
        }
    })
}

#[cfg(test)]
mod tests;
