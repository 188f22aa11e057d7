//! Plans as people read them, and as programs do.

use crate::cli::output::{self, line, printable};
use crate::provision::iam::render::call::command;
use crate::provision::iam::step::IamPlan;
use crate::provision::sql::identifier;
use crate::provision::step::{Plan, Step, StepKind};
use serde_json::{Value, json};

/// Steps by the place where they are taken, those that take something away with a `!`.
pub fn plan(plan: &Plan, iam: Option<&IamPlan>, notes: &[String], with_sql: bool) {
    let places = plan.steps.chunk_by(|one, next| one.database == next.database);
    for steps in places {
        if let Some(first) = steps.first() {
            line(&match &first.database {
                Some(name) => format!("in database {:?}:", name.as_str()),
                None => "in the cluster:".to_owned(),
            });
        }
        steps.iter().for_each(|step| self::step(step, with_sql));
    }
    if let Some(iam) = iam {
        self::iam(iam, with_sql);
    }
    let all: Vec<&String> = all_notes(plan, iam).chain(notes).collect();
    if !all.is_empty() {
        line("notes:");
    }
    for note in all {
        line(&format!("  {}", printable(note)));
    }
    line(&summary(plan, iam));
}

fn all_notes<'a>(plan: &'a Plan, iam: Option<&'a IamPlan>) -> impl Iterator<Item = &'a String> {
    plan.notes
        .iter()
        .chain(iam.into_iter().flat_map(|iam| &iam.notes))
}

/// The steps of the other plane.
pub fn iam(plan: &IamPlan, with_commands: bool) {
    if !plan.steps.is_empty() {
        line(&format!("in IAM of account {}:", plan.account));
    }
    for step in &plan.steps {
        title(&step.title, step.kind);
        let commands = step.calls.iter().map(command).filter(|_| with_commands);
        commands.for_each(|command| line(&format!("      {}", printable(&command))));
    }
}

fn title(title: &str, kind: StepKind) {
    let title = printable(title);
    match kind {
        StepKind::Destructive => line(&output::red(&format!("! {title}"))),
        StepKind::Ordinary | StepKind::Alone => line(&format!("  {title}")),
    }
}

fn step(step: &Step, with_sql: bool) {
    title(&step.title, step.kind);
    if with_sql {
        if let Some(role) = &step.as_role {
            line(&format!("      SET LOCAL ROLE {};", printable(&identifier(role))));
        }
        for statement in &step.statements {
            line(&format!("      {};", printable(statement)));
        }
    }
}

pub fn summary(plan: &Plan, iam: Option<&IamPlan>) -> String {
    let takes = |kind: &StepKind| *kind == StepKind::Destructive;
    let kinds: Vec<StepKind> = plan
        .steps
        .iter()
        .map(|step| step.kind)
        .chain(iam.into_iter().flat_map(|iam| &iam.steps).map(|step| step.kind))
        .collect();
    let destructive = kinds.iter().filter(|kind| takes(kind)).count();
    match kinds.len() {
        0 => "nothing to do".to_owned(),
        1 => format!("1 step, {destructive} destructive"),
        steps => format!("{steps} steps, {destructive} destructive"),
    }
}

/// Steps of both planes in the order in which they are taken.
pub fn json(cluster: &str, plan: &Plan, iam: Option<&IamPlan>, notes: &[String]) -> Value {
    let notes: Vec<&String> = all_notes(plan, iam).chain(notes).collect();
    let mut steps: Vec<Value> = plan.steps.iter().map(|step| json!(step)).collect();
    let written = iam.map(IamPlan::written).unwrap_or_default();
    steps.extend(written.iter().map(|step| json!(step)));
    json!({"cluster": cluster, "steps": steps, "notes": notes})
}
