//! Statements of policy documents, and what they come to together.

use super::pattern::Pattern;
use serde_json::Value;

/// Whether something is allowed. What a condition says is not judged: it may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum May {
    No,
    UnderCondition,
    Yes,
}

#[derive(Debug, Clone)]
pub struct Rule {
    pub allows: bool,
    pub actions: Side,
    pub resources: Side,
    pub has_condition: bool,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Debug, Clone)]
pub struct Side {
    pub is_not: bool,
    pub patterns: Vec<Pattern>,
}

impl Side {
    fn read(statement: &Value, [yes, not]: [&str; 2], read: fn(&str) -> Pattern) -> Self {
        let (is_not, value) = match (statement.get(yes), statement.get(not)) {
            (Some(value), _) => (false, Some(value)),
            (None, value) => (value.is_some(), value),
        };
        let texts = value.map(texts).unwrap_or_default();
        Self {
            is_not,
            patterns: texts.into_iter().map(read).collect(),
        }
    }

    pub fn actions(statement: &Value) -> Self {
        Self::read(statement, ["Action", "NotAction"], Pattern::of_action)
    }

    /// `generous`: variables are read so that it covers more, else so that it covers less.
    pub fn covers(&self, text: &str, generous: bool) -> bool {
        let counts = |pattern: &&Pattern| !pattern.has_variable() || generous != self.is_not;
        let mut patterns = self.patterns.iter().filter(counts);
        patterns.any(|pattern| pattern.fits(text)) != self.is_not
    }

    fn covers_by_variable(&self, text: &str) -> bool {
        self.covers(text, true) && !self.covers(text, false)
    }
}

/// One text, or a list of them.
pub fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

pub fn statements(document: &Value) -> Vec<&Value> {
    match document.get("Statement") {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one @ Value::Object(_)) => vec![one],
        _ => Vec::new(),
    }
}

pub fn has_condition(statement: &Value) -> bool {
    let condition = statement.get("Condition").and_then(Value::as_object);
    condition.is_some_and(|condition| !condition.is_empty())
}

/// IAM has judged the document; what this does not understand allows and denies nothing.
pub fn rules(document: &Value) -> impl Iterator<Item = Rule> {
    statements(document).into_iter().filter_map(|statement| {
        let effect = statement.get("Effect").and_then(Value::as_str)?;
        Some(Rule {
            allows: effect == "Allow",
            actions: Side::actions(statement),
            resources: Side::read(statement, ["Resource", "NotResource"], Pattern::new),
            has_condition: has_condition(statement),
        })
    })
}

impl Rule {
    pub fn is_about(&self, action: &str) -> bool {
        self.actions.covers(&action.to_ascii_lowercase(), self.allows)
    }
}

/// What all rules that are about one action say of a resource: an explicit denial counts most.
pub fn may<'r>(rules: impl Iterator<Item = &'r Rule> + Clone, resource: &str) -> May {
    let covering = rules.filter(|rule| rule.resources.covers(resource, rule.allows));
    let denies = |has_condition: bool| {
        let mut rules = covering.clone();
        rules.any(|rule| !rule.allows && rule.has_condition == has_condition)
    };
    if denies(false) {
        return May::No;
    }
    let allowed = covering.clone().filter(|rule| rule.allows).map(|rule| {
        match rule.has_condition || rule.resources.covers_by_variable(resource) {
            true => May::UnderCondition,
            false => May::Yes,
        }
    });
    match allowed.max() {
        Some(May::Yes) if denies(true) => May::UnderCondition,
        found => found.unwrap_or(May::No),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn judged(statements: &Value, resource: &str) -> May {
        let all: Vec<Rule> = rules(&json!({ "Statement": statements })).collect();
        let connect = all.iter().filter(|rule| rule.is_about("rds-db:connect"));
        may(connect, resource)
    }

    #[test]
    fn statements_come_to_one_answer() {
        let condition = json!({ "Bool": { "aws:MultiFactorAuthPresent": "true" } });
        let allow = json!({ "Effect": "Allow", "Action": "RDS-DB:Conn*", "Resource": ["x", "a/*"] });
        let deny = json!({ "Effect": "Deny", "NotAction": "s3:*", "Resource": "a/b" });
        let maybe = json!({ "Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition });
        assert_eq!(judged(&json!([allow, deny]), "a/c"), May::Yes);
        assert_eq!(judged(&json!([allow, deny]), "a/b"), May::No);
        assert_eq!(judged(&json!([allow, deny]), "b"), May::No);
        assert_eq!(judged(&json!([allow, maybe]), "a/c"), May::UnderCondition);
        assert_eq!(
            judged(&json!(allow), "x"),
            May::Yes,
            "one statement without a list"
        );
        let not = |what: &str| json!({ "Effect": "Allow", "NotAction": what, "NotResource": "a/*" });
        assert_eq!(judged(&not("iam:*"), "b"), May::Yes);
        assert_eq!(judged(&not("iam:*"), "a/b"), May::No);
        assert_eq!(judged(&not("rds-db:*"), "b"), May::No);
        // Whom a variable means is not known: allowed perhaps, denied not for sure.
        let own = |effect: &str| json!({ "Effect": effect, "Action": "*", "Resource": "a/${aws:username}" });
        assert_eq!(judged(&own("Allow"), "a/b"), May::UnderCondition);
        assert_eq!(judged(&json!([allow, own("Deny")]), "a/b"), May::Yes);
        let but_own = json!({ "Effect": "Deny", "Action": "*", "NotResource": "a/${aws:username}" });
        assert_eq!(judged(&json!([allow, but_own]), "a/b"), May::Yes);
        assert_eq!(judged(&json!([allow, but_own]), "x"), May::No);
        for odd in [
            json!(null),
            json!([1]),
            json!([{ "Effect": "Allow" }]),
            json!([{ "Action": "*", "Resource": "*" }]),
        ] {
            assert_eq!(judged(&odd, "x"), May::No);
        }
    }
}
