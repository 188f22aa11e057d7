//! Exit codes, and the failures that lead to them.

use crate::access::credential::CredentialError;
use crate::access::policy::Denial;
use crate::error::{Chain, ClientFacing};
use std::error::Error;
use std::process::ExitCode;

/// `dbproxy drift` has done its work, and found something.
pub const DRIFT: u8 = 5;

/// What a command failed with: text for a person, a code for a script.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    pub message: String,
    pub hint: Option<String>,
}

impl Failure {
    /// Usage, configuration, or something in the way of starting: 1.
    pub fn usage(error: impl Error) -> Self {
        Self::text(1, Chain(&error).to_string())
    }

    pub fn text(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// Somebody was not let in.
    pub fn is_login(&self) -> bool {
        self.code == 4
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }

    fn facing(code: u8, error: &impl ClientFacing) -> Self {
        let refusal = error.refusal();
        let message = match refusal.detail {
            Some(detail) => format!("{}: {detail}", refusal.message),
            None => refusal.message,
        };
        Self {
            code,
            message,
            hint: refusal.hint,
        }
    }
}

impl From<Denial> for Failure {
    fn from(denial: Denial) -> Self {
        Self::facing(2, &denial)
    }
}

impl From<CredentialError> for Failure {
    fn from(error: CredentialError) -> Self {
        Self::facing(4, &error)
    }
}
