//! Grants of the access manifest that ended while dbproxy runs, and were taken back in the database, or not.

use super::Audit;
use crate::platform::clock::rfc3339;
use serde_json::{Map, Value, json};
use std::time::SystemTime;

/// What became of one db user's grants.
#[derive(Debug, Clone)]
pub struct GrantEnded<'a> {
    pub target: &'a str,
    pub db_user: &'a str,
    /// Of the grants that ended.
    pub roles: &'a [String],
    pub ended_at: SystemTime,
    /// Why it could not be done; it is tried again.
    pub error: Option<String>,
    /// Through this dbproxy.
    pub sessions_ending: usize,
    /// In the database, of whatever client.
    pub server_sessions_ended: u64,
}

impl Audit {
    /// It is done already, or has failed already: a line that cannot be written changes neither.
    pub async fn grant_ended(&self, ended: &GrantEnded<'_>) {
        let _ = self.write("grant.ended", ended.facts()).await;
    }
}

impl GrantEnded<'_> {
    fn facts(&self) -> Map<String, Value> {
        let facts = json!({
            "target": self.target,
            "db_user": self.db_user,
            "db_roles": self.roles,
            "ended_at": rfc3339(self.ended_at),
            "outcome": if self.error.is_some() { "failed" } else { "done" },
            "error": self.error,
            "sessions_ending": self.sessions_ending,
            "server_sessions_ended": self.server_sessions_ended,
        });
        match facts {
            Value::Object(facts) => facts,
            _ => Map::new(),
        }
    }
}
