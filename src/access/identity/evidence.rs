//! The authenticators together: which evidence each accepts, and whom it proves.

use super::Local;
use super::aws_iam::{self, AwsIam, AwsIamError, PrincipalKind, permission_set};
use super::mtls::{self, CertificateError};
use super::oidc::{Oidc, OidcError, looks_like_jwt};
use super::scram::{Verifiers, VerifiersError};
use crate::domain::caller::{Caller, Principal, ProofKind};
use crate::domain::reason::CloseReason;
use crate::error::{Chain, ClientFacing, Refusal, SqlState};
use crate::platform::aws::proof::looks_like_proof;
use crate::platform::wire::scram::{ScramError, Verifier};
use arc_swap::ArcSwap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use zeroize::Zeroizing;

/// How callers may prove themselves at a listener. The first that fits decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Authenticator {
    Local,
    AwsIam,
    Oidc,
    /// The same tokens, by the SASL mechanism OAUTHBEARER (RFC 7628), as libpq 18 sends them.
    OauthBearer,
    Mtls,
    Scram,
}

impl Authenticator {
    pub const ALL: [Self; 6] = [
        Self::Local,
        Self::AwsIam,
        Self::Oidc,
        Self::OauthBearer,
        Self::Mtls,
        Self::Scram,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::AwsIam => "aws-iam",
            Self::Oidc => "oidc",
            Self::OauthBearer => "oauthbearer",
            Self::Mtls => "mtls",
            Self::Scram => "scram",
        }
    }

    /// The client is asked for it: it does not show by the connection itself.
    pub fn asks(self) -> bool {
        !matches!(self, Self::Local | Self::Mtls)
    }

    /// Its evidence comes as a password in clear.
    pub fn takes_passwords(self) -> bool {
        matches!(self, Self::AwsIam | Self::Oidc)
    }
}

impl FromStr for Authenticator {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|known| known.as_str() == text);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("`{text}` is no authenticator: {known}")
        })
    }
}

