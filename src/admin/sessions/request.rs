//! The body of `POST /sessions/terminate`: `{"sessions": ["0123456789abcdef"], "now": false}`.

use crate::domain::session_id::SessionId;
use serde_json::Value;

/// Sessions in one request: their ids must fit one audit line.
const SESSIONS_MAX: usize = 1_000;

/// Sessions to end.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// Each once.
    pub sessions: Vec<SessionId>,
    /// Without waiting for the end of their transactions.
    pub now: bool,
}

impl Request {
    /// What is misspelt is a mistake: `"now"` must not be overlooked.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else {
            return Err(
                "the body must be a JSON object such as {\"sessions\": [\"0123456789abcdef\"]}".to_owned(),
            );
        };
        let Some(Value::Array(ids)) = fields.remove("sessions") else {
            return Err("`sessions` must be a list of session ids".to_owned());
        };
        let now = match fields.remove("now") {
            None => false,
            Some(Value::Bool(now)) => now,
            Some(_) => return Err("`now` must be true or false".to_owned()),
        };
        if !fields.is_empty() {
            return Err("there are no fields but `sessions` and `now`".to_owned());
        }
        if ids.is_empty() || ids.len() > SESSIONS_MAX {
            return Err(format!("`sessions` must hold 1 to {SESSIONS_MAX} session ids"));
        }
        let mut seen = std::collections::HashSet::new();
        let mut sessions = Vec::with_capacity(ids.len());
        for id in &ids {
            let Some(id) = id.as_str().and_then(SessionId::parse) else {
                return Err("a session id has 16 hexadecimal digits".to_owned());
            };
            if seen.insert(id) {
                sessions.push(id);
            }
        }
        Ok(Self { sessions, now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_meant_is_taken() {
        let parse = |text: &str| Request::parse(text.as_bytes());
        let id = "0123456789abcdef";
        let taken = parse(&format!(r#"{{"sessions": ["{id}", "{id}"], "now": true}}"#)).unwrap();
        assert_eq!(taken.sessions, [SessionId::parse(id).unwrap()]);
        assert!(taken.now);
        assert!(!parse(&format!(r#"{{"sessions": ["{id}"]}}"#)).unwrap().now);
        let many = vec![format!("\"{id}\""); SESSIONS_MAX + 1].join(",");
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"sessions": []}"#,
            r#"{"sessions": "0123456789abcdef"}"#,
            r#"{"sessions": ["0123"]}"#,
            r#"{"sessions": [7]}"#,
            r#"{"sessions": ["0123456789abcdef"], "now": "yes"}"#,
            r#"{"sessions": ["0123456789abcdef"], "Now": true}"#,
            &format!(r#"{{"sessions": [{many}]}}"#),
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
