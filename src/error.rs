//! What a client may read of a failure: an allow-list by trait, never a bare error text.

use crate::domain::reason::CloseReason;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// SQLSTATE codes dbproxy answers with (PostgreSQL manual, appendix A).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlState(Cow<'static, str>);

impl SqlState {
    pub const CONNECTION_EXCEPTION: Self = Self(Cow::Borrowed("08000"));
    pub const UNABLE_TO_CONNECT: Self = Self(Cow::Borrowed("08001"));
    pub const CONNECTION_FAILURE: Self = Self(Cow::Borrowed("08006"));
    pub const PROTOCOL_VIOLATION: Self = Self(Cow::Borrowed("08P01"));
    pub const FEATURE_NOT_SUPPORTED: Self = Self(Cow::Borrowed("0A000"));
    pub const INVALID_AUTHORIZATION: Self = Self(Cow::Borrowed("28000"));
    pub const INVALID_PASSWORD: Self = Self(Cow::Borrowed("28P01"));
    pub const INVALID_CATALOG_NAME: Self = Self(Cow::Borrowed("3D000"));
    pub const INSUFFICIENT_PRIVILEGE: Self = Self(Cow::Borrowed("42501"));
    pub const TOO_MANY_CONNECTIONS: Self = Self(Cow::Borrowed("53300"));
    pub const CANNOT_CONNECT_NOW: Self = Self(Cow::Borrowed("57P03"));
    pub const ADMIN_SHUTDOWN: Self = Self(Cow::Borrowed("57P01"));

    /// The server's own code, passed on.
    pub fn of_server(code: &str) -> Self {
        Self(Cow::Owned(code.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A refusal as the client reads it: SQLSTATE, one sentence, what mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reason: CloseReason,
    pub sqlstate: SqlState,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// Further fields of an ErrorResponse, where the refusal is the server's own.
    pub further: Box<[(u8, String)]>,
}

impl Refusal {
    pub fn new(reason: CloseReason, sqlstate: SqlState, message: impl Into<String>) -> Self {
        Self {
            reason,
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
            further: Box::default(),
        }
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Errors that opt in to being read by the client. Deliberately not implemented for boxed or
/// foreign errors: their texts may hold what a client must not see.
pub trait ClientFacing: Error {
    fn refusal(&self) -> Refusal;
}

/// An error and its sources as one sentence, for logs and for causes that a client may read.
pub struct Chain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            // Some libraries repeat the source's text in their own.
            if !last.contains(&text) {
                write!(f, ": {text}")?;
            }
            last = text;
            next = error.source();
        }
        Ok(())
    }
}
