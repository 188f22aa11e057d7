//! What policy is asked: who, what, on what, and what is known of the connection.

use crate::domain::caller::Caller;
use crate::domain::name::{DatabaseName, DbRole, DbUser, NameError};
use crate::domain::target::Target;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// What a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Connect,
    /// A replication connection, physical or logical.
    Replicate,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Replicate => "replicate",
        }
    }
}

/// A complete question: the database was defaulted before.
#[derive(Debug, Clone)]
pub struct Question {
    pub caller: Caller,
    pub action: Action,
    pub target: Arc<Target>,
    pub db_user: DbUser,
    pub database: DatabaseName,
    /// The role that the session is to have from its first moment, where that is another than the db user.
    pub role: Option<DbRole>,
    pub around: Circumstances,
}

impl Question {
    /// Whether the access manifest names the caller for the db user: at a moment, or if that never ended. Until when the
    /// db user has its roles is no matter here: one whose roles have all ended is nobody's.
    pub fn is_granted(&self, at: Option<SystemTime>) -> bool {
        let declared = &self.target.declared;
        declared.names(&self.caller.principal, &self.db_user, at)
    }
}

/// A role as the server reads one: empty and `none` mean that there is none.
pub fn role(name: impl AsRef<[u8]>) -> Result<Option<DbRole>, NameError> {
    match name.as_ref() {
        b"" | b"none" => Ok(None),
        name => DbRole::new(name).map(Some),
    }
}

/// What is known of the connection beside who and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances {
    /// Nothing on a unix socket, or when a load balancer does not say.
    pub source: Option<IpAddr>,
    pub tls: bool,
    pub now: SystemTime,
    /// As the client sent it.
    pub application: String,
    pub listener: String,
}
