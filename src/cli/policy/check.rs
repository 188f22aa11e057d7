//! `dbproxy policy check [DIR]`

use super::args::Check;
use super::asked::Outcome;
use super::{CASES_FILE, cases, warning};
use crate::access::policy::set::read;
use crate::access::policy::{Problem, Set, Severity, lint};
use crate::cli::args::Format;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::config::check::CommandLine;
use crate::config::{Settings, check, source};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use toml::Table;

/// What is wrong, and what is odd.
#[derive(Default)]
struct Findings {
    policies: usize,
    problems: Vec<Problem>,
    /// Mistakes of the configuration, which have no place in a set.
    others: Vec<String>,
}

pub fn run(flags: &Check) -> Result<ExitCode, Failure> {
    let mut findings = Findings::default();
    // A directory alone is judged alone, whatever configuration lies about.
    let file = match (&flags.common.config, &flags.dir) {
        (None, Some(_)) => None,
        (named, _) => {
            Some(source::read(named.as_deref(), &source::process_environment).map_err(Failure::usage)?)
        }
    };
    let table = file.map(|file| file.table);
    let dir = flags
        .dir
        .clone()
        .or_else(|| table.as_ref().and_then(configured_dir));
    let Some(dir) = dir else {
        super::settings(&flags.common)?;
        let what =
            "the configuration has no [policy] dir, so the built-in rule is in force: name a directory";
        return Err(Failure::text(1, what));
    };
    let set = findings.set(&dir);
    if let Some(table) = table {
        findings.configuration(table, &dir, set.as_ref());
    }
    findings.problems = folded(findings.problems);
    Ok(findings.tell(flags))
}

/// Before the configuration is judged: what it says of the set has no place for excerpts.
fn configured_dir(table: &Table) -> Option<PathBuf> {
    Some(table.get("policy")?.get("dir")?.as_str()?.into())
}

impl Findings {
    fn set(&mut self, dir: &Path) -> Option<Set> {
        match read(dir).and_then(Set::of) {
            Ok(set) => {
                self.policies = set.rules().len();
                self.problems.extend(set.warnings.iter().cloned());
                Some(set)
            }
            Err(problems) => {
                self.problems.extend(problems.0);
                None
            }
        }
    }

    fn configuration(&mut self, table: Table, dir: &Path, set: Option<&Set>) {
        let policy = Table::from_iter([("dir".to_owned(), dir.display().to_string().into())]);
        let command_line = CommandLine {
            overrides: Table::from_iter([("policy".to_owned(), policy.into())]),
            ..CommandLine::default()
        };
        match (check(table, command_line, &source::process_environment), set) {
            (Ok(settings), Some(set)) => {
                let groups = settings.policy.policy.groups();
                self.problems
                    .extend(lint::unknown_names(set, &settings.targets, groups));
                self.cases(&settings, dir, set);
            }
            (Ok(_), None) => {}
            (Err(problems), _) => {
                let others = problems.lines().iter();
                // These have been told, and better.
                let others = others.filter(|line| !line.starts_with("policy.dir: "));
                self.others.extend(others.cloned());
            }
        }
    }

    /// Permits that no case shows at work.
    fn cases(&mut self, settings: &Settings, dir: &Path, set: &Set) {
        let path = dir.join(CASES_FILE);
        if !path.exists() {
            return;
        }
        let cases = match cases::read(&path, settings) {
            Ok(cases) => cases.cases,
            Err(problems) => return self.problems.extend(problems.0),
        };
        let policy = &settings.policy.policy;
        let decided: HashSet<String> = cases
            .into_iter()
            .flat_map(|case| {
                let now = case.question.around.now;
                Outcome::of(&policy.decide(case.question), now).policies
            })
            .collect();
        for rule in set.rules() {
            if rule.is_permit() && !decided.contains(&*rule.id) {
                let what = format!("policy `{}`: no case is decided by it", rule.id);
                let help = format!("write one in {}", path.display());
                self.problems.push(warning(set, rule, what).help(help));
            }
        }
    }

    fn tell(&self, flags: &Check) -> ExitCode {
        let is_error = |problem: &&Problem| problem.severity == Severity::Error;
        let of_set = self.problems.iter().filter(is_error).count();
        let warnings = self.problems.len().saturating_sub(of_set);
        let errors = of_set.saturating_add(self.others.len());
        match flags.common.output {
            Format::Text => self.print(errors, warnings),
            Format::Json => {
                let others = self.others.iter();
                let others = others.map(|other| json!({"severity": "error", "message": other}));
                let problems: Vec<Value> = self.problems.iter().map(shown).chain(others).collect();
                let policies = self.policies;
                output::line(
                    &json!({"policies": policies, "errors": errors, "warnings": warnings, "problems": problems})
                        .to_string(),
                );
            }
        }
        match errors == 0 && (warnings == 0 || !flags.strict) {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(1),
        }
    }

    fn print(&self, errors: usize, warnings: usize) {
        for problem in &self.problems {
            output::note(&problem.to_string());
        }
        for other in &self.others {
            output::note(&format!("configuration: error: {other}"));
        }
        // How many policies a set with mistakes would have had nobody knows.
        let first = match errors {
            0 => count(self.policies, "policy", "policies"),
            _ => count(errors, "error", "errors"),
        };
        output::line(&format!("{first}, {}", count(warnings, "warning", "warnings")));
    }
}

/// In the order of the files. Cedar judges a policy once for each action it may be about, and tells the
/// same mistake each time.
fn folded(mut problems: Vec<Problem>) -> Vec<Problem> {
    let place = |problem: &Problem| problem.place.as_ref().map(|place| (place.line, place.column));
    problems.sort_by(|a, b| (&a.file, place(a), &a.message).cmp(&(&b.file, place(b), &b.message)));
    problems.dedup_by(|later, first| {
        let same_place = later.place.is_some() && (&later.file, &later.place) == (&first.file, &first.place);
        same_place && without_action(&later.message) == without_action(&first.message)
    });
    problems
}

/// `… for Action::"connect" not found` -> `… for  not found`
fn without_action(message: &str) -> String {
    let Some((before, rest)) = message.split_once("Action::\"") else {
        return message.to_owned();
    };
    let after = rest.split_once('"').map_or("", |(_, after)| after);
    format!("{before}{after}")
}

fn shown(problem: &Problem) -> Value {
    let place = problem.place.as_ref();
    json!({
        "severity": match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "file": problem.file.display().to_string(),
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column),
        "message": problem.message,
        "help": problem.help,
    })
}

fn count(number: usize, one: &str, many: &str) -> String {
    let word = if number == 1 { one } else { many };
    format!("{number} {word}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_told_once_for_all_actions() {
        let text = "permit (principal, action, resource);";
        let at = |message: &str, offset| Problem::error(Path::new("a.cedar"), message).at(text, offset, 1);
        let told = folded(vec![
            at("`x` for Action::\"view\" not found", 3),
            at("`y` for Action::\"view\" not found", 3),
            at("`x` for Action::\"connect\" not found", 3),
            at("`x` for Action::\"connect\" not found", 1),
            Problem::error(Path::new("a.cedar"), "no place for Action::\"view\""),
        ]);
        let messages: Vec<&str> = told.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "no place for Action::\"view\"",
                "`x` for Action::\"connect\" not found",
                "`x` for Action::\"connect\" not found",
                "`y` for Action::\"view\" not found",
            ]
        );
    }
}
