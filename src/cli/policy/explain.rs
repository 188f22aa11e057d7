//! `dbproxy policy explain`

mod answer;

use super::args::Explain;
use super::{asked, settings};
use crate::access::policy::{Circumstances, Question, role};
use crate::cli::args::Format;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::config::Settings;
use crate::domain::caller::Caller;
use crate::domain::name::DbUser;
use crate::domain::target::Target;
use crate::platform::clock::Clock;
use answer::Answer;
use std::process::ExitCode;
use std::sync::Arc;

/// What `policy denied` ends with everywhere.
const DENIED: u8 = 2;

pub fn run(flags: &Explain) -> Result<ExitCode, Failure> {
    let settings = settings(&flags.common)?;
    let question = question(flags, &settings)?;
    let answer = Answer::of(&settings.policy.policy, question);
    match flags.common.output {
        Format::Text => answer.lines().iter().for_each(|line| output::line(line)),
        Format::Json => output::line(&answer.json().to_string()),
    }
    Ok(match answer.is_permit() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(DENIED),
    })
}

fn question(flags: &Explain, settings: &Settings) -> Result<Question, Failure> {
    let target = target(&flags.target, settings)?;
    let named = |flag: &str, error| Failure::text(1, format!("{flag}: {error}"));
    let db_user = DbUser::new(&flags.db_user).map_err(|error| named("--db-user", error))?;
    let database = asked::database(flags.database.as_deref(), target, &db_user);
    let proof = flags.proof.unwrap_or_else(|| asked::proof_of(&flags.principal));
    let mut caller = Caller::new(flags.principal.clone(), proof);
    caller.groups.clone_from(&flags.groups);
    caller.groups.sort();
    caller.email.clone_from(&flags.email);
    caller.mfa = flags.mfa;
    Ok(Question {
        caller,
        action: flags.action,
        database: database.map_err(|error| named("--database", error))?,
        db_user,
        role: role(flags.role.as_deref().unwrap_or_default()).map_err(|error| named("--role", error))?,
        around: Circumstances {
            source: flags.source,
            tls: !flags.no_tls,
            now: flags.now.map_or_else(|| Clock::system().now(), Into::into),
            application: flags.application.clone(),
            listener: flags
                .listener
                .clone()
                .unwrap_or_else(|| asked::listener(settings, target)),
        },
        target: Arc::new(target.clone()),
    })
}

fn target<'a>(name: &str, settings: &'a Settings) -> Result<&'a Target, Failure> {
    let mut targets = settings.targets.iter();
    let found = targets.find(|target| target.name.as_str() == name);
    found.ok_or_else(|| {
        let known = settings.targets.iter().map(|target| target.name.as_str());
        let known = known.collect::<Vec<_>>().join(", ");
        Failure::text(
            1,
            format!("{name}: no such target; the configuration has {known}"),
        )
    })
}
