//! A set of policies: read from files, validated strictly, asked.

mod files;
mod rule;
mod unmet;

pub use files::{PolicyFile, read};
pub use rule::Rule;

use super::entities::{Parties, QuestionError, context_of, context_of_operation, request, uid};
use super::operate::Operation;
use super::problem::{Problem, Problems, Severity};
use super::question::{Circumstances, Question};
use crate::domain::caller::Caller;
use cedar_policy::{
    Authorizer, Context, Decision, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator,
};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The shape of every question; shipped, because it is dbproxy that asks.
pub const SCHEMA: &str = include_str!("../../../policies/schema.cedarschema");
/// Policies in one set.
const POLICIES_MAX: usize = 10_000;

/// A validated set.
#[derive(Debug)]
pub struct Set {
    schema: Schema,
    rules: Vec<Rule>,
    authorizer: Authorizer,
    /// What is odd, but no mistake.
    pub warnings: Vec<Problem>,
    /// Of which files it is made, to notice that they have changed.
    pub files: Vec<PolicyFile>,
    /// What the set says, as one short text: for the record.
    pub digest: String,
}

/// What a set says to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// By these policies; the session may last as long as the most generous of them says.
    Permit {
        policies: Vec<Arc<str>>,
        max_session: Option<Duration>,
    },
    /// By these policies; none: no policy permits it.
    Deny { policies: Vec<Arc<str>> },
    /// Policies that could not be evaluated. Cedar would skip them, and skip a `forbid` with them.
    Faulty { faults: Vec<String> },
}

impl Verdict {
    pub fn is_permit(&self) -> bool {
        matches!(self, Self::Permit { .. })
    }
}

/// The schema, parsed.
pub fn schema() -> Result<Schema, Problems> {
    let file = Path::new("schema.cedarschema");
    Schema::from_cedarschema_str(SCHEMA)
        .map(|(schema, _warnings)| schema)
        .map_err(|error| Problems(vec![Problem::of_cedar(Severity::Error, file, SCHEMA, &error)]))
}

impl Set {
    /// Judges texts as a whole; every mistake is reported.
    pub fn of(files: Vec<PolicyFile>) -> Result<Self, Problems> {
        let schema = schema()?;
        let mut problems = Vec::new();
        let mut sources = HashMap::new();
        let mut set = PolicySet::new();
        for file in &files {
            for policy in parse(file, &mut problems) {
                let id = policy.id().clone();
                if sources.insert(id.clone(), file).is_some() {
                    problems.push(Problem::error(&file.path, format!("the id `{id}` is used twice")));
                } else if let Err(error) = set.add(policy) {
                    problems.push(Problem::error(&file.path, error.to_string()));
                }
            }
        }
        if set.policies().count() > POLICIES_MAX {
            let first = files.first().map_or(Path::new(""), |file| file.path.as_path());
            problems.push(Problem::error(
                first,
                format!("more than {POLICIES_MAX} policies"),
            ));
        }
        let mut warnings = validate(&schema, &set, &sources, &mut problems);
        let rules = rules(&set, &sources, &mut problems);
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        warnings.extend(rules.iter().filter_map(Rule::too_broad));
        warnings.extend(rules.iter().filter_map(Rule::idle_limit));
        Ok(Self {
            schema,
            rules,
            authorizer: Authorizer::new(),
            warnings,
            digest: files::digest(&files),
            files,
        })
    }

    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// With the grants of a moment, or with all that ever were.
    pub fn ask(&self, question: &Question, groups: &[String], at: Option<SystemTime>) -> Verdict {
        let parties = question.parties(groups, at);
        self.put(question.action.as_str(), parties, context_of(question, at))
    }

    /// The same for what operators do.
    pub fn ask_operation(
        &self,
        operation: Operation<'_>,
        caller: &Caller,
        groups: &[String],
        around: &Circumstances,
    ) -> Verdict {
        let parties = Parties::of_operation(caller, groups, operation);
        self.put(operation.action(), parties, context_of_operation(caller, around))
    }

    /// Asks only the policies whose scope fits: Cedar itself looks at all of them.
    fn put(
        &self,
        action: &str,
        parties: Result<Parties, QuestionError>,
        context: Result<Context, QuestionError>,
    ) -> Verdict {
        let fault = |error: &dyn std::fmt::Display| Verdict::Faulty {
            faults: vec![error.to_string()],
        };
        let asked = parties.and_then(|parties| {
            let action = uid("Action", action)?;
            let request = request(action.clone(), &parties, context?, &self.schema)?;
            Ok((action, request, parties))
        });
        let (action, request, parties) = match asked {
            Ok(asked) => asked,
            Err(error) => return fault(&error),
        };
        let mut fitting = PolicySet::new();
        for rule in self.rules.iter().filter(|rule| rule.fits(&action, &parties)) {
            if let Err(error) = fitting.add(rule.policy.clone()) {
                return fault(&error);
            }
        }
        let response = self
            .authorizer
            .is_authorized(&request, &fitting, &parties.entities);
        let diagnostics = response.diagnostics();
        let faults: Vec<_> = diagnostics.errors().map(ToString::to_string).collect();
        if !faults.is_empty() {
            return Verdict::Faulty { faults };
        }
        self.verdict(response.decision(), &diagnostics.reason().collect())
    }

