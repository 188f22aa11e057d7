//! The command line: one file a subcommand. The only place that prints.

mod admin;
mod apply;
pub mod args;
mod audit;
mod bootstrap;
mod connect;
mod doctor;
mod drift;
pub mod exit;
mod grant;
mod grants;
mod iam_policy;
mod lifecycle;
mod login;
mod ls;
mod output;
mod plan;
mod policy;
mod provision;
mod revoke;
mod serve;
mod sessions;
mod token;
mod verify;

use crate::config::check::CommandLine;
use crate::config::{Settings, check, source};
use args::{Arguments, Command, Common};
use clap::{CommandFactory, Parser};
use exit::Failure;
use std::path::Path;
use std::process::ExitCode;

/// Runs one command; the outcome is the exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) => return output::usage(&message),
    };
    let outcome = match arguments.command {
        None => serve::run(arguments.serve),
        Some(Command::Token(token)) => token::run(&token),
        Some(Command::Login(login)) => login::run(&login),
        Some(Command::Doctor(doctor)) => doctor::run(&doctor),
        Some(Command::Ls(ls)) => ls::run(&ls),
        Some(Command::Connect(connect)) => connect::run(&connect),
        Some(Command::Policy(command)) => policy::run(&command),
        Some(Command::Bootstrap(flags)) => bootstrap::run(&flags),
        Some(Command::Plan(plan)) => plan::run(&plan),
        Some(Command::Apply(apply)) => apply::run(&apply),
        Some(Command::Drift(drift)) => drift::run(&drift),
        Some(Command::Grant(grant)) => grant::run(&grant),
        Some(Command::Revoke(revoke)) => revoke::run(&revoke),
        Some(Command::Grants(grants)) => grants::run(&grants),
        Some(Command::IamPolicy(flags)) => iam_policy::run(&flags),
        Some(Command::Verify(verify)) => verify::run(&verify),
        Some(Command::Wait(wait)) => lifecycle::wait(&wait),
        Some(Command::Healthcheck(check)) => lifecycle::healthcheck(&check),
        Some(Command::Sessions(sessions)) => sessions::run(&sessions),
        Some(Command::Reload(at)) => lifecycle::reload(&at),
        Some(Command::Audit(audit)) => audit::run(&audit),
        Some(Command::Shutdown(shutdown)) => lifecycle::shutdown(&shutdown),
        Some(Command::Completion { shell }) => {
            output::completion(shell, &mut Arguments::command());
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Version) => {
            output::line(concat!("dbproxy ", env!("CARGO_PKG_VERSION")));
            Ok(ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|failure: Failure| {
        output::problem(&failure);
        failure.exit_code()
    })
}

/// Reads the configuration that `common` points to, with what the command line adds.
fn settings(common: &Common, command_line: CommandLine) -> Result<Settings, Failure> {
    settings_of(common.config.as_deref(), command_line)
}

/// The same for a command that makes no targets of its own.
fn settings_of(config: Option<&Path>, command_line: CommandLine) -> Result<Settings, Failure> {
    let environment = &source::process_environment;
    let file = source::read(config, environment).map_err(Failure::usage)?;
    check(file.table, command_line, environment).map_err(Failure::usage)
}

/// The runtime for everything but the data path.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(Failure::usage)
}
