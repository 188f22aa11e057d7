//! What a failure on the way to the server means and what mends it, in the client's words.

mod broker;

use super::dial::DialError;
use super::login::LoginError;
use crate::access::credential::CredentialError;
use crate::access::policy::Permit;
use crate::domain::credential::Credential;
use crate::domain::endpoint::{EndpointKind, EndpointName};
use crate::domain::reason::CloseReason;
use crate::domain::target::Target;
use crate::error::{Chain, ClientFacing, Refusal, SqlState};
use crate::platform::aws::policy_document::dbuser_arn;
use crate::platform::tls::client::HandshakeFault;
use crate::platform::wire::error::ServerError;
use crate::platform::wire::frame::FrameError;

impl ClientFacing for DialError {
    fn refusal(&self) -> Refusal {
        let unreachable = || {
            Refusal::new(
                CloseReason::Unreachable,
                SqlState::UNABLE_TO_CONNECT,
                format!("dbproxy cannot reach the database: {}", Chain(self)),
            )
        };
        let untrusted = || {
            Refusal::new(
                CloseReason::TlsNotVerified,
                SqlState::CONNECTION_FAILURE,
                format!("dbproxy does not trust the database server: {}", Chain(self)),
            )
        };
        match self {
            Self::Resolve(..) => unreachable()
                .hint("Check `endpoint` (or `dial`) of the target and this machine's DNS."),
            Self::Connect(..) => unreachable().hint(
                "Check that the database runs, its port, and the security groups and routes between dbproxy and it.",
            ),
            Self::Timeout(_) => unreachable().hint(
                "No answer at all usually means a security group, a route or a VPN that is down.",
            ),
            Self::NotPostgres(_) => {
                unreachable().hint("Check host and port: something else answers there.")
            }
            Self::TlsRefused(_) => {
                untrusted().hint("dbproxy connects over TLS only: switch TLS on at the server.")
            }
            Self::Handshake(_, fault, _) => untrusted().hint(handshake_hint(*fault)),
            Self::Settings(_) => untrusted().hint("Check `ca_file` of the target."),
        }
    }
}

/// The refusal for a server that could not be reached or not be trusted.
pub fn dial_refusal(error: &DialError, target: &Target) -> Refusal {
    match target.credential.broker() {
        Some(_) => broker::dial_refusal(error),
        None => error.refusal(),
    }
}

fn handshake_hint(fault: HandshakeFault) -> &'static str {
    match fault {
        HandshakeFault::UnknownIssuer => {
            "The certificate chains to no trusted root: set `ca_file` of the target to the RDS bundle of its region."
        }
        HandshakeFault::WrongName => {
            "The certificate is for another name: set `tls_name` (or `endpoint`) of the target to the RDS endpoint name."
        }
        HandshakeFault::Expired => "The server's certificate has expired (or this machine's clock is off).",
        HandshakeFault::BadCertificate => "The server's certificate is not acceptable; see dbproxy's log.",
        HandshakeFault::Other => "The handshake ended before a certificate was judged; see dbproxy's log.",
    }
}

/// What AWS says about the credentials that signed a refused token.
#[derive(Debug)]
pub enum Signer {
    /// They are good, and they are this principal's.
    Known(String),
    /// AWS does not accept them (any more), or cannot be asked.
    Faulty(CredentialError),
    NotAsked,
}

/// Everything that is known about a refused login.
#[derive(Debug)]
pub struct Circumstances<'a> {
    pub permit: &'a Permit,
    pub credential: &'a Credential,
    pub signer: Signer,
    /// An IAM login on this target has succeeded before.
    pub iam_works_here: bool,
}

/// True for the answer that RDS gives to a token it does not accept, whatever the cause.
pub fn is_token_refused(error: &LoginError) -> bool {
    matches!(error, LoginError::Refused(server) if server.code == "28000" && server.message.starts_with("PAM"))
}

/// True when another secret could change the outcome.
pub fn is_credential_refused(error: &LoginError) -> bool {
    match error {
        LoginError::Refused(server) => matches!(server.code.as_str(), "28000" | "28P01"),
        LoginError::Scram(_) => true,
        _ => false,
    }
}

