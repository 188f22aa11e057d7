//! `dbproxy policy test`

use super::args::Test;
use super::asked::{Outcome, span};
use super::cases::{Case, Expected};
use super::{cases, settings};
use crate::access::policy::Policy;
use crate::cli::args::Format;
use crate::cli::exit::Failure;
use crate::cli::output;
use serde_json::{Value, json};
use std::fmt;
use std::process::ExitCode;

/// A case that was decided otherwise.
struct Miss<'a> {
    case: &'a Case,
    got: Outcome,
}

pub fn run(flags: &Test) -> Result<ExitCode, Failure> {
    let settings = settings(&flags.common)?;
    let cases = cases(flags.cases.as_deref(), &settings)?.cases;
    if cases.is_empty() {
        return Err(Failure::text(
            1,
            "the file has no [[case]], so nothing was tested",
        ));
    }
    let policy = &settings.policy.policy;
    let misses: Vec<Miss<'_>> = cases.iter().filter_map(|case| ask(policy, case)).collect();
    let passed = cases.len().saturating_sub(misses.len());
    match flags.common.output {
        Format::Text => {
            for miss in &misses {
                output::line(&miss.to_string());
            }
            let cases = if passed == 1 { "case" } else { "cases" };
            output::line(&match misses.len() {
                0 => format!("{passed} {cases} passed"),
                failed => format!("{passed} {cases} passed, {failed} failed"),
            });
        }
        Format::Json => {
            let failed: Vec<Value> = misses.iter().map(Miss::json).collect();
            output::line(&json!({"passed": passed, "failed": failed}).to_string());
        }
    }
    Ok(match misses.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}

fn ask<'a>(policy: &Policy, case: &'a Case) -> Option<Miss<'a>> {
    let decided = policy.decide(case.question.clone());
    let got = Outcome::of(&decided, case.question.around.now);
    (!case.expected.fits(&got)).then_some(Miss { case, got })
}

impl Expected {
    fn fits(&self, got: &Outcome) -> bool {
        self.decision == got.decision
            && self
                .policies
                .as_ref()
                .is_none_or(|policies| *policies == got.policies)
            && self
                .max_session
                .is_none_or(|limit| Some(limit) == got.max_session)
            && self.errors.is_none_or(|errors| errors == got.errors.len())
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.decision.as_str())?;
        match self.policies.as_deref() {
            None => {}
            Some([]) => f.write_str(" by no policy")?,
            Some(policies) => write!(f, " by {}", policies.join(", "))?,
        }
        if let Some(limit) = self.max_session {
            write!(f, " for at most {}", span(limit))?;
        }
        match self.errors {
            Some(errors) => write!(f, " with {errors} errors"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Miss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case {
            name,
            place,
            expected,
            ..
        } = self.case;
        write!(f, "{place}: {name}: expected {expected}; got {}", self.got)
    }
}

impl Miss<'_> {
    fn json(&self) -> Value {
        let expected = &self.case.expected;
        json!({
            "name": self.case.name,
            "place": self.case.place,
            "expected": {
                "decision": expected.decision.as_str(),
                "policies": expected.policies,
                "max_session_seconds": expected.max_session.map(|limit| limit.as_secs()),
                "errors": expected.errors,
            },
            "got": self.got.json(),
        })
    }
}
