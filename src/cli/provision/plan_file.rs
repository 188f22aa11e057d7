//! A plan that goes through a review before it runs.

use super::manifest;
use crate::cli::exit::Failure;
use crate::cli::output::{line, printable};
use crate::platform::clock::{Clock, rfc3339};
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
    #[serde(default)]
    notes: Vec<String>,
}

#[derive(Deserialize)]
struct Head {
    version: u32,
}

impl PlanFile {
    pub fn write(path: &Path, cluster: &str, plan: &Plan) -> Result<(), Failure> {
        let file = Self {
            version: VERSION,
            cluster: cluster.to_owned(),
            made_at: rfc3339(Clock::system().now()),
            steps: plan.steps.clone(),
            notes: plan.notes.clone(),
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

    /// Refuses another plan than the one that was reviewed, with what differs.
    pub fn must_be(&self, plan: &Plan) -> Result<(), Failure> {
        if self.steps == plan.steps {
            return Ok(());
        }
        let gone: Vec<&Step> = self
            .steps
            .iter()
            .filter(|step| !plan.steps.contains(step))
            .collect();
        let new: Vec<&Step> = plan
            .steps
            .iter()
            .filter(|step| !self.steps.contains(step))
            .collect();
        let same_steps = gone.is_empty() && new.is_empty();
        gone.iter().for_each(|step| show("-", step));
        new.iter().for_each(|step| show("+", step));
        let made = printable(&self.made_at);
        let what = match same_steps {
            true => "the order of the steps is another one",
            false => "see above: with - what is no longer to be done, with + what is new",
        };
        let mut failure = Failure::text(
            1,
            format!("the manifest or the cluster has moved since the plan was made ({made}): {what}"),
        );
        failure.hint = Some("Nothing was changed. Make a new plan, and have it reviewed.".to_owned());
        Err(failure)
    }
}

fn show(mark: &str, step: &Step) {
    let bang = if step.kind == StepKind::Destructive {
        "!"
    } else {
        " "
    };
    let place = step.database.as_ref();
    let place = place.map(|name| format!(" (in database {:?})", name.as_str()));
    let place = place.unwrap_or_default();
    line(&format!("{mark} {bang} {}{place}", printable(&step.title)));
    for statement in &step.statements {
        line(&format!("{mark}       {};", printable(statement)));
    }
}
