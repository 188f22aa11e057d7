//! Who opened the session, once proven.

use super::name::NAME_BYTES_MAX;
use aws_lc_rs::digest;
use std::fmt;
use std::time::SystemTime;

/// Longest `SourceIdentity` and `RoleSessionName` (AWS STS API Reference, `AssumeRole`).
const STS_NAME_MAX: usize = 64;
/// What the role names of IAM Identity Center's permission sets begin with.
pub const SSO_PREFIX: &str = "AWSReservedSSO_";
/// A permission set's role ends in so many hexadecimal digits, which change when it is provisioned anew.
pub const SSO_HASH: usize = 16;
/// Digits of the hash that tells apart what would become the same name.
const HASH_DIGITS: usize = 8;

/// The human or workload behind a client connection, and how that was proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub principal: Principal,
    /// Groups that the proof names, sorted; those of the configuration are policy's affair.
    pub groups: Vec<String>,
    pub email: Option<String>,
    pub proof: ProofKind,
    /// The proof says that a second factor was used.
    pub mfa: bool,
    /// When the proof ends.
    pub expires: Option<SystemTime>,
    /// What the caller calls its own session: for the record, never for a decision.
    pub session_name: Option<String>,
}

/// Whom policy speaks of. The texts are kept exactly: what would merge two of them is refused earlier.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Principal {
    /// Reached a loopback or unix listener. On a unix socket the kernel tells the peer's uid.
    Local {
        uid: Option<u32>,
    },
    /// `arn:aws:iam::111122223333:role/app`, whatever its session is called. A role of IAM Identity Center
    /// has no hash here, and its permission set beside it.
    IamRole {
        arn: String,
        permission_set: Option<String>,
    },
    IamUser {
        arn: String,
    },
    Oidc {
        issuer: String,
        subject: String,
    },
    /// A name of a client certificate with its kind: `uri:spiffe://…`, `email:…`, `dns:…`, `cn:…`.
    Certificate {
        name: String,
    },
    /// A name with a password of its own, from a file of verifiers.
    Password {
        name: String,
    },
}

/// How a caller was proven. Closed set, shared by policy and audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProofKind {
    Local,
    AwsIam,
    AwsJwt,
    Oidc,
    Mtls,
    Scram,
}

impl ProofKind {
    pub const ALL: [Self; 6] = [
        Self::Local,
        Self::AwsIam,
        Self::AwsJwt,
        Self::Oidc,
        Self::Mtls,
        Self::Scram,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::AwsIam => "aws-iam",
            Self::AwsJwt => "aws-jwt",
            Self::Oidc => "oidc",
            Self::Mtls => "mtls",
            Self::Scram => "scram",
        }
    }
}

impl Caller {
    /// With nothing but a principal and the kind of its proof.
    pub fn new(principal: Principal, proof: ProofKind) -> Self {
        Self {
            principal,
            groups: Vec::new(),
            email: None,
            proof,
            mfa: false,
            expires: None,
            session_name: None,
        }
    }

    pub fn local(uid: Option<u32>) -> Self {
        Self::new(Principal::Local { uid }, ProofKind::Local)
    }

    /// The caller in the alphabet of STS session names and source identities: `[\w+=,.@-]`,
    /// 2 to 64 characters (AWS STS API Reference, `AssumeRole`). Where that changes or cuts it, a hash
    /// keeps two callers two.
    pub fn sts_name(&self) -> String {
        match &self.principal {
            Principal::Local { uid: Some(uid) } => format!("local-uid={uid}"),
            Principal::Local { uid: None } => "local".to_owned(),
            principal => shortened(&principal.to_string(), STS_NAME_MAX, |c| {
                c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)
            }),
        }
    }

    /// The caller as (the end of) an `application_name`: printable ASCII, which is what PostgreSQL keeps
    /// of one (PostgreSQL manual, "application_name"), at most 63 bytes.
    pub fn application_name(&self) -> String {
        let is_kept = |c: char| c.is_ascii_graphic() || c == ' ';
        shortened(&self.principal.to_string(), NAME_BYTES_MAX, is_kept)
    }
}

