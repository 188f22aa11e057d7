//! `dbproxy connect TARGET [-- psql …]`: a private socket and a client that ends it.

use super::args::Connect;
use super::exit::Failure;
use super::token::one_target;
use super::{output, runtime};
use crate::app::App;
use crate::config::{ListenerSetting, Settings};
use crate::domain::target::Users;
use crate::platform::telemetry::logs;
use crate::traffic::listener::Address;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::process::Command;

/// The socket's port is part of its file name only.
const PORT: u16 = 5432;

pub fn run(flags: &Connect) -> Result<ExitCode, Failure> {
    let mut settings = one_target(&flags.common, &flags.target)?;
    let dir = PrivateDir::make()?;
    settings.log.level = logs::Level::Error;
    settings.admin = None;
    settings.listeners = settings
        .targets
        .iter()
        .map(|target| ListenerSetting {
            address: Address::Unix {
                dir: dir.0.clone(),
                port: PORT,
            },
            target: target.name.clone(),
        })
        .collect();
    let _logs = logs::install(&settings.log);
    let mut client = client(flags, &settings, &dir.0);
    let runtime = runtime()?;
    let status = runtime.block_on(async {
        let app = App::start(settings, runtime.handle().clone())
            .await
            .map_err(Failure::usage)?;
        let mut status = None;
        app.run_until(async { status = Some(client.status().await) })
            .await;
        let status = status.unwrap_or_else(|| Err(std::io::Error::other("it did not run")));
        status.map_err(|error| {
            let name = client.as_std().get_program().to_string_lossy().into_owned();
            Failure::text(1, format!("cannot run `{name}`: {error}"))
        })
    })?;
    // A client ended by a signal has no code of its own.
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    if code != 0 {
        output::note(&format!("the client ended with {status}"));
    }
    Ok(ExitCode::from(code))
}

fn client(flags: &Connect, settings: &Settings, dir: &Path) -> Command {
    let mut words = flags.client.iter();
    let program = words.next().map_or("psql", String::as_str);
    let mut client = Command::new(program);
    client
        .args(words)
        .env("PGHOST", dir)
        .env("PGPORT", PORT.to_string());
    let target = settings.targets.first();
    let listed = target.and_then(|target| match &target.users {
        Users::Listed(users) => users.first().map(ToString::to_string),
        Users::Any => None,
    });
    if let Some(user) = flags.db_user.clone().or(listed) {
        client.env("PGUSER", user);
    }
    let first = target
        .and_then(|target| target.databases.first())
        .map(ToString::to_string);
    if let Some(database) = flags.database.clone().or(first) {
        client.env("PGDATABASE", database);
    }
    client
}

/// A directory that only its owner may enter, gone when dropped.
struct PrivateDir(PathBuf);

impl PrivateDir {
    fn make() -> Result<Self, Failure> {
        use std::os::unix::fs::DirBuilderExt;
        let mut bits = [0; 8];
        aws_lc_rs::rand::fill(&mut bits).map_err(|error| Failure::text(1, error.to_string()))?;
        let name = format!("dbproxy-{:016x}", u64::from_ne_bytes(bits));
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(Failure::usage)?;
        Ok(Self(path))
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
