//! Every ending of a connection has a name; log, metrics, audit and errors share them.

use std::fmt;

/// Why a client connection ended. Closed set: the strings are metric labels and audit values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    // ordinary ends
    ClientClosed,
    ServerClosed,
    CancelRequest,
    Probe,
    // ends that dbproxy decided on
    Shutdown,
    PolicyDenied,
    NotIdentified,
    TooManyConnections,
    /// Policies that were reloaded do not permit the session any more.
    PolicyChanged,
    /// The time that policy permits is over.
    PermitExpired,
    /// What proved the caller has expired.
    ProofExpired,
    /// A grant of the access manifest that it rested on is over.
    GrantEnded,
    /// By an operator.
    Terminated,
    /// The record of a session could not be written, and must be.
    AuditUnavailable,
    // faults of the client's side
    ClientLost,
    ClientTls,
    StartupTimeout,
    ProtocolViolation,
    ProxyHeader,
    // faults between dbproxy and the server
    CredentialUnavailable,
    LoginRefused,
    ServerRefused,
    Unreachable,
    TlsNotVerified,
    ServerLost,
    ServerProtocol,
}

impl CloseReason {
    pub const ALL: [Self; 26] = [
        Self::ClientClosed,
        Self::ServerClosed,
        Self::CancelRequest,
        Self::Probe,
        Self::Shutdown,
        Self::PolicyDenied,
        Self::NotIdentified,
        Self::TooManyConnections,
        Self::PolicyChanged,
        Self::PermitExpired,
        Self::ProofExpired,
        Self::GrantEnded,
        Self::Terminated,
        Self::AuditUnavailable,
        Self::ClientLost,
        Self::ClientTls,
        Self::StartupTimeout,
        Self::ProtocolViolation,
        Self::ProxyHeader,
        Self::CredentialUnavailable,
        Self::LoginRefused,
        Self::ServerRefused,
        Self::Unreachable,
        Self::TlsNotVerified,
        Self::ServerLost,
        Self::ServerProtocol,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::ServerClosed => "server_closed",
            Self::CancelRequest => "cancel_request",
            Self::Probe => "probe",
            Self::Shutdown => "shutdown",
            Self::PolicyDenied => "policy_denied",
            Self::NotIdentified => "not_identified",
            Self::TooManyConnections => "too_many_connections",
            Self::PolicyChanged => "policy_changed",
            Self::PermitExpired => "permit_expired",
            Self::ProofExpired => "proof_expired",
            Self::GrantEnded => "grant_ended",
            Self::Terminated => "terminated",
            Self::AuditUnavailable => "audit_unavailable",
            Self::ClientLost => "client_lost",
            Self::ClientTls => "client_tls",
            Self::StartupTimeout => "startup_timeout",
            Self::ProtocolViolation => "protocol_violation",
            Self::ProxyHeader => "proxy_header",
            Self::CredentialUnavailable => "credential_unavailable",
            Self::LoginRefused => "login_refused",
            Self::ServerRefused => "server_refused",
            Self::Unreachable => "unreachable",
            Self::TlsNotVerified => "tls_not_verified",
            Self::ServerLost => "server_lost",
            Self::ServerProtocol => "server_protocol",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_its_own_label() {
        let labels: HashSet<_> = CloseReason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(labels.len(), CloseReason::ALL.len());
    }
}