/// The refusal for a failed login.
pub fn login_refusal(error: &LoginError, circumstances: &Circumstances<'_>) -> Refusal {
    let user = circumstances.permit.db_user();
    let refuse = |message: String| {
        Refusal::new(
            CloseReason::LoginRefused,
            SqlState::INVALID_AUTHORIZATION,
            message,
        )
    };
    match error {
        LoginError::Refused(server)
            if is_token_refused(error) && matches!(circumstances.credential, Credential::AuthToken(_)) =>
        {
            token_refusal(server, circumstances)
        }
        LoginError::Refused(server) => server_refusal(server, circumstances),
        LoginError::TokenNotAsked { asked } => refuse(format!(
            "the database asks for {asked} of db user \"{user}\", not for an IAM token"
        ))
        .hint(no_iam_hint(circumstances)),
        LoginError::ProofNotAsked { asked } => broker::not_asked(asked),
        // Of a fault only the sentence that is dbproxy's own.
        LoginError::NoProof(fault) => refuse("dbproxy could not make a proof for the broker".to_owned())
            .detail(fault.to_string()),
        LoginError::ChannelBinding => {
            refuse("channel binding cannot pass through dbproxy: the client's TLS ends here".to_owned())
                .hint("Set `channel_binding=disable` in the client's connection string.")
        }
        LoginError::UnknownMethod(_) => refuse(error.to_string())
            .hint("Supported are IAM tokens, SCRAM-SHA-256, md5 and cleartext inside TLS."),
        LoginError::Scram(_) => refuse(format!(
            "the password of db user \"{user}\" does not fit, or the server could not prove that it knows it"
        ))
        .hint(password_hint()),
        LoginError::Timeout => Refusal::new(
            CloseReason::Unreachable,
            SqlState::UNABLE_TO_CONNECT,
            format!("the {} did not complete the login in time", server_of(circumstances)),
        )
        .hint("The server is overloaded or starting; try again."),
        LoginError::ClientMessage(_) => client_violation(error.to_string()),
        LoginError::Client(fault @ (FrameError::TooLong { .. } | FrameError::BadLength { .. })) => {
            client_violation(format!("during the authentication: {fault}"))
        }
        LoginError::Client(_) => Refusal::new(
            CloseReason::ClientLost,
            SqlState::PROTOCOL_VIOLATION,
            error.to_string(),
        ),
        LoginError::Malformed(_) | LoginError::Server(_) => Refusal::new(
            CloseReason::ServerProtocol,
            SqlState::CONNECTION_FAILURE,
            Chain(error).to_string(),
        )
        .hint("The server, or something between it and dbproxy, broke off or does not keep to the protocol; see its log."),
        LoginError::ScramIterations(_) => refuse(error.to_string())
            .hint("Set `scram_iterations` of the server lower and the password of this db user anew."),
    }
}

