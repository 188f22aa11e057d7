//! Where log lines go and how they look.

use std::io::IsTerminal;
use std::str::FromStr;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// How a log line looks. All lines go to stderr; stdout is for data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Text,
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("`{other}` is neither `text` nor `json`")),
        }
    }
}

/// What is logged.
#[derive(Debug, Clone)]
pub struct Config {
    pub format: Format,
    pub level: Level,
    /// Whether the lines that record sessions are written, whatever the level.
    pub audit: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            format: Format::default(),
            level: Level::default(),
            audit: true,
        }
    }
}

/// From which severity on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            other => Err(format!("`{other}` is none of `error`, `warn`, `info`, `debug`")),
        }
    }
}

/// Log lines that may wait for a reader that is slow; further ones are dropped. A terminal that is
/// stopped or a log driver that hangs must not stop the data path.
const LINES_WAITING_MAX: usize = 10_000;

/// Writes what is waiting when it is dropped.
#[must_use = "log lines are lost when this is dropped"]
#[derive(Debug)]
pub struct Logs(#[expect(dead_code, reason = "held for what it does when dropped")] WorkerGuard);

/// Installs the process-wide subscriber; a second call changes nothing.
pub fn install(config: &Config) -> Logs {
    let ours = match config.level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    let audit = if config.audit { "info" } else { "off" };
    // Libraries are held at `warn`: at `debug` the AWS SDK prints request headers.
    let filter = EnvFilter::new(format!("warn,dbproxy={ours},audit={audit}"));
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_WAITING_MAX)
        .finish(std::io::stderr());
    let lines = fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(std::io::stderr().is_terminal());
    let installed = match config.format {
        Format::Text => lines.try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
    if let Err(error) = installed {
        tracing::debug!(%error, "logging is already installed");
    }
    Logs(guard)
}
