//! Statements, and documents that stay below IAM's limits.

use super::entitled::Made;
use crate::provision::manifest::arn::PrincipalArn;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Characters of a policy document, white space not counted (IAM User Guide, "IAM and AWS STS quotas").
pub const MANAGED_MAX: usize = 6_144;
/// Of all inline policies together.
pub const ROLE_INLINE_MAX: usize = 10_240;
pub const USER_INLINE_MAX: usize = 2_048;
/// Of a trust policy, unless the account has a higher quota.
pub const TRUST_MAX: usize = 2_048;

/// What dbproxy does when it assumes a role: it says for whom, too.
pub const ASSUME: [&str; 3] = ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"];

/// Something that is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub actions: Vec<&'static str>,
    pub resources: BTreeSet<String>,
    pub condition: Option<Value>,
}

impl Statement {
    pub fn new(actions: &[&'static str], resources: BTreeSet<String>) -> Self {
        Self {
            actions: actions.to_vec(),
            resources,
            condition: None,
        }
    }

    pub fn when(mut self, condition: Value) -> Self {
        self.condition = Some(condition);
        self
    }

    fn without_resources(&self) -> Self {
        Self {
            resources: BTreeSet::new(),
            ..self.clone()
        }
    }

    pub fn json(&self) -> Value {
        let action = match self.actions.as_slice() {
            [one] => json!(one),
            many => json!(many),
        };
        let mut statement = json!({ "Effect": "Allow", "Action": action, "Resource": self.resources });
        if let (Some(condition), Some(fields)) = (&self.condition, statement.as_object_mut()) {
            fields.insert("Condition".to_owned(), condition.clone());
        }
        statement
    }
}

/// A policy of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub name: String,
    pub statements: Vec<Statement>,
}

impl Document {
    pub fn json(&self) -> Value {
        policy(&self.statements.iter().map(Statement::json).collect::<Vec<_>>())
    }
}

fn policy(statements: &[Value]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// Characters as IAM counts them; those of names count here even where they are white space.
pub fn weight(value: &Value) -> usize {
    value.to_string().chars().count()
}

/// As few documents as come of filling one after the other, in the order of statements and ARNs. `None`: one ARN alone
/// is too long.
pub fn pack(statements: &[Statement], limit: usize) -> Option<Vec<Vec<Statement>>> {
    let empty = weight(&policy(&[]));
    let mut documents: Vec<Vec<Statement>> = Vec::new();
    let mut open: Vec<Statement> = Vec::new();
    let mut size = empty;
    for statement in statements {
        let head = weight(&statement.without_resources().json());
        let mut is_begun = false;
        for resource in &statement.resources {
            let length = weight(&json!(resource));
            // A comma stands before all but the first.
            let comma = usize::from(!open.is_empty());
            let mut more = match is_begun {
                true => length.saturating_add(1),
                false => head.saturating_add(length).saturating_add(comma),
            };
            if size.saturating_add(more) > limit && !open.is_empty() {
                documents.push(std::mem::take(&mut open));
                (size, is_begun) = (empty, false);
                more = head.saturating_add(length);
            }
            size = size.saturating_add(more);
            if size > limit {
                return None;
            }
            if !is_begun {
                open.push(statement.without_resources());
                is_begun = true;
            }
            if let Some(last) = open.last_mut() {
                last.resources.insert(resource.clone());
            }
        }
    }
    if !open.is_empty() {
        documents.push(open);
    }
    Some(documents)
}

/// Who may assume a role, with the external id; and may say for whom, which dbproxy does.
pub fn trust(made: &Made) -> Value {
    let trusts: Vec<&str> = made.trusts.iter().map(PrincipalArn::as_str).collect();
    let [assume, further @ ..] = ASSUME;
    policy(&[
        json!({
            "Effect": "Allow",
            "Principal": { "AWS": trusts },
            "Action": assume,
            "Condition": { "StringEquals": { "sts:ExternalId": made.external_id } },
        }),
        json!({ "Effect": "Allow", "Principal": { "AWS": trusts }, "Action": further }),
    ])
}