fn server_of(circumstances: &Circumstances<'_>) -> &'static str {
    match circumstances.credential {
        Credential::Proof(_) => "broker",
        _ => "database",
    }
}

fn client_violation(message: String) -> Refusal {
    Refusal::new(
        CloseReason::ProtocolViolation,
        SqlState::PROTOCOL_VIOLATION,
        message,
    )
}

/// RDS answers every unacceptable token alike; what dbproxy knows narrows the cause down.
fn token_refusal(server: &ServerError, circumstances: &Circumstances<'_>) -> Refusal {
    let permit = circumstances.permit;
    let (target, user) = (permit.target(), permit.db_user());
    let refusal = Refusal::new(
        CloseReason::LoginRefused,
        SqlState::INVALID_AUTHORIZATION,
        format!("the database refused dbproxy's IAM token for db user \"{user}\""),
    )
    .detail(format!("server: {}", server.message));
    let signed_for = format!("the token was signed for {} in {}", target.token, target.region);
    // RDS verifies tokens over its own names only, whatever name or tunnel was dialled.
    let named = EndpointName::parse(&target.token.host);
    let foreign = match (named.kind, target.endpoint.kind) {
        (EndpointKind::Other, _) => true,
        (_, EndpointKind::Other) => false,
        _ => named.host != target.endpoint.host,
    };
    let other_region = named.region.is_some_and(|region| region != target.region);
    if foreign || other_region {
        return refusal.hint(format!(
            "{signed_for}, but the endpoint is {}: check `token_host` and `region` of the target.",
            target.endpoint.host
        ));
    }
    let arn = dbuser_arn(
        &target.region,
        target.account_id.as_deref().unwrap_or("<account>"),
        target.resource_id.as_deref().unwrap_or("<resource id>"),
        user,
    );
    match &circumstances.signer {
        Signer::Known(principal) => refusal.hint(format!(
            "AWS accepts dbproxy's credentials, so most likely {principal} is not allowed \
             rds-db:connect on {arn}. Otherwise: {signed_for}, both of which must be the database's own; \
             the resource id changes after a restore; and this machine's clock must be right."
        )),
        Signer::Faulty(error) => {
            let cause = error.refusal();
            refusal.hint(format!(
                "The credentials that signed the token are not good: {} {}",
                cause.detail.unwrap_or(cause.message),
                cause.hint.unwrap_or_default()
            ))
        }
        Signer::NotAsked => refusal.hint(format!("Allow rds-db:connect on {arn}; {signed_for}.")),
    }
}

/// Which of the two causes it is can be told when IAM has been seen to work on this target.
fn no_iam_hint(circumstances: &Circumstances<'_>) -> String {
    let user = circumstances.permit.db_user();
    let quoted = user.as_str().replace('"', "\"\"");
    if circumstances.iam_works_here {
        return format!(
            "IAM works here for other db users, so \"{user}\" does not exist or is not a member of \
             rds_iam: GRANT rds_iam TO \"{quoted}\"; or configure a password for this db user."
        );
    }
    format!(
        "Either IAM database authentication is off on this cluster (enable it: \
         EnableIAMDatabaseAuthentication), or \"{user}\" does not exist or is not a member of \
         rds_iam: GRANT rds_iam TO \"{quoted}\"; or configure a password for this db user."
    )
}

/// The server's own refusal, passed on with its SQLSTATE; a hint is added where dbproxy knows more.
fn server_refusal(server: &ServerError, circumstances: &Circumstances<'_>) -> Refusal {
    // A server may leave out or garble what the protocol demands; a driver must be able to read it.
    let is_code = server.code.len() == 5 && server.code.bytes().all(|b| b.is_ascii_alphanumeric());
    let code = match is_code {
        true => SqlState::of_server(&server.code),
        false => SqlState::CONNECTION_EXCEPTION,
    };
    let message = match server.message.as_str() {
        "" => "the server refused the login without a reason",
        message => message,
    };
    let mut refusal = Refusal::new(CloseReason::ServerRefused, code, message);
    refusal.detail = server.detail.clone();
    refusal.further = server.further.clone().into();
    refusal.hint = match (&server.hint, proof_hint(server, circumstances)) {
        // Both: what it says of itself, and what can be wrong here.
        (Some(said), Some(own)) => Some(format!("{said} {own}")),
        (None, Some(own)) => Some(own),
        (said, None) => said.clone().or_else(|| hint_for(server, circumstances)),
    };
    refusal
}

fn proof_hint(server: &ServerError, circumstances: &Circumstances<'_>) -> Option<String> {
    let permit = circumstances.permit;
    let settings = permit.target().credential_for(permit.db_user()).broker()?;
    (server.code == "28P01").then(|| broker::not_accepted(settings))
}

fn hint_for(server: &ServerError, circumstances: &Circumstances<'_>) -> Option<String> {
    let hint = match server.code.as_str() {
        "28P01" => match circumstances.credential {
            Credential::Password(_) => password_hint().to_owned(),
            Credential::Passthrough => {
                "The database itself refused the password that the client sent.".to_owned()
            }
            Credential::AuthToken(_) => no_iam_hint(circumstances),
            // See `proof_hint`.
            Credential::Proof(_) => return None,
        },
        "28000" if server.message.contains("pg_hba.conf") => {
            "The database's pg_hba.conf has no line that lets dbproxy in as this db user.".to_owned()
        }
        "3D000" => {
            let (database, user) = (circumstances.permit.database(), circumstances.permit.db_user());
            match database.as_str() == user.as_str() {
                true => {
                    "A client that names no database asks for one named like the user; name one that exists."
                }
                false => "Name a database that exists on this server.",
            }
            .to_owned()
        }
        "53300" => "The database has no free connection slot.".to_owned(),
        "57P03" => "The database is starting up or in recovery; try again in a moment.".to_owned(),
        _ => return None,
    };
    Some(hint)
}

fn password_hint() -> &'static str {
    "The stored password of this db user is not the database's: check the file, variable or secret in dbproxy's configuration."
}
