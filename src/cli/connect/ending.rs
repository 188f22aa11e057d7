//! What ends `connect`: its client, or a signal.

use rustix::process::{Pid, Signal, kill_process};
use std::io;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::Child;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::time::timeout;

/// How long the client may take to leave the terminal as it found it.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// What ended the whole.
pub enum End {
    Client(ExitStatus),
    /// A signal, with the code that says so.
    Told(u8),
}

/// Ctrl-C and Ctrl-\ reach every process of the terminal's foreground group. They are meant for the
/// client, which cancels its query and goes on; having a handler keeps them from ending dbproxy.
pub struct Signals {
    _interrupt: Stream,
    _quit: Stream,
    terminate: Stream,
    hangup: Stream,
}

impl Signals {
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            _interrupt: signal(SignalKind::interrupt())?,
            _quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the client, or ends it when dbproxy is told to end.
    pub async fn or_end_of(&mut self, client: &mut Child) -> io::Result<End> {
        let code = tokio::select! {
            status = client.wait() => return status.map(End::Client),
            _ = self.terminate.recv() => 143,
            _ = self.hangup.recv() => 129,
        };
        end(client).await?;
        Ok(End::Told(code))
    }
}

/// psql has terminal settings to restore, so it is asked first.
async fn end(client: &mut Child) -> io::Result<()> {
    let pid = client.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        // It may just have ended by itself.
        let _ = kill_process(pid, Signal::TERM);
    }
    if timeout(LAST_MOMENT, client.wait()).await.is_err() {
        client.kill().await?;
    }
    Ok(())
}
