//! What was read again while dbproxy runs, whoever had it read: one line each time.

use super::Audit;
use crate::domain::caller::Caller;
use serde_json::{Map, Value, json};

/// Longest reason that is recorded; a set of policies can have many mistakes.
const REASON_CHARACTERS_MAX: usize = 2_048;

/// Who had it read.
#[derive(Debug, Clone)]
pub enum By {
    /// SIGHUP
    Signal,
    /// Nobody: files have changed.
    FileChange,
    Operator {
        operator: Caller,
        source: String,
    },
}

impl By {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::FileChange => "file change",
            Self::Operator { .. } => "operator",
        }
    }
}

/// Parts by name, and what is in force afterwards.
#[derive(Debug, Clone, Copy)]
pub struct Reread<'a> {
    pub by: &'a By,
    pub reloaded: &'a [&'static str],
    /// What stays as it was, and why.
    pub failed: &'a [(&'static str, String)],
    /// Which set of policies since the start it is, and the hash of its files; `None`: the built-in rule.
    pub policy: Option<(u64, &'a str)>,
    /// By the policies that are new.
    pub sessions_ending: usize,
}

impl Audit {
    /// It is done already: a line that cannot be written does not bring back what was in force before.
    pub async fn reread(&self, reread: &Reread<'_>) {
        let facts = reread.facts();
        tracing::info!(
            target: "audit",
            by = reread.by.as_str(),
            operator = facts.get("operator").and_then(|operator| operator.as_str()),
            reloaded = reread.reloaded.join(","),
            failed = reread.failed.iter().map(|(what, _)| *what).collect::<Vec<_>>().join(","),
            policy_generation = reread.policy.map(|(generation, _)| generation),
            policy_digest = reread.policy.map(|(_, digest)| digest),
            sessions_ending = reread.sessions_ending,
            "read again"
        );
        let _ = self.write("broker.reloaded", facts).await;
    }
}

impl Reread<'_> {
    fn outcome(&self) -> &'static str {
        match (self.reloaded.is_empty(), self.failed.is_empty()) {
            (_, true) => "done",
            (true, false) => "failed",
            (false, false) => "partly",
        }
    }

    fn facts(&self) -> Map<String, Value> {
        let (operator, source) = match self.by {
            By::Operator { operator, source } => (Some(operator), Some(source)),
            By::Signal | By::FileChange => (None, None),
        };
        let failed = self.failed.iter().map(|(what, why)| {
            let why: String = why.chars().take(REASON_CHARACTERS_MAX).collect();
            json!({"what": what, "why": why})
        });
        let failed: Vec<Value> = failed.collect();
        let facts = json!({
            "by": self.by.as_str(),
            "operator": operator.map(ToString::to_string),
            "proof": operator.map(|operator| operator.proof.as_str()),
            "source": source,
            "outcome": self.outcome(),
            "reloaded": self.reloaded,
            "failed": Some(failed).filter(|failed| !failed.is_empty()),
            "policy_generation": self.policy.map(|(generation, _)| generation),
            "policy_digest": self.policy.map(|(_, digest)| digest),
            "sessions_ending": self.sessions_ending,
        });
        match facts {
            Value::Object(facts) => facts,
            _ => Map::new(),
        }
    }
}
