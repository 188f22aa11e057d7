//! The same where the server is another dbproxy: what it wants is a proof, and what mends it is elsewhere.

use crate::domain::reason::CloseReason;
use crate::domain::target::{BrokerSettings, ProofSource};
use crate::error::{Chain, Refusal, SqlState};
use crate::platform::tls::client::HandshakeFault;
use crate::traffic::upstream::DialError;

pub fn dial_refusal(error: &DialError) -> Refusal {
    let (reason, state, what) = match error {
        DialError::TlsRefused(_) | DialError::Handshake(..) | DialError::Settings(_) => (
            CloseReason::TlsNotVerified,
            SqlState::CONNECTION_FAILURE,
            "dbproxy does not trust the broker",
        ),
        _ => (
            CloseReason::Unreachable,
            SqlState::UNABLE_TO_CONNECT,
            "dbproxy cannot reach the broker",
        ),
    };
    let hint = match error {
        DialError::Resolve(..) => {
            "Check the broker's name (`--via`, or `endpoint` of the target) and this machine's DNS."
        }
        DialError::Connect(..) => "Check that the broker runs, its port, and the network between.",
        DialError::Timeout(_) => "No answer at all usually means a firewall, a route or a VPN that is down.",
        DialError::NotPostgres(_) => "Check host and port: something else answers there.",
        DialError::TlsRefused(_) => "Proofs go out inside TLS only: the broker needs `[client_tls]`.",
        DialError::Handshake(_, fault, _) => handshake_hint(*fault),
        DialError::Settings(_) => "Check `ca_file` of the target.",
    };
    Refusal::new(reason, state, format!("{what}: {}", Chain(error))).hint(hint)
}

fn handshake_hint(fault: HandshakeFault) -> &'static str {
    match fault {
        HandshakeFault::UnknownIssuer => {
            "No authority that is trusted signed the broker's certificate: set `ca_file` of the target (`--ca-file`) \
             to the one that did."
        }
        HandshakeFault::WrongName => {
            "The certificate is for another name: use the name that it carries (`--via`, or `endpoint` or `tls_name` \
             of the target)."
        }
        HandshakeFault::Expired => "The broker's certificate has expired (or this machine's clock is off).",
        HandshakeFault::BadCertificate => "The broker's certificate is not acceptable; see dbproxy's log.",
        HandshakeFault::Other => "The handshake ended before a certificate was judged; see dbproxy's log.",
    }
}

/// The broker asked for something else.
pub fn not_asked(asked: &str) -> Refusal {
    let refusal = Refusal::new(
        CloseReason::LoginRefused,
        SqlState::INVALID_AUTHORIZATION,
        format!("the broker asks for {asked}, not for a proof"),
    );
    refusal.hint(match asked {
        "an md5 password" => {
            "No dbproxy asks for that: if the server is a database, the target needs another kind of `credential`."
        }
        _ => {
            "The `authenticators` of the broker's listener must hold `aws-iam` (or `oidc`, for a token from a file), \
             and the db user must have no password of its own in the broker's `scram` file."
        }
    })
}

/// What a broker leaves out, because it tells strangers nothing: the mistakes that can be made on this side.
pub fn not_accepted(broker: &BrokerSettings) -> String {
    let audience = &broker.audience;
    match &broker.proof {
        ProofSource::AwsIam { .. } => format!(
            "The broker did not accept the proof that this dbproxy made for \"{audience}\": that must be `audience` \
             of the broker's `[aws_iam]`, this machine's clock must be right, and its AWS credentials those of an \
             IAM role or user."
        ),
        ProofSource::TokenFile(_) => {
            "The broker did not accept the token of the file: it may have expired, or be of \
             an issuer or for an audience that are not the broker's (`[oidc]`)."
                .to_owned()
        }
    }
}
