//! Who was on what, when, and why: one JSON line when a session opens or is refused, one when it ends.
//!
//! - [`record`]: what became known of one attempt; closed exactly once
//! - [`asked`]: what operators ask of a running dbproxy; [`reloaded`]: what was read again meanwhile;
//!   [`ended`]: grants that are over
//! - [`sink`]: files, syslog, stdout; [`query`]: reads files back

pub mod asked;
pub mod ended;
pub mod query;
pub mod record;
pub mod reloaded;
pub mod sink;

pub use asked::{Asked, Decided};
pub use ended::GrantEnded;
pub use record::{Legs, Origin, Record, Signed, Volume};
pub use reloaded::{By, Reread};

use crate::error::Chain;
use crate::platform::clock::{Clock, rfc3339_millis};
use serde_json::Value;
use sink::{SinkError, Sinks};

/// Where the lines of all records go.
#[derive(Debug)]
pub struct Audit {
    sinks: Option<Sinks>,
    clock: Clock,
}

/// Lines that did not reach every sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Losses {
    /// At least one sink did not take them.
    pub failed: u64,
    /// They found no place in the queue.
    pub dropped: u64,
}

impl Audit {
    pub fn new(sinks: Option<Sinks>, clock: Clock) -> Self {
        Self { sinks, clock }
    }

    /// Waits, for some seconds at most, until what is queued is written.
    pub fn flush(&self) {
        if let Some(Err(error)) = self.sinks.as_ref().map(Sinks::flush) {
            tracing::error!(error = %Chain(&error), "audit lines were lost at the end");
        }
    }

    /// Whether a session may begin only when its line is written.
    pub fn is_required(&self) -> bool {
        self.sinks.as_ref().is_some_and(Sinks::required)
    }

    /// Lines are required, and the last one could not be written: no session can begin now.
    pub fn is_failing(&self) -> bool {
        let sinks = self.sinks.as_ref();
        sinks.is_some_and(|sinks| sinks.required() && !sinks.healthy())
    }

    /// Where no session can begin, no line of one shows that it could again: this line does.
    pub fn try_again(&self) {
        if let Some(sinks) = self.sinks.as_ref().filter(|_| self.is_failing()) {
            sinks.retry(&self.line("broker.audit_resumed", serde_json::Map::new()));
        }
    }

    fn line(&self, event: &'static str, mut facts: serde_json::Map<String, Value>) -> String {
        facts.insert("time".to_owned(), rfc3339_millis(self.clock.now()).into());
        facts.insert("event".to_owned(), event.into());
        facts.retain(|_, value| !value.is_null());
        Value::Object(facts).to_string()
    }

    /// Lines that are lost for good, since the start; `None` where lines go nowhere.
    pub fn losses(&self) -> Option<Losses> {
        self.sinks.as_ref().map(|sinks| Losses {
            failed: sinks.failed(),
            dropped: sinks.dropped(),
        })
    }

    /// Writes a line, with the time in front. Where lines are required it is on its way to the disk when this
    /// returns; otherwise it is queued, and nothing is waited for.
    async fn write(
        &self,
        event: &'static str,
        facts: serde_json::Map<String, Value>,
    ) -> Result<(), SinkError> {
        let Some(sinks) = &self.sinks else {
            return Ok(());
        };
        let line = self.line(event, facts);
        if !sinks.required() {
            return sinks.write(&line);
        }
        let written = sinks.write_durably(line).await;
        if let Err(error) = &written {
            tracing::error!(event, error = %Chain(error), "an audit line was not written");
        }
        written
    }
}
