//! ErrorResponse: dbproxy's own, and reading the server's.

use super::auth::encode_frame;
use crate::domain::session_id::SessionId;
use crate::error::Refusal;
use bytes::{BufMut, BytesMut};

/// Writes a refusal as a FATAL ErrorResponse; the session id lets an operator find the log line.
pub fn encode_refusal(refusal: &Refusal, session: SessionId, out: &mut BytesMut) {
    let detail = match &refusal.detail {
        Some(detail) => format!("{detail} (dbproxy session {session})"),
        None => format!("dbproxy session {session}"),
    };
    let mut body = BytesMut::new();
    let mut field = |kind: u8, text: &str| {
        body.put_u8(kind);
        body.put_slice(without_nul(text).as_bytes());
        body.put_u8(0);
    };
    field(b'S', "FATAL");
    field(b'V', "FATAL");
    field(b'C', refusal.sqlstate.as_str());
    field(b'M', &refusal.message);
    field(b'D', &detail);
    if let Some(hint) = &refusal.hint {
        field(b'H', hint);
    }
    for (kind, text) in &refusal.further {
        field(*kind, text);
    }
    if refusal.further.is_empty() {
        field(b'R', "dbproxy");
    }
    body.put_u8(0);
    encode_frame(b'E', &body, out);
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
    /// All other fields in their order: context, position, names, where in the server's source.
    pub further: Vec<(u8, String)>,
}

impl ServerError {
    /// Reads the body of an `E` message; a cut field ends the list.
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
                _ => error.further.push((*kind, text())),
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
        assert_eq!(read.further, [(b'R', "dbproxy".to_owned())]);
    }

    #[test]
    fn what_the_server_says_beyond_that_is_passed_on() {
        let said = b"SFATAL\0VFATAL\0C22023\0Mno\0Wline 3\0Fguc.c\0L7\0RInitPostgres\0\0";
        let server = ServerError::parse(said);
        let mut refusal = Refusal::new(
            CloseReason::ServerRefused,
            SqlState::of_server(&server.code),
            server.message,
        );
        refusal.further = server.further.into();
        let mut out = BytesMut::new();
        encode_refusal(&refusal, SessionId::from_random(10), &mut out);
        let told = ServerError::parse(&out[5..]);
        let fields: Vec<_> = told
            .further
            .iter()
            .map(|(kind, text)| (*kind, text.as_str()))
            .collect();
        assert_eq!(
            fields,
            [
                (b'W', "line 3"),
                (b'F', "guc.c"),
                (b'L', "7"),
                (b'R', "InitPostgres")
            ]
        );
    }

    #[test]
    fn a_cut_error_gives_what_was_whole() {
        let read = ServerError::parse(b"SFATAL\0C28000\0Mhal");
        assert_eq!((read.code.as_str(), read.message.as_str()), ("28000", ""));
    }
}
