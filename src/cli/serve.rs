//! `dbproxy [flags] [TARGET…]`

use super::args::Serve;
use super::exit::Failure;
use super::{output, runtime, settings};
use crate::app::{App, Signals, Stopped};
use crate::config::check::CommandLine;
use crate::config::target::AdHoc;
use crate::platform::telemetry::logs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use toml::{Table, Value};

/// For work that nobody waits for any more.
const LAST_MOMENT: Duration = Duration::from_secs(1);

pub fn run(flags: Serve) -> Result<ExitCode, Failure> {
    let exit_zero = flags.exit_zero_on_sigterm;
    let settings = settings(&flags.common.clone(), command_line(flags))?;
    let _logs = logs::install(&settings.log);
    let runtime = runtime()?;
    let stopped = runtime.block_on(async {
        // Before the ready line: whoever reads it may send a signal at once.
        let signals = Signals::install().map_err(Failure::usage)?;
        let app = App::start(settings, runtime.handle().clone())
            .await
            .map_err(Failure::usage)?;
        for command in app.psql_commands() {
            output::note(&format!("ready for new connections: {command}"));
        }
        Ok::<_, Failure>(app.run(signals).await)
    });
    // What hangs in a file or a name's look-up hangs on, and the process ends all the same.
    runtime.shutdown_timeout(LAST_MOMENT);
    let stopped = stopped?;
    Ok(match stopped {
        Stopped::Asked => ExitCode::SUCCESS,
        Stopped::Terminate if exit_zero => ExitCode::SUCCESS,
        Stopped::Terminate => ExitCode::from(143),
        Stopped::Interrupt => ExitCode::from(130),
    })
}

/// Flags become keys of the file, so that they are judged by the same rules.
fn command_line(flags: Serve) -> CommandLine {
    let mut overrides = Table::new();
    let mut set = |key: &str, value: Option<Value>| {
        overrides.extend(value.map(|value| (key.to_owned(), value)));
    };
    set("admin", flags.admin.map(Value::String));
    set("max_clients", flags.max_clients.map(Value::Integer));
    set("drain_timeout", flags.drain_timeout.map(Value::String));
    set("log_format", flags.log_format.map(Value::String));
    set("log_level", flags.log_level.map(Value::String));
    let path = |path: PathBuf| Value::String(path.to_string_lossy().into_owned());
    let mut client_tls = Table::new();
    let mut set_tls = |key: &str, value: Option<Value>| {
        client_tls.extend(value.map(|value| (key.to_owned(), value)));
    };
    set_tls("cert_file", flags.tls_cert.map(path));
    set_tls("key_file", flags.tls_key.map(path));
    set_tls("required", flags.tls_required.then_some(Value::Boolean(true)));
    if !client_tls.is_empty() {
        set("client_tls", Some(Value::Table(client_tls)));
    }
    CommandLine {
        overrides,
        listen: flags.listen,
        targets: flags.targets,
        ad_hoc: AdHoc {
            db_users: flags.db_user,
            region: flags.common.region,
            ca_file: flags.common.ca_file,
            via: flags.via,
            audience: flags.audience,
        },
    }
}
