//! `dbproxy connect TARGET [-- psql …]`: a private socket and a client that ends it.

mod ending;

use super::args::Connect;
use super::exit::Failure;
use super::token::one_target;
use super::{output, runtime};
use crate::access::identity::Authenticator;
use crate::app::App;
use crate::config::{AuditSetting, ListenerSetting, Settings};
use crate::domain::name::{DatabaseName, DbUser};
use crate::domain::target::Target;
use crate::platform::telemetry::logs;
use crate::traffic::listener::Address;
use ending::{End, Signals};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::process::Command;

/// The socket's port is part of its file name only.
const PORT: u16 = 5432;

pub fn run(flags: &Connect) -> Result<ExitCode, Failure> {
    let mut settings = one_target(&flags.common, &flags.target)?;
    let dir = PrivateDir::make()?;
    make_private(&mut settings, &dir.0);
    let _logs = logs::install(&settings.log);
    let mut client = client(flags, &settings, &dir.0);
    let runtime = runtime()?;
    let end = runtime.block_on(async {
        let mut signals = Signals::install().map_err(Failure::usage)?;
        let app = App::start(settings, runtime.handle().clone())
            .await
            .map_err(Failure::usage)?;
        let mut running = client.spawn().map_err(|error| cannot_run(&client, &error))?;
        let mut end = None;
        app.run_until(async { end = Some(signals.or_end_of(&mut running).await) })
            .await;
        match end {
            Some(end) => end.map_err(|error| cannot_run(&client, &error)),
            // run_until has awaited it.
            None => Ok(End::Told(1)),
        }
    })?;
    Ok(match end {
        End::Told(code) => ExitCode::from(code),
        End::Client(status) => {
            // A client ended by a signal has no code of its own.
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            if !status.success() {
                output::note(&format!("the client ended with {status}"));
            }
            ExitCode::from(code.unwrap_or(1))
        }
    })
}

/// One socket, which only the owner reaches; the terminal belongs to the client. TLS, the admin address and
/// other replicas are for others: psql speaks no TLS over a unix socket.
fn make_private(settings: &mut Settings, dir: &Path) {
    settings.log.level = logs::Level::Error;
    settings.log.audit = false;
    settings.admin = None;
    settings.peers = None;
    settings.audit = AuditSetting::default();
    settings.client_tls = None;
    settings.client_tls_required = false;
    settings.listeners = settings
        .targets
        .iter()
        .map(|target| ListenerSetting {
            address: Address::Unix {
                dir: dir.to_owned(),
                port: PORT,
            },
            target: target.name.clone(),
            balancers: Vec::new(),
            authenticators: vec![Authenticator::Local],
        })
        .collect();
}

fn cannot_run(client: &Command, error: &io::Error) -> Failure {
    let name = client.as_std().get_program().to_string_lossy();
    Failure::text(1, format!("cannot run `{name}`: {error}"))
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
    let user = target.and_then(Target::proposed_user).map(DbUser::as_str);
    if let Some(user) = flags.db_user.as_deref().or(user) {
        client.env("PGUSER", user);
    }
    let database = target
        .and_then(Target::proposed_database)
        .map(DatabaseName::as_str);
    if let Some(database) = flags.database.as_deref().or(database) {
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