/// At most `limit` bytes of allowed characters; the hash of the whole stands at the end where something
/// was lost.
fn shortened(text: &str, limit: usize, is_allowed: impl Fn(char) -> bool) -> String {
    let kept: String = text
        .chars()
        .map(|c| if is_allowed(c) { c } else { '-' })
        .collect();
    if kept == text && kept.len() <= limit {
        return kept;
    }
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let room = limit.saturating_sub(HASH_DIGITS).saturating_sub(1);
    let kept: String = kept.chars().take(room).collect();
    format!("{kept}-{}", hash.get(..HASH_DIGITS).unwrap_or_default())
}

/// How callers name the role that an ARN is about, where that is not the ARN itself. STS tells no path; the hash at the
/// end of a role of IAM Identity Center changes with every provisioning.
pub fn role_as_callers_have_it(arn: &str) -> Option<String> {
    let (account, role) = arn.split_once(":role/")?;
    let name = role.rsplit('/').next().unwrap_or(role);
    let is_hash = |end: &str| end.len() == SSO_HASH && end.bytes().all(|b| b.is_ascii_hexdigit());
    let name = match name.rsplit_once('_') {
        Some((permission_set, hash)) if name.starts_with(SSO_PREFIX) && is_hash(hash) => permission_set,
        _ => name,
    };
    let own = format!("{account}:role/{name}");
    (own != arn).then_some(own)
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { uid: Some(uid) } => write!(f, "local:uid={uid}"),
            Self::Local { uid: None } => f.write_str("local"),
            Self::IamRole { arn, .. } | Self::IamUser { arn } => f.write_str(arn),
            Self::Oidc { issuer, subject } => write!(f, "oidc:{issuer}#{subject}"),
            Self::Certificate { name } => write!(f, "cert:{name}"),
            Self::Password { name } => write!(f, "password:{name}"),
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.principal.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> Caller {
        let principal = Principal::IamRole {
            arn: format!("arn:aws:iam::111122223333:role/{name}"),
            permission_set: None,
        };
        Caller::new(principal, ProofKind::AwsIam)
    }

    #[test]
    fn sts_names_keep_to_the_alphabet_of_sts_and_stay_different() {
        assert_eq!(Caller::local(Some(1000)).to_string(), "local:uid=1000");
        assert_eq!(Caller::local(Some(1000)).sts_name(), "local-uid=1000");
        let (one, other) = (role("a/b").sts_name(), role("a:b").sts_name());
        assert_ne!(one, other);
        for name in [one, other, role(&"x".repeat(100)).sts_name()] {
            assert!(name.len() <= 64, "{name}");
            let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
            assert!(name.chars().all(allowed), "{name}");
        }
        assert_ne!(
            role(&"x".repeat(100)).sts_name(),
            role(&"x".repeat(101)).sts_name()
        );
    }

    #[test]
    fn a_role_has_one_name() {
        let name = |end: &str| {
            let own = role_as_callers_have_it(&format!("arn:aws:iam::111122223333:role/{end}"))?;
            Some(own.rsplit_once('/')?.1.to_owned())
        };
        assert_eq!(name("app"), None);
        assert_eq!(name("team/orders/app").as_deref(), Some("app"));
        let sso = "aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Admin_0123456789abcdef";
        assert_eq!(name(sso).as_deref(), Some("AWSReservedSSO_Admin"));
        assert_eq!(name("AWSReservedSSO_Admin"), None);
        assert_eq!(name("app_0123456789abcdef"), None);
    }

    #[test]
    fn application_names_fit_into_postgresqls_63_bytes() {
        assert_eq!(
            role("app").application_name(),
            "arn:aws:iam::111122223333:role/app"
        );
        let long = role(&"é".repeat(60)).application_name();
        assert!(long.len() <= 63 && long.is_ascii(), "{long}");
        assert_eq!(Caller::local(None).application_name(), "local");
    }
}
