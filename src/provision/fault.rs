//! What a server, or the way to it, said to a statement.

use tokio_postgres::error::{DbError, SqlState};

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Said(#[from] Box<Said>),
    /// The session was ended, or the network was.
    #[error("the connection was lost")]
    Lost(#[source] tokio_postgres::Error),
    /// Neither: an answer that the driver could not read.
    #[error("the server's answer could not be used")]
    Answer(#[source] tokio_postgres::Error),
}

/// The server's own word, in full: detail and hint are its too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{severity} {sqlstate}: {message}{}", extra(detail.as_deref(), hint.as_deref()))]
pub struct Said {
    pub severity: String,
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl Fault {
    /// Whether the server is still there to ask.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Said(said) => said.severity == "FATAL" || said.severity == "PANIC",
            Self::Lost(_) => true,
            Self::Answer(_) => false,
        }
    }

    /// What mends it, where the server does not say so itself.
    pub fn remedy(&self) -> Option<&'static str> {
        let Self::Said(said) = self else {
            return None;
        };
        match said.sqlstate.as_str() {
            "55P03" => Some("Another session holds what this needs: run again when it is done, or end it."),
            "25006" => Some("This server takes no changes: give the endpoint of the writer."),
            "42501" => Some("The provisioner lacks this privilege; `dbproxy plan` says what it needs."),
            "57014" => {
                Some("The statement took longer than a run allows; nothing of its transaction is left.")
            }
            _ => None,
        }
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(said) => Self::said(said),
            None if error.is_closed() || is_io(&error) => Self::Lost(error),
            None => Self::Answer(error),
        }
    }
}

impl Fault {
    fn said(said: &DbError) -> Self {
        Self::Said(Box::new(Said {
            severity: said.severity().to_owned(),
            sqlstate: said.code().code().to_owned(),
            message: said.message().to_owned(),
            detail: said.detail().map(str::to_owned),
            hint: said.hint().map(str::to_owned),
        }))
    }

    pub(super) fn is(&self, code: &SqlState) -> bool {
        matches!(self, Self::Said(said) if said.sqlstate == code.code())
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    let source = std::error::Error::source(error);
    source
        .and_then(|source| source.downcast_ref::<std::io::Error>())
        .is_some()
}

fn extra(detail: Option<&str>, hint: Option<&str>) -> String {
    let detail = detail.map(|text| format!("; {text}")).unwrap_or_default();
    let hint = hint.map(|text| format!("; hint: {text}")).unwrap_or_default();
    detail + &hint
}
