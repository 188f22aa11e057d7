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
/// What is left for the caller in an `application_name`, whatever the client calls itself; the rest, less
/// the brackets, is the client's.
const CALLER_ROOM: usize = 44;
/// Digits of the hash that tells apart what would become the same name: 64 bits where a caller that chooses its own
/// name must not find another's, half of that for eyes.
const HASH_DIGITS: usize = 16;
const SHORT_HASH_DIGITS: usize = 8;

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

    /// The caller in brackets behind what the client calls itself: `psql (arn:aws:…)`. Printable ASCII,
    /// which is what PostgreSQL keeps of an `application_name` (PostgreSQL manual, "application_name"), and at
    /// most 63 bytes, where it would cut. The last brackets are dbproxy's, whatever the client writes.
    pub fn application_name(&self, own: &str) -> String {
        let is_kept = |c: char| c.is_ascii_graphic() || c == ' ';
        let own = own.chars().map(|c| if is_kept(c) { c } else { '?' });
        let own: String = own.take(NAME_BYTES_MAX).collect();
        let room = NAME_BYTES_MAX.saturating_sub(" ()".len());
        let room_of_caller = room.saturating_sub(own.len()).max(CALLER_ROOM);
        let caller = shortened_to_end(&self.principal.to_string(), room_of_caller, is_kept);
        let room_of_own = room.saturating_sub(caller.len());
        let own: String = own.chars().take(room_of_own).collect();
        match own.trim_end() {
            "" => format!("({caller})"),
            own => format!("{own} ({caller})"),
        }
    }
}

/// At most `limit` allowed characters; the hash of the whole stands at the end where something was lost.
pub fn shortened(text: &str, limit: usize, is_allowed: impl Fn(char) -> bool) -> String {
    match within(text, limit, is_allowed) {
        Ok(whole) => whole,
        Err(kept) => {
            let kept: String = kept.chars().take(beside(HASH_DIGITS, limit)).collect();
            format!("{kept}-{}", hash(text, HASH_DIGITS))
        }
    }
}

/// The same for eyes with little room: the end stays, where role names and subjects are, behind the hash.
fn shortened_to_end(text: &str, limit: usize, is_allowed: impl Fn(char) -> bool) -> String {
    match within(text, limit, is_allowed) {
        Ok(whole) => whole,
        Err(kept) => {
            let lost = kept
                .chars()
                .count()
                .saturating_sub(beside(SHORT_HASH_DIGITS, limit));
            let kept: String = kept.chars().skip(lost).collect();
            format!("{}-{kept}", hash(text, SHORT_HASH_DIGITS))
        }
    }
}

/// The text if it is within the limits, or else its characters that are.
fn within(text: &str, limit: usize, is_allowed: impl Fn(char) -> bool) -> Result<String, String> {
    let allowed = text.chars().map(|c| if is_allowed(c) { c } else { '-' });
    let kept: String = allowed.collect();
    match kept == text && kept.chars().count() <= limit {
        true => Ok(kept),
        false => Err(kept),
    }
}

fn beside(hash_digits: usize, limit: usize) -> usize {
    limit.saturating_sub(hash_digits).saturating_sub(1)
}

fn hash(text: &str, count: usize) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let digits = hash.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    digits.take(count).collect()
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
        for (own, caller, expected) in [
            ("psql", "app", "psql (arn:aws:iam::111122223333:role/app)"),
            ("", "app", "(arn:aws:iam::111122223333:role/app)"),
            // What fits is not touched, to the last byte; then the client's half gives way first.
            (
                "application-of-28-characters",
                "x",
                "application-of-28-characters (arn:aws:iam::111122223333:role/x)",
            ),
            (
                "PostgreSQL JDBC Driver",
                "dbproxy-app",
                "PostgreSQL JDBC Dr (arn:aws:iam::111122223333:role/dbproxy-app)",
            ),
            (
                "PostgreSQL JDBC Driver",
                "orders-nightly-report",
                "PostgreSQL JDBC (fbcb9698-22223333:role/orders-nightly-report)",
            ),
            (
                "ä\u{7}\u{fffd}b",
                "app",
                "???b (arn:aws:iam::111122223333:role/app)",
            ),
        ] {
            assert_eq!(role(caller).application_name(own), expected);
        }
    }

    #[test]
    fn neither_half_of_an_application_name_crowds_out_the_other() {
        let long = "ü".repeat(2_000);
        for (own, caller) in [
            (long.as_str(), long.as_str()),
            (&long, "app"),
            ("psql", &long),
            ("", &long),
        ] {
            let name = role(caller).application_name(own);
            assert!(
                name.len() <= 63 && name.bytes().all(|b| b == b' ' || b.is_ascii_graphic()),
                "{name}"
            );
            let (shown, caller_shown) = name.rsplit_once('(').unwrap();
            assert!(caller_shown.len() >= 35 && caller_shown.ends_with(')'), "{name}");
            assert!(shown.len() >= own.len().min(16), "{name}");
        }
        let alike = ["a", "b"].map(|end| role(&format!("{end}{}", "x".repeat(100))).application_name("psql"));
        assert_ne!(alike[0], alike[1]);
        assert!(alike[0].ends_with("xxx)"), "{alike:?}");
    }
}
