//! What operators ask of a running dbproxy, whether it is done or not: one line for each.

use super::Audit;
use super::sink::SinkError;
use crate::domain::caller::Caller;
use crate::domain::session_id::SessionId;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Who asked, from where, and what was decided.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    pub operator: &'a Caller,
    pub source: String,
    pub decided: Decided,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    Yes(Vec<Arc<str>>),
    No(String),
    /// There was nothing to decide about.
    Nothing(String),
}

impl Decided {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Yes(_) => "permit",
            Self::No(_) => "deny",
            Self::Nothing(_) => "none",
        }
    }
}

impl Audit {
    /// An operator asks to end sessions, all of one target, or of none that is known. An error means that it must
    /// not be done.
    pub async fn terminate_asked(
        &self,
        asked: &Asked<'_>,
        target: Option<&str>,
        sessions: &[SessionId],
        now: bool,
    ) -> Result<(), SinkError> {
        let ids: Vec<String> = sessions.iter().map(ToString::to_string).collect();
        let (operator, decision) = (asked.operator, asked.decided.as_str());
        tracing::info!(
            target: "audit", %operator, source = asked.source, database_target = target, sessions = ids.join(","), now,
            decision, because = asked.because(), "termination asked"
        );
        let mut facts = asked.facts();
        facts.insert("target".to_owned(), target.into());
        facts.insert("sessions".to_owned(), ids.into());
        facts.insert("now".to_owned(), now.into());
        self.demand("session.terminate_asked", facts).await
    }

    /// An operator asks to have everything read again.
    pub async fn reload_asked(&self, asked: &Asked<'_>) -> Result<(), SinkError> {
        let (operator, decision) = (asked.operator, asked.decided.as_str());
        tracing::info!(
            target: "audit", %operator, source = asked.source, decision, because = asked.because(), "reload asked"
        );
        self.demand("broker.reload_asked", asked.facts()).await
    }

    /// An operator asks dbproxy to drain and end.
    pub async fn shutdown_asked(&self, asked: &Asked<'_>) -> Result<(), SinkError> {
        let (operator, decision) = (asked.operator, asked.decided.as_str());
        tracing::info!(
            target: "audit", %operator, source = asked.source, decision, because = asked.because(), "shutdown asked"
        );
        self.demand("broker.shutdown_asked", asked.facts()).await
    }

    /// A failure counts only where lines are required.
    async fn demand(&self, event: &'static str, facts: Map<String, Value>) -> Result<(), SinkError> {
        match self.write(event, facts).await {
            Err(error) if self.is_required() => Err(error),
            _ => Ok(()),
        }
    }
}

impl Asked<'_> {
    fn because(&self) -> Option<&str> {
        match &self.decided {
            Decided::Yes(_) => None,
            Decided::No(because) | Decided::Nothing(because) => Some(because),
        }
    }

    fn facts(&self) -> Map<String, Value> {
        let policies = match &self.decided {
            Decided::Yes(policies) => Some(policies),
            _ => None,
        };
        let facts = json!({
            "operator": self.operator.to_string(),
            "proof": self.operator.proof.as_str(),
            "source": self.source,
            "decision": self.decided.as_str(),
            "policies": policies.filter(|policies| !policies.is_empty()),
            "because": self.because(),
        });
        match facts {
            Value::Object(facts) => facts,
            _ => Map::new(),
        }
    }
}
