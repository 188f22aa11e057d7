//! The only reader of wall time, so that tests can move it.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// Where the wall time comes from. Token and credential expiry are wall times: a monotonic clock
/// stops while a laptop sleeps.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the one reader of wall time")]
    pub fn system() -> Self {
        Self(Arc::new(SystemTime::now))
    }

    /// A clock that answers what the given function says.
    pub fn from_fn(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// The same to the millisecond.
pub fn rfc3339_millis(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(
        |_| "out of range".to_owned(),
        |timestamp| format!("{timestamp:.3}"),
    )
}

/// A wall time as RFC 3339 in UTC, for logs and outputs.
pub fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(
        |_| "out of range".to_owned(),
        |timestamp| format!("{timestamp:.0}"),
    )
}
