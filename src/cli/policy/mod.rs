//! `dbproxy policy …`: whoever keeps the policies judges, asks and tests them here.
//!
//! - [`asked`]: a question with what is left out filled in, and what was decided
//! - [`mod@cases`]: the file of callers and cases
//! - one file a subcommand

pub mod args;
mod asked;
mod cases;
mod check;
mod explain;
mod matrix;
mod schema;
mod test;

use super::exit::Failure;
use super::settings_of;
use crate::access::policy::set::Rule;
use crate::access::policy::{Problem, Set};
use crate::config::Settings;
use crate::config::check::CommandLine;
use args::{Common, Policy};
use cases::Cases;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The cases of a directory of policies.
const CASES_FILE: &str = "tests.toml";

/// What such a file holds.
const CASES_HELP: &str = "it names callers, and what each may do (docs/policy.md):\n  \
    [[caller]]\n  name = \"app\"\n  principal = 'IamRole::\"arn:aws:iam::111122223333:role/app\"'\n  \
    [[case]]\n  name = \"the application writes\"\n  caller = \"app\"\n  target = \"orders\"\n  \
    db_user = \"app_rw\"\n  decision = \"permit\"";

pub fn run(command: &Policy) -> Result<ExitCode, Failure> {
    match command {
        Policy::Check(flags) => check::run(flags),
        Policy::Explain(flags) => explain::run(flags),
        Policy::Matrix(flags) => matrix::run(flags),
        Policy::Test(flags) => test::run(flags),
        Policy::Schema(flags) => schema::run(flags),
    }
}

/// Everything that the configuration has, with its policies.
fn settings(common: &Common) -> Result<Settings, Failure> {
    settings_of(common.config.as_deref(), CommandLine::default())
}

/// The cases of the named file, else of the one beside the policies.
fn cases(named: Option<&Path>, settings: &Settings) -> Result<Cases, Failure> {
    let beside = settings.policy.dir.as_ref().map(|dir| dir.join(CASES_FILE));
    let Some(path) = named.map(PathBuf::from).or(beside) else {
        let what = "the configuration has no [policy] with a file of cases: name one with --cases";
        return Err(Failure::text(1, format!("{what}\n{CASES_HELP}")));
    };
    if !path.exists() {
        let what = format!(
            "there is no {}: write it, or name another with --cases",
            path.display()
        );
        return Err(Failure::text(1, format!("{what}\n{CASES_HELP}")));
    }
    cases::read(&path, settings).map_err(|problems| {
        let count = problems.0.len();
        let mistakes = if count == 1 { "a mistake" } else { "mistakes" };
        Failure::text(1, format!("{} has {mistakes}:\n{problems}", path.display()))
    })
}

/// Something about a policy, with the place where it is written.
fn warning(set: &Set, rule: &Rule, message: String) -> Problem {
    let problem = Problem::warning(&rule.file, message);
    // Cedar keeps the text of a policy as it was written.
    let written = rule.policy.to_string();
    let file = set.files.iter().find(|file| file.path == rule.file);
    match file.and_then(|file| Some((file, file.text.find(&written)?))) {
        Some((file, offset)) => problem.at(&file.text, offset, written.len()),
        None => problem,
    }
}

/// `policies/oncall.cedar:4`
fn place(set: &Set, rule: &Rule) -> String {
    let found = warning(set, rule, String::new());
    match found.place {
        Some(place) => format!("{}:{}", rule.file.display(), place.line),
        None => rule.file.display().to_string(),
    }
}
