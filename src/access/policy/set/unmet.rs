//! Which parts of a policy's conditions do not hold for a question: each is evaluated as a policy of its own.

use super::super::entities::{context_of, request, uid};
use super::super::question::Question;
use super::{Rule, Set};
use cedar_policy::{Decision, Entities, Policy, PolicyId, PolicySet, Request};
use serde_json::{Value, json};

/// Parts of one policy that are looked at.
const PARTS_MAX: usize = 200;

impl Set {
    /// The parts of the rule's conditions that are false, as Cedar writes them (`unless` as a negated `when`); none where that cannot be said. A
    /// part that cannot be evaluated by itself (`context.source` where another part asks whether there is one) is
    /// left out: it was not reached.
    pub fn unmet(&self, rule: &Rule, question: &Question, groups: &[String]) -> Vec<String> {
        let parties = question.parties(groups, Some(question.around.now));
        let action = uid("Action", question.action.as_str());
        let (Ok(parties), Ok(action), Ok(context)) =
            (parties, action, context_of(question, Some(question.around.now)))
        else {
            return Vec::new();
        };
        let Ok(request) = request(action, &parties, context, &self.schema) else {
            return Vec::new();
        };
        let parts = rule.policy.to_json().map(|json| parts(&json)).unwrap_or_default();
        let parts = parts.into_iter().take(PARTS_MAX);
        let is_false = |part: &Policy| self.is_false(part, &request, &parties.entities);
        parts
            .filter_map(|part| Policy::from_json(Some(PolicyId::new("part")), part).ok())
            .filter(is_false)
            .filter_map(|part| text(&part))
            .collect()
    }

    fn is_false(&self, part: &Policy, request: &Request, entities: &Entities) -> bool {
        let Ok(alone) = PolicySet::from_policies([part.clone()]) else {
            return false;
        };
        let response = self.authorizer.is_authorized(request, &alone, entities);
        response.decision() == Decision::Deny && response.diagnostics().errors().next().is_none()
    }
}

/// Permits of everything, each under one part: `when { a && b }` has two, and so has `unless { a || b }`.
fn parts(policy: &Value) -> Vec<Value> {
    let conditions = policy.get("conditions").and_then(Value::as_array);
    let mut found = Vec::new();
    for condition in conditions.into_iter().flatten() {
        let (Some(kind), Some(body)) = (condition.get("kind"), condition.get("body")) else {
            continue;
        };
        let joint = if kind == "when" { "&&" } else { "||" };
        // The last is the first to be looked at, so that they come in their order.
        let mut waiting = vec![body];
        while let Some(body) = waiting.pop() {
            match body.get(joint).map(|two| (two.get("left"), two.get("right"))) {
                Some((Some(left), Some(right))) => waiting.extend([right, left]),
                _ => found.push(json!({
                    "effect": "permit",
                    "principal": {"op": "All"},
                    "action": {"op": "All"},
                    "resource": {"op": "All"},
                    "conditions": [{"kind": kind, "body": body}],
                })),
            }
        }
    }
    found
}

/// `when { … }` on one line.
fn text(part: &Policy) -> Option<String> {
    let text = part.to_cedar()?;
    let (_, condition) = text.split_once(')')?;
    // Line ends in texts are escaped, so these are of the frame.
    let lines = condition.trim_end_matches(';').lines().map(str::trim);
    Some(lines.collect::<Vec<_>>().join(" ").trim().to_owned())
}
