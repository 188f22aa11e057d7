//! ErrorResponse: dbproxy's own, and reading the server's.

use crate::domain::session_id::SessionId;
use crate::error::Refusal;
use bytes::BytesMut;
use pgwire::error::ErrorInfo;
use pgwire::messages::Message;
use pgwire::messages::response::ErrorResponse;

/// Writes a refusal as a FATAL ErrorResponse; the session id lets an operator find the log line.
pub fn encode_refusal(refusal: &Refusal, session: SessionId, out: &mut BytesMut) {
    // pgwire's ErrorInfo is non-exhaustive: filled after construction.
    let mut info = ErrorInfo::new(
        "FATAL".to_owned(),
        refusal.sqlstate.as_str().to_owned(),
        without_nul(&refusal.message),
    );
    info.severity_nonlocalized = Some("FATAL".to_owned());
    info.detail = Some(match &refusal.detail {
        Some(detail) => format!("{} (dbproxy session {session})", without_nul(detail)),
        None => format!("dbproxy session {session}"),
    });
    info.hint = refusal.hint.as_deref().map(without_nul);
    info.routine = Some("dbproxy".to_owned());
    let response: ErrorResponse = info.into();
    // Encoding fails only beyond pgwire's size limit of 1 GiB.
    if response.encode(out).is_err() {
        out.clear();
    }
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The fields of a server's ErrorResponse that dbproxy acts on.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{severity} {code}: {message}")]
pub struct ServerError {
    pub severity: String,
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl ServerError {
    /// Reads the body of an `E` message; unknown fields are skipped, a cut one ends the list.
    pub fn parse(mut body: &[u8]) -> Self {
        let mut error = Self::default();
        while let Some((kind, rest)) = body.split_first() {
            let Some(end) = rest.iter().position(|b| *b == 0) else {
                break;
            };
            let (text, after) = rest.split_at(end);
            let text = || String::from_utf8_lossy(text).into_owned();
            match kind {
                0 => break,
                b'S' if error.severity.is_empty() => error.severity = text(),
                b'V' => error.severity = text(),
                b'C' => error.code = text(),
                b'M' => error.message = text(),
                b'D' => error.detail = Some(text()),
                b'H' => error.hint = Some(text()),
                _ => {}
            }
            body = after.get(1..).unwrap_or_default();
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reason::CloseReason;
    use crate::error::SqlState;

    #[test]
    fn a_refusal_is_read_back_with_all_its_fields() {
        let refusal = Refusal::new(
            CloseReason::PolicyDenied,
            SqlState::INSUFFICIENT_PRIVILEGE,
            "policy denies",
        )
        .hint("ask for app_ro");
        let mut out = BytesMut::new();
        encode_refusal(&refusal, SessionId::from_random(10), &mut out);
        assert_eq!(out[0], b'E');
        let read = ServerError::parse(&out[5..]);
        assert_eq!(read.severity, "FATAL");
        assert_eq!(read.code, "42501");
        assert_eq!(read.message, "policy denies");
        assert_eq!(read.detail.as_deref(), Some("dbproxy session 000000000000000a"));
        assert_eq!(read.hint.as_deref(), Some("ask for app_ro"));
    }

    #[test]
    fn a_cut_error_gives_what_was_whole() {
        let read = ServerError::parse(b"SFATAL\0C28000\0Mhal");
        assert_eq!((read.code.as_str(), read.message.as_str()), ("28000", ""));
    }
}
