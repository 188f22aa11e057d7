//! Where log lines go and how they look.

use std::io::IsTerminal;
use std::str::FromStr;
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
    /// Whether audit records are written.
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

/// Installs the process-wide subscriber; a second call changes nothing.
pub fn install(config: &Config) {
    let ours = match config.level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    // Libraries are held at `warn`: at `debug` the AWS SDK prints request headers.
    let audit = if config.audit { "info" } else { "off" };
    let filter = EnvFilter::new(format!("warn,dbproxy={ours},audit={audit}"));
    let lines = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let installed = match config.format {
        Format::Text => lines.try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
    if let Err(error) = installed {
        tracing::debug!(%error, "logging is already installed");
    }
}
