//! A plan that goes through a review before it runs.

use super::manifest;
use crate::cli::exit::Failure;
use crate::cli::output::{line, printable};
use crate::platform::clock::{Clock, rfc3339};
use crate::provision::iam::step::{IamPlan, WrittenStep};
use crate::provision::step::{Plan, Step, StepKind};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Of the file's form.
const VERSION: u32 = 1;
/// Far above any plan that people review.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    version: u32,
    pub cluster: String,
    pub made_at: String,
    steps: Vec<Step>,
    /// Absent: the plan is about the database alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iam: Option<Vec<WrittenStep>>,
    #[serde(default)]
    notes: Vec<String>,
}

#[derive(Deserialize)]
struct Head {
    version: u32,
}

impl PlanFile {
    pub fn write(path: &Path, cluster: &str, plan: &Plan, iam: Option<&IamPlan>) -> Result<(), Failure> {
        let file = Self {
            version: VERSION,
            cluster: cluster.to_owned(),
            made_at: rfc3339(Clock::system().now()),
            steps: plan.steps.clone(),
            iam: iam.map(IamPlan::written),
            notes: plan
                .notes
                .iter()
                .chain(iam.into_iter().flat_map(|iam| &iam.notes))
                .cloned()
                .collect(),
        };
        let mut text = serde_json::to_string_pretty(&file).map_err(Failure::usage)?;
        text.push('\n');
        manifest::write(path, &text).map_err(|error| manifest::cannot("write", path, &error))
    }

    pub fn read(path: &Path) -> Result<Self, Failure> {
        let mut text = String::new();
        let file = File::open(path).map_err(|error| manifest::cannot("read", path, &error))?;
        file.take(BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|error| manifest::cannot("read", path, &error))?;
        let wrong = |error: serde_json::Error| {
            let path = path.display();
            Failure::text(
                1,
                format!("{path} is no plan of `dbproxy plan --plan-out`: {error}"),
            )
        };
        let head: Head = serde_json::from_str(&text).map_err(wrong)?;
        if head.version != VERSION {
            let (path, version) = (path.display(), head.version);
            let what = format!("{path} is a plan of version {version}; this dbproxy knows version {VERSION}");
            return Err(Failure::text(1, what));
        }
        serde_json::from_str(&text).map_err(wrong)
    }

    /// Whether IAM was planned for, too.
    pub fn is_with_iam(&self) -> bool {
        self.iam.is_some()
    }

    /// Refuses another plan than the one that was reviewed, with what differs.
    pub fn must_be(&self, plan: &Plan, iam: Option<&IamPlan>) -> Result<(), Failure> {
        let iam = iam.map(IamPlan::written).unwrap_or_default();
        let reviewed = self.iam.as_deref().unwrap_or_default();
        if self.steps == plan.steps && reviewed == iam {
            return Ok(());
        }
        let mut same_steps = compare(&self.steps, &plan.steps, database_step);
        same_steps &= compare(reviewed, &iam, iam_step);
        let made = printable(&self.made_at);
        let what = match same_steps {
            true => "the order of the steps is another one",
            false => "see above: with - what is no longer to be done, with + what is new",
        };
        let moved = match reviewed == iam {
            true => "the manifest or the cluster has",
            false => "the manifest, the cluster or the account has",
        };
        let mut failure = Failure::text(
            1,
            format!("{moved} moved since the plan was made ({made}): {what}"),
        );
        failure.hint = Some("Nothing was changed. Make a new plan, and have it reviewed.".to_owned());
        Err(failure)
    }
}

/// Shows what one side alone has. Whether there is nothing such.
fn compare<T: PartialEq>(reviewed: &[T], now: &[T], show: impl Fn(&str, &T)) -> bool {
    let gone: Vec<&T> = reviewed.iter().filter(|step| !now.contains(step)).collect();
    let new: Vec<&T> = now.iter().filter(|step| !reviewed.contains(step)).collect();
    gone.iter().for_each(|step| show("-", step));
    new.iter().for_each(|step| show("+", step));
    gone.is_empty() && new.is_empty()
}

fn database_step(mark: &str, step: &Step) {
    let place = step.database.as_ref();
    let place = place.map(|name| format!(" (in database {:?})", name.as_str()));
    title(mark, step.kind, &step.title, &place.unwrap_or_default());
    for statement in &step.statements {
        line(&format!("{mark}       {};", printable(statement)));
    }
}

fn iam_step(mark: &str, step: &WrittenStep) {
    let place = format!(" (in IAM of account {})", printable(&step.account));
    title(mark, step.kind, &step.title, &place);
    for statement in &step.statements {
        line(&format!("{mark}       {}", printable(statement)));
    }
}

fn title(mark: &str, kind: StepKind, title: &str, place: &str) {
    let bang = if kind == StepKind::Destructive { "!" } else { " " };
    line(&format!("{mark} {bang} {}{place}", printable(title)));
}
