//! `dbproxy audit`: searches audit files.

mod rows;
mod when;

use super::args::{Audit, Format};
use super::exit::Failure;
use super::output;
use crate::access::audit::query::{self, Filter};
use crate::config::{audit_file, source};
use crate::domain::reason::CloseReason;
use crate::domain::session_id::SessionId;
use crate::platform::clock::Clock;
use rows::Rows;
use std::path::PathBuf;
use std::process::ExitCode;
use when::when;

pub fn run(flags: &Audit) -> Result<ExitCode, Failure> {
    let filter = filter(flags)?;
    let files = files(flags)?;
    let found = match flags.output {
        Format::Json => query::run(&files, &filter, |line| output::line(&line.to_string())),
        Format::Text => {
            let mut rows = Rows::new(flags.wide);
            let found = query::run(&files, &filter, |line| rows.take(line));
            rows.end();
            found
        }
    };
    let found = found.map_err(Failure::usage)?;
    if found.skipped > 0 {
        output::note(&format!(
            "{} lines were skipped: they are no JSON objects, too long, or without the time that is asked for",
            found.skipped
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn filter(flags: &Audit) -> Result<Filter, Failure> {
    let now = Clock::system().now();
    let moment = |flag: &str, text: &Option<String>| {
        let moment = text.as_ref().map(|text| when(text, now)).transpose();
        moment.map_err(|why| Failure::text(1, format!("{flag}: {why}")))
    };
    let session = match &flags.session {
        None => None,
        Some(text) => match SessionId::parse(text) {
            Some(id) => Some(id.to_string()),
            None => {
                let why = format!("--session: `{text}` is no session id: those have 16 hexadecimal digits");
                return Err(Failure::text(1, why));
            }
        },
    };
    let is_reason = |reason: &String| CloseReason::ALL.iter().any(|known| known.as_str() == reason);
    if let Some(reason) = flags.reason.as_ref().filter(|reason| !is_reason(reason)) {
        let all: Vec<_> = CloseReason::ALL.iter().map(|reason| reason.as_str()).collect();
        output::note(&format!(
            "`{reason}` is no reason of this version; those are: {}",
            all.join(", ")
        ));
    }
    Ok(Filter {
        caller: flags.caller.clone(),
        target: flags.target.clone(),
        db_user: flags.db_user.clone(),
        database: flags.database.clone(),
        reason: flags.reason.clone(),
        session,
        from: moment("--from", &flags.from)?,
        until: moment("--until", &flags.until)?,
    })
}

/// Those that are named, else the one of the configuration; nothing else of that is judged.
fn files(flags: &Audit) -> Result<Vec<PathBuf>, Failure> {
    if !flags.files.is_empty() {
        return Ok(flags.files.clone());
    }
    let file = source::read(flags.config.as_deref(), &source::process_environment);
    let table = file.map_err(Failure::usage)?.table;
    let path = audit_file(table).map_err(|problems| Failure::text(1, problems.lines().join("; ")))?;
    let none = || {
        Failure::text(
            1,
            "no audit file is known: name one, or set `audit.file` in the configuration file",
        )
    };
    Ok(vec![path.ok_or_else(none)?])
}
