//! SIGTERM and SIGINT drain, a second one ends at once, SIGHUP reloads.

use std::io;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What made the process stop; decides its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// `POST /shutdown`, or the end of what dbproxy was started for.
    Asked,
    Interrupt,
    Terminate,
}

/// A signal that arrived.
#[derive(Debug)]
pub enum Signal {
    Stop(Stopped),
    Reload,
}

/// The signals dbproxy listens to.
#[derive(Debug)]
pub struct Signals {
    interrupt: Stream,
    terminate: Stream,
    hangup: Stream,
}

impl Signals {
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Stop(Stopped::Interrupt),
            _ = self.terminate.recv() => Signal::Stop(Stopped::Terminate),
            _ = self.hangup.recv() => Signal::Reload,
        }
    }

    /// Resolves at the next signal to stop.
    pub async fn second_stop(&mut self) {
        while !matches!(self.next().await, Signal::Stop(_)) {}
    }
}
