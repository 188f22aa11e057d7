//! `dbproxy policy matrix`

use super::args::Matrix;
use super::{asked, cases, settings};
use crate::access::policy::{Action, Circumstances, Policy, Question, Verdict};
use crate::cli::args::Format;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::config::Settings;
use crate::domain::caller::Caller;
use crate::domain::name::DbUser;
use crate::domain::target::{Target, Users};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

/// Stands for any db user that no policy names.
const ANY_OTHER: &str = "*";

/// What one caller may do as one db user.
struct Cell {
    caller: String,
    question: Question,
    actions: Vec<&'static str>,
    errors: Vec<String>,
}

/// All callers on one target.
struct Table {
    target: Arc<Target>,
    db_users: Vec<DbUser>,
    /// In the order of the file.
    rows: Vec<(String, Vec<Cell>)>,
}

pub fn run(flags: &Matrix) -> Result<ExitCode, Failure> {
    let settings = settings(&flags.common)?;
    let callers = cases(flags.cases.as_deref(), &settings)?.callers;
    let policy = &settings.policy.policy;
    let tables = settings.targets.iter().map(|target| {
        let target = Arc::new(target.clone());
        let db_users = db_users(&target)?;
        let rows = callers.iter().map(|(name, caller)| {
            let cells = db_users.iter().map(|db_user| {
                let question = question(flags, &settings, caller, &target, db_user)?;
                Ok(Cell::of(policy, name, question))
            });
            Ok((name.clone(), cells.collect::<Result<_, Failure>>()?))
        });
        Ok(Table {
            rows: rows.collect::<Result<_, Failure>>()?,
            target,
            db_users,
        })
    });
    let tables = tables.collect::<Result<Vec<_>, Failure>>()?;
    match flags.common.output {
        Format::Text => print(&tables),
        Format::Json => {
            let cells = tables
                .iter()
                .flat_map(|table| &table.rows)
                .flat_map(|(_, cells)| cells);
            output::line(&cells.map(Cell::json).collect::<Value>().to_string());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One table a target, so that the width is that of its own db users.
fn print(tables: &[Table]) {
    for (number, table) in tables.iter().enumerate() {
        if number > 0 {
            output::line("");
        }
        let db_users = table.db_users.iter().map(DbUser::as_str);
        let header: Vec<&str> = std::iter::once(table.target.name.as_str())
            .chain(db_users)
            .collect();
        let rows = table.rows.iter().map(|(caller, cells)| {
            let cells = cells.iter().map(Cell::text);
            std::iter::once(caller.clone()).chain(cells).collect()
        });
        output::table(&header, &rows.collect::<Vec<_>>());
    }
}

fn db_users(target: &Target) -> Result<Vec<DbUser>, Failure> {
    match &target.users {
        Users::Listed(listed) => Ok(listed.clone()),
        Users::Any => {
            let members: BTreeSet<&DbUser> = target.db_roles.values().flatten().collect();
            let other = DbUser::new(ANY_OTHER).map_err(Failure::usage)?;
            Ok(members.into_iter().cloned().chain([other]).collect())
        }
    }
}

fn question(
    flags: &Matrix,
    settings: &Settings,
    caller: &Caller,
    target: &Arc<Target>,
    db_user: &DbUser,
) -> Result<Question, Failure> {
    Ok(Question {
        caller: caller.clone(),
        action: Action::Connect,
        target: target.clone(),
        db_user: db_user.clone(),
        database: asked::database(None, target, db_user).map_err(Failure::usage)?,
        role: None,
        around: Circumstances {
            source: Some(flags.source),
            tls: !flags.no_tls,
            now: flags.now.into(),
            application: String::new(),
            listener: asked::listener(settings, target),
        },
    })
}

impl Cell {
    fn of(policy: &Policy, caller: &str, question: Question) -> Self {
        let (mut actions, mut errors) = (Vec::new(), Vec::new());
        for action in [Action::Connect, Action::Replicate] {
            let asked = Question {
                action,
                ..question.clone()
            };
            let verdict = policy.verdict(&asked);
            if verdict.is_permit() {
                actions.push(action.as_str());
            } else if let Verdict::Faulty { faults } = verdict {
                errors.extend(faults);
            }
        }
        Self {
            caller: caller.to_owned(),
            question,
            actions,
            errors,
        }
    }

    fn text(&self) -> String {
        match (self.errors.is_empty(), self.actions.as_slice()) {
            (false, _) => "!".to_owned(),
            (true, []) => "·".to_owned(),
            (true, actions) => actions.join("+"),
        }
    }

    fn json(&self) -> Value {
        json!({
            "caller": self.caller,
            "target": self.question.target.name.as_str(),
            "db_user": self.question.db_user.as_str(),
            "database": self.question.database.as_str(),
            "actions": self.actions,
            "errors": self.errors,
        })
    }
}
