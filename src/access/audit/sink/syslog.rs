//! Lines to syslog, as RFC 5424 has them.

mod link;

use super::writer::Sink;
use super::{SinkError, SyslogTo};
use crate::platform::clock::Clock;
use link::Link;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant, SystemTime};

/// `local7`, the last there is.
const FACILITY_MAX: u8 = 23;
/// Informational: what a line is about stands in the line.
const SEVERITY: u8 = 6;
/// The pause after the first failure; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Longest host name (RFC 5424, section 6).
const HOST_BYTES_MAX: usize = 255;

/// A syslog server, and the way to it as long as it works.
#[derive(Debug)]
pub(super) struct Syslog {
    to: SyslogTo,
    clock: Clock,
    /// What stands before the time.
    before: String,
    /// What stands between the time and the line.
    after: String,
    link: Option<Link>,
    pause: Pause,
}

impl Syslog {
    pub(super) fn new(to: SyslogTo, facility: u8, clock: Clock) -> Result<Self, SinkError> {
        if facility > FACILITY_MAX {
            return Err(SinkError::Facility(facility));
        }
        let priority = facility.saturating_mul(8).saturating_add(SEVERITY);
        let host = host_name().unwrap_or_else(|| "-".to_owned());
        let process = std::process::id();
        Ok(Self {
            to,
            clock,
            before: format!("<{priority}>1 "),
            after: format!(" {host} dbproxy {process} audit - "),
            link: None,
            pause: Pause::default(),
        })
    }

    /// Connects if it is not connected; not at all soon after a failure.
    pub(super) fn connect(&mut self) -> Result<(), SinkError> {
        if self.link.is_some() {
            return Ok(());
        }
        if self.pause.lasts() {
            return Err(SinkError::Pausing { to: self.to.shown() });
        }
        self.link = Some(Link::connect(&self.to).map_err(|error| self.failed(error))?);
        Ok(())
    }

    fn failed(&mut self, source: io::Error) -> SinkError {
        self.pause.begin();
        SinkError::Reach {
            to: self.to.shown(),
            source,
        }
    }

    /// One try; a link that failed is given up.
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let Some(link) = &mut self.link else {
            return Err(ErrorKind::NotConnected.into());
        };
        let sent = link.send(message);
        if sent.as_ref().is_err_and(|error| !link::does_not_fit(error)) {
            self.link = None;
        }
        sent
    }

    fn message(&self, line: &str) -> Vec<u8> {
        let time = timestamp(self.clock.now());
        let message = [&self.before, &time, &self.after, line].concat();
        match self.to {
            SyslogTo::Tcp(_) => format!("{} {message}", message.len()).into_bytes(),
            SyslogTo::Unix(_) | SyslogTo::Udp(_) => message.into_bytes(),
        }
    }
}

impl Sink for Syslog {
    fn write(&mut self, line: &str) -> Result<(), SinkError> {
        let message = self.message(line);
        let is_old = self.link.is_some();
        self.connect()?;
        let mut sent = self.send(&message);
        let heard = sent.as_ref().err().map(io::Error::kind);
        // The server may have begun anew since the last line. One that only takes nothing gets no second
        // try: the lines behind wait.
        if is_old && self.link.is_none() && sent.as_ref().is_err_and(|error| !link::is_timeout(error)) {
            self.connect()?;
            sent = self.send(&message);
        }
        // The answer to the datagram before this one; without this, a host that has no server looks well.
        if let (SyslogTo::Udp(_), Some(ErrorKind::ConnectionRefused)) = (&self.to, heard) {
            sent = sent.and(Err(ErrorKind::ConnectionRefused.into()));
        }
        match sent {
            Ok(()) => {
                self.pause = Pause::default();
                Ok(())
            }
            Err(error) if link::does_not_fit(&error) => Err(SinkError::DoesNotFit {
                to: self.to.shown(),
                bytes: line.len(),
            }),
            Err(error) => Err(self.failed(error)),
        }
    }
}

impl SyslogTo {
    fn shown(&self) -> String {
        match self {
            Self::Unix(path) => format!("`{}`", path.display()),
            Self::Udp(address) | Self::Tcp(address) => format!("`{address}`"),
        }
    }
}

/// How long a server that failed is left alone.
#[derive(Debug, Default)]
struct Pause(Option<(Instant, Duration)>);

impl Pause {
    fn lasts(&self) -> bool {
        self.0.is_some_and(|(began, length)| began.elapsed() < length)
    }

    fn begin(&mut self) {
        let length = self.0.map_or(PAUSE_MIN, |(_, length)| length.saturating_mul(2));
        self.0 = Some((Instant::now(), length.min(PAUSE_MAX)));
    }
}

/// RFC 5424, section 6.2.3; `-` where there is none.
fn timestamp(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "-".to_owned(), |time| format!("{time:.3}"))
}

/// The machine's name, if it is one that a header may hold.
fn host_name() -> Option<String> {
    let found = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())?;
    let name = found.trim();
    let fits = (1..=HOST_BYTES_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| name.to_owned())
}
