//! Plans as people read them, and as programs do.

use crate::cli::output::{self, line, printable};
use crate::provision::sql::identifier;
use crate::provision::step::{Plan, Step, StepKind};
use serde_json::{Value, json};

/// Steps by the place where they are taken, those that take something away with a `!`.
pub fn plan(plan: &Plan, notes: &[String], with_sql: bool) {
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
    let all: Vec<&String> = plan.notes.iter().chain(notes).collect();
    if !all.is_empty() {
        line("notes:");
    }
    for note in all {
        line(&format!("  {}", printable(note)));
    }
    line(&summary(plan));
}

fn step(step: &Step, with_sql: bool) {
    let title = printable(&step.title);
    match step.kind {
        StepKind::Destructive => line(&output::red(&format!("! {title}"))),
        StepKind::Ordinary | StepKind::Alone => line(&format!("  {title}")),
    }
    if with_sql {
        if let Some(role) = &step.as_role {
            line(&format!("      SET LOCAL ROLE {};", printable(&identifier(role))));
        }
        for statement in &step.statements {
            line(&format!("      {};", printable(statement)));
        }
    }
}

pub fn summary(plan: &Plan) -> String {
    let destructive = plan
        .steps
        .iter()
        .filter(|step| step.kind == StepKind::Destructive)
        .count();
    match plan.steps.len() {
        0 => "nothing to do".to_owned(),
        1 => format!("1 step, {destructive} destructive"),
        steps => format!("{steps} steps, {destructive} destructive"),
    }
}

pub fn json(cluster: &str, plan: &Plan, notes: &[String]) -> Value {
    let notes: Vec<&String> = plan.notes.iter().chain(notes).collect();
    json!({"cluster": cluster, "steps": plan.steps, "notes": notes})
}