/// Why a caller was not proven. What the client reads of it is always the same.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    #[error("nothing that the listener accepts was proven")]
    Nothing,
    #[error("the client has no token yet and was told whom to ask for one")]
    NoToken,
    #[error("the password is none of the proofs that the listener accepts")]
    Unfit,
    #[error("the proof of an AWS identity was refused")]
    AwsIam(#[source] AwsIamError),
    #[error("the token was refused")]
    Oidc(#[source] OidcError),
    #[error("the subject of the token is no IAM principal")]
    AwsSubject,
    #[error("the client's certificate names nobody")]
    Certificate(#[source] CertificateError),
    #[error("the password exchange failed")]
    Scram(#[source] ScramError),
    #[error("the client's messages are malformed: {0}")]
    Malformed(&'static str),
    #[error("a proof would cross the network in clear")]
    InClear,
    #[error("too many failures from this address")]
    Locked,
    #[error("the load balancer does not say where the client is, so its failures could not be counted")]
    NoAddress,
}

impl ClientFacing for ProofError {
    fn refusal(&self) -> Refusal {
        let refusal = |code, text: &str| Refusal::new(CloseReason::NotIdentified, code, text);
        match self {
            Self::InClear => refusal(
                SqlState::INVALID_AUTHORIZATION,
                "this listener takes proofs of identity inside TLS only",
            )
            .hint("Connect with sslmode=verify-full."),
            Self::Malformed(_) => Refusal::new(
                CloseReason::ProtocolViolation,
                SqlState::PROTOCOL_VIOLATION,
                self.to_string(),
            ),
            // Whoever is not proven learns nothing about what was wrong.
            _ => refusal(SqlState::INVALID_PASSWORD, "who you are was not proven").hint(
                "A fresh proof may be needed (`dbproxy login`); whoever runs dbproxy finds the reason in its \
                 log, by the session id.",
            ),
        }
    }
}

impl ProofError {
    /// For the record.
    pub fn because(&self) -> String {
        Chain(self).to_string()
    }

    /// Somebody may be guessing. Not who has offered nothing: libpq does, to learn whom to ask for a token.
    pub fn is_a_guess(&self) -> bool {
        !matches!(
            self,
            Self::Nothing
                | Self::NoToken
                | Self::InClear
                | Self::Locked
                | Self::NoAddress
                | Self::AwsIam(AwsIamError::Unavailable(_) | AwsIamError::Throttled)
                | Self::Oidc(OidcError::KeysUnavailable(_) | OidcError::Crowded)
        )
    }
}

/// What turns a token's claims into a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSettings {
    pub issuer: String,
    /// An issuer may be configured more than once, for several audiences.
    pub audience: String,
    /// Stands before the names of its groups, so that no two issuers speak of the same.
    pub groups_prefix: String,
    /// AWS's own: the subject is an IAM principal.
    pub aws: bool,
    /// A token proves who somebody was when they came; it does not end the session.
    pub sessions_outlive_token: bool,
}

/// The users that log in with a password.
#[derive(Debug)]
pub struct ScramUsers {
    file: PathBuf,
    verifiers: ArcSwap<Verifiers>,
    /// Makes what an unknown user is asked look like what a known one is asked.
    seed: Zeroizing<[u8; 32]>,
}

/// A file that everybody may read is taken, but somebody has to know.
fn read(file: &Path) -> Result<Verifiers, VerifiersError> {
    let verifiers = Verifiers::load(file)?;
    if verifiers.is_exposed() {
        tracing::warn!(
            file = %file.display(),
            "every user of this machine may read the verifiers, and try passwords against them; `chmod o-r` the file"
        );
    }
    Ok(verifiers)
}

impl ScramUsers {
    pub fn load(file: PathBuf, seed: [u8; 32]) -> Result<Self, VerifiersError> {
        let verifiers = read(&file)?;
        Ok(Self {
            file,
            verifiers: ArcSwap::from_pointee(verifiers),
            seed: Zeroizing::new(seed),
        })
    }

    /// Reads the file again; one with a mistake leaves the present users.
    pub fn reload(&self) -> Result<(), VerifiersError> {
        self.verifiers.store(read(&self.file)?.into());
        Ok(())
    }

    /// The name whose password counts; see [`Verifiers::named`].
    pub fn named<'u>(&self, user: &'u str) -> &'u str {
        self.verifiers.load().named(user)
    }

    pub fn knows(&self, user: &str) -> bool {
        self.verifiers.load().find(user).is_some()
    }

    pub fn verifier(&self, user: &str) -> Verifier {
        self.verifiers.load().find_or_mock(user, &self.seed)
    }
}

/// Everything that can prove a caller; what is not configured proves nobody.
#[derive(Debug)]
pub struct Identity {
    pub local: Local,
    pub aws_iam: Option<AwsIam>,
    pub oidc: Option<Oidc>,
    pub issuers: Vec<IssuerSettings>,
    pub scram: Option<ScramUsers>,
    pub mtls: Option<mtls::Settings>,
}

impl Identity {
    /// The certificate that a client has presented, which the handshake has verified.
    pub fn by_certificate(&self, certificate_der: &[u8]) -> Result<Caller, ProofError> {
        let settings = self.mtls.ok_or(ProofError::Nothing)?;
        let proof = settings.prove(certificate_der).map_err(ProofError::Certificate)?;
        let principal = Principal::Certificate { name: proof.name };
        let mut caller = Caller::new(principal, ProofKind::Mtls);
        caller.expires = Some(proof.expires);
        Ok(caller)
    }

    /// A proof that came as a password: each kind is told by its beginning.
    pub async fn by_password(
        &self,
        password: &[u8],
        accepted: &[Authenticator],
    ) -> Result<Caller, ProofError> {
        let accepts = |authenticator| accepted.contains(&authenticator);
        match (&self.aws_iam, &self.oidc) {
            (Some(aws_iam), _) if accepts(Authenticator::AwsIam) && looks_like_proof(password) => {
                let proof = aws_iam.verify(password).await;
                Ok(aws_caller(proof.map_err(ProofError::AwsIam)?))
            }
            (_, Some(_)) if accepts(Authenticator::Oidc) && looks_like_jwt(password) => {
                self.by_token(password).await
            }
            _ => Err(ProofError::Unfit),
        }
    }

    /// A JWT, whichever way it came.
    pub async fn by_token(&self, token: &[u8]) -> Result<Caller, ProofError> {
        let (Some(oidc), Ok(token)) = (&self.oidc, std::str::from_utf8(token)) else {
            return Err(ProofError::Unfit);
        };
        let proof = oidc.verify(token).await.map_err(ProofError::Oidc)?;
        let mut issuers = self.issuers.iter();
        let issuer = issuers.find(|known| known.issuer == proof.issuer && known.audience == proof.audience);
        let issuer = issuer.ok_or(ProofError::Unfit)?;
        let mut caller = match issuer.aws {
            true => {
                let principal = principal_of_subject(&proof.subject).ok_or(ProofError::AwsSubject)?;
                let mut caller = Caller::new(principal, ProofKind::AwsJwt);
                caller.session_name = proof.claims.get("source_identity").cloned();
                caller
            }
            false => Caller::new(
                Principal::Oidc {
                    issuer: proof.issuer,
                    subject: proof.subject,
                },
                ProofKind::Oidc,
            ),
        };
        let prefix = &issuer.groups_prefix;
        caller.groups = proof
            .groups
            .iter()
            .map(|group| format!("{prefix}{group}"))
            .collect();
        caller.groups.sort();
        caller.email = proof.email;
        caller.mfa = proof.mfa;
        caller.expires = (!issuer.sessions_outlive_token).then_some(proof.expires);
        Ok(caller)
    }
}

fn aws_caller(proof: aws_iam::Proof) -> Caller {
    match proof.kind {
        PrincipalKind::Role {
            arn,
            session_name,
            permission_set,
        } => {
            let principal = Principal::IamRole { arn, permission_set };
            let mut caller = Caller::new(principal, ProofKind::AwsIam);
            caller.session_name = Some(session_name);
            caller
        }
        PrincipalKind::User { arn } => Caller::new(Principal::IamUser { arn }, ProofKind::AwsIam),
    }
}

/// `sub` of a `GetWebIdentityToken` is the principal's ARN with its path, which `GetCallerIdentity` leaves out
/// of a role's: names are unique in an account whatever their path (IAM User Guide, "IAM identifiers"), so it
/// is left out here too.
fn principal_of_subject(arn: &str) -> Option<Principal> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts[..] else {
        return None;
    };
    let (kind, path) = resource.split_once('/')?;
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    match kind {
        "user" => Some(Principal::IamUser { arn: arn.to_owned() }),
        "role" => {
            let permission_set = permission_set(name).ok()?.map(str::to_owned);
            let name = match &permission_set {
                Some(set) => format!("AWSReservedSSO_{set}"),
                None => name.to_owned(),
            };
            Some(Principal::IamRole {
                arn: format!("arn:{partition}:iam::{account}:role/{name}"),
                permission_set,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_of_aws_are_the_principals_that_proofs_name() {
        let role = |arn: &str, set: Option<&str>| {
            Some(Principal::IamRole {
                arn: arn.to_owned(),
                permission_set: set.map(str::to_owned),
            })
        };
        let of = principal_of_subject;
        assert_eq!(
            of("arn:aws:iam::1:role/team/app"),
            role("arn:aws:iam::1:role/app", None)
        );
        assert_eq!(
            of(
                "arn:aws:iam::1:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Data_0123456789abcdef"
            ),
            role("arn:aws:iam::1:role/AWSReservedSSO_Data", Some("Data"))
        );
        assert!(matches!(
            of("arn:aws:iam::1:user/a/jane"),
            Some(Principal::IamUser { .. })
        ));
        for wrong in [
            "arn:aws:iam::1:root",
            "arn:aws:iam::1:role/",
            "arn:aws:sts::1:assumed-role/a/b",
            "arn:aws:iam::1:role/AWSReservedSSO_Data",
            "jane",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_what_was_offered_can_be_a_guess() {
        for error in [
            ProofError::Unfit,
            ProofError::Scram(ScramError::Proof),
            ProofError::Malformed("message"),
        ] {
            assert!(error.is_a_guess(), "{error}");
        }
        for error in [
            ProofError::Nothing,
            ProofError::NoToken,
            ProofError::InClear,
            ProofError::Locked,
            ProofError::NoAddress,
        ] {
            assert!(!error.is_a_guess(), "{error}");
        }
    }

    #[test]
    fn authenticators_are_read_by_their_names() {
        for one in Authenticator::ALL {
            assert_eq!(one.as_str().parse(), Ok(one));
        }
        assert!(
            "ldap"
                .parse::<Authenticator>()
                .unwrap_err()
                .contains("oauthbearer")
        );
    }
}
