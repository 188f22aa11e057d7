//! `dbproxy token TARGET --db-user U`

use super::args::{Common, Format, Token};
use super::exit::Failure;
use super::{output, runtime, settings};
use crate::access::policy::{Action, Circumstances, Permit, Question};
use crate::app;
use crate::config::Settings;
use crate::config::check::CommandLine;
use crate::config::target::AdHoc;
use crate::domain::caller::Caller;
use crate::domain::credential::Credential;
use crate::domain::name::{DatabaseName, DbUser};
use crate::platform::clock::{Clock, rfc3339};
use crate::platform::task::Background;
use crate::platform::telemetry::logs;
use crate::platform::telemetry::metrics::Metrics;
use std::process::ExitCode;
use std::sync::Arc;

pub fn run(flags: &Token) -> Result<ExitCode, Failure> {
    let settings = one_target(&flags.common, &flags.target)?;
    let _logs = logs::install(&settings.log);
    let permit = permit(&settings, &flags.db_user, None)?;
    let runtime = runtime()?;
    let background = Background::new(runtime.handle().clone());
    let (credential, _) = runtime.block_on(async {
        let credentials = app::credentials(&settings, &background, &Metrics::new()).await;
        credentials.obtain(&permit).await
    })?;
    let Credential::AuthToken(token) = credential else {
        let target = permit.target();
        let kind = target.credential_for(permit.db_user());
        let message = format!(
            "db user \"{}\" does not log in with a token but with `{}`",
            permit.db_user(),
            kind.as_str()
        );
        let mut failure = Failure::text(1, message);
        failure.hint = kind.broker().map(|_| {
            format!(
                "For a broker there are proofs: dbproxy login --broker {}",
                target.name
            )
        });
        return Err(failure);
    };
    let text = String::from_utf8_lossy(token.secret.expose());
    match flags.output {
        Format::Text => output::line(&text),
        Format::Json => output::line(
            &serde_json::json!({"token": text, "expires_at": rfc3339(token.expires_at)}).to_string(),
        ),
    }
    Ok(ExitCode::SUCCESS)
}

/// The settings with exactly this target.
pub fn one_target(common: &Common, target: &str) -> Result<Settings, Failure> {
    let command_line = CommandLine {
        targets: vec![target.to_owned()],
        ad_hoc: AdHoc {
            region: common.region.clone(),
            ca_file: common.ca_file.clone(),
            ..AdHoc::default()
        },
        ..CommandLine::default()
    };
    settings(common, command_line)
}

/// A command takes the same decision as a connection. Without a database named it is the target's, or
/// the one that every server has.
pub fn permit(settings: &Settings, db_user: &str, database: Option<&str>) -> Result<Permit, Failure> {
    let user = DbUser::new(db_user).map_err(Failure::usage)?;
    let [target] = settings.targets.as_slice() else {
        return Err(Failure::text(1, "no target"));
    };
    let database = match (database, target.proposed_database()) {
        (None, Some(proposed)) => proposed.clone(),
        (named, _) => DatabaseName::new(named.unwrap_or("postgres")).map_err(Failure::usage)?,
    };
    let question = Question {
        caller: Caller::local(None),
        action: Action::Connect,
        target: Arc::new(target.clone()),
        db_user: user,
        database,
        role: None,
        around: Circumstances {
            source: None,
            tls: false,
            now: Clock::system().now(),
            application: "dbproxy".to_owned(),
            listener: "command line".to_owned(),
        },
    };
    Ok(settings.policy.policy.decide(question)?)
}