    /// Permits that fit the question but for their condition: what a caller lacks is in one of them.
    pub fn near_misses(&self, question: &Question, groups: &[String]) -> Vec<&Rule> {
        let parties = question.parties(groups, Some(question.around.now));
        let action = uid("Action", question.action.as_str());
        let (Ok(parties), Ok(action)) = (parties, action) else {
            return Vec::new();
        };
        let rules = self.rules.iter();
        rules
            .filter(|rule| rule.is_permit() && rule.fits(&action, &parties))
            .collect()
    }

    fn verdict(&self, decision: Decision, reasons: &HashSet<&PolicyId>) -> Verdict {
        let deciding: Vec<&Rule> = self
            .rules
            .iter()
            .filter(|rule| reasons.contains(rule.policy.id()))
            .collect();
        let policies = deciding.iter().map(|rule| rule.id.clone()).collect();
        match decision {
            Decision::Deny => Verdict::Deny { policies },
            Decision::Allow => Verdict::Permit {
                policies,
                max_session: match deciding.iter().any(|rule| rule.max_session.is_none()) {
                    true => None,
                    false => deciding.iter().filter_map(|rule| rule.max_session).max(),
                },
            },
        }
    }
}

/// The policies of one file, each by its `@id`.
fn parse(file: &PolicyFile, problems: &mut Vec<Problem>) -> Vec<Policy> {
    let set = match PolicySet::from_str(&file.text) {
        Ok(set) => set,
        Err(errors) => {
            let faults = errors.iter();
            problems.extend(
                faults.map(|fault| Problem::of_cedar(Severity::Error, &file.path, &file.text, fault)),
            );
            return Vec::new();
        }
    };
    if set.templates().next().is_some() {
        let what = "templates (`?principal`, `?resource`) are not supported: write a policy for each";
        problems.push(Problem::error(&file.path, what));
    }
    let mut policies = Vec::new();
    for policy in set.policies() {
        match policy.annotation("id").filter(|id| !id.is_empty()) {
            Some(id) => policies.push(policy.new_id(PolicyId::new(id))),
            None => problems.push(without_id(file, policy)),
        }
    }
    policies
}

fn without_id(file: &PolicyFile, policy: &Policy) -> Problem {
    let shown = policy.to_cedar().unwrap_or_default();
    let begin: String = shown
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(60)
        .collect();
    Problem::error(&file.path, format!("a policy without an id: `{begin}…`"))
        .help("write `@id(\"a-name\")` before it; log, audit and `explain` name policies by it")
}

/// Cedar's own judgement, strictly.
fn validate(
    schema: &Schema,
    set: &PolicySet,
    sources: &HashMap<PolicyId, &PolicyFile>,
    problems: &mut Vec<Problem>,
) -> Vec<Problem> {
    let outcome = Validator::new(schema.clone()).validate(set, ValidationMode::Strict);
    let told = |id: &PolicyId, severity, fault: &dyn miette::Diagnostic| match sources.get(id) {
        Some(file) => Problem::of_cedar(severity, &file.path, &file.text, fault),
        None => Problem::new(severity, &PathBuf::new(), fault.to_string()),
    };
    for error in outcome.validation_errors() {
        problems.push(told(error.policy_id(), Severity::Error, error));
    }
    outcome
        .validation_warnings()
        .map(|warning| told(warning.policy_id(), Severity::Warning, warning))
        .collect()
}

fn rules(
    set: &PolicySet,
    sources: &HashMap<PolicyId, &PolicyFile>,
    problems: &mut Vec<Problem>,
) -> Vec<Rule> {
    let mut rules = Vec::new();
    for policy in set.policies() {
        let file = sources
            .get(policy.id())
            .map_or(Path::new(""), |file| file.path.as_path());
        match Rule::of(policy, file) {
            Ok(rule) => rules.push(rule),
            Err(problem) => problems.push(*problem),
        }
    }
    rules.sort_by(|a, b| a.id.cmp(&b.id));
    rules
}

#[cfg(test)]
mod tests;
