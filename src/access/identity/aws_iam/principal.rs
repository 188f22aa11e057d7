//! What STS says of a caller -> a principal with one canonical name, or an error.

use super::answer::CallerIdentity;
use super::error::AwsIamError;
use super::settings::is_account;
use crate::domain::caller::{SSO_HASH, SSO_PREFIX};

const ARN_BYTES_MAX: usize = 2_048;

/// A proven AWS principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    pub kind: PrincipalKind,
    /// Twelve digits.
    pub account: String,
    /// The id of the role (`AROA…`) or user (`AIDA…`): a namesake made later has another one.
    pub unique_id: String,
}

/// What the principal is, named by a canonical ARN of IAM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalKind {
    Role {
        /// `arn:P:iam::A:role/R`: without the role's path, which STS does not tell, and for a
        /// permission set without the changing end of its name.
        arn: String,
        /// Chosen by whoever assumed the role, unless its trust policy pins it.
        session_name: String,
        permission_set: Option<String>,
    },
    User {
        arn: String,
    },
}

/// Reads the answer; `partition` is that of the STS that was asked.
pub(super) fn principal(identity: &CallerIdentity, partition: &str) -> Result<Proof, AwsIamError> {
    let account = identity.account.as_str();
    if !is_account(account) {
        return Err(AwsIamError::Unexpected("the account"));
    }
    if identity.arn.len() > ARN_BYTES_MAX {
        return Err(AwsIamError::Unexpected("the ARN's length"));
    }
    let parts: Vec<&str> = identity.arn.splitn(6, ':').collect();
    let ["arn", arn_partition, service, "", arn_account, resource] = *parts.as_slice() else {
        return Err(AwsIamError::Unexpected("the ARN"));
    };
    if arn_partition != partition {
        return Err(AwsIamError::Unexpected("the ARN's partition"));
    }
    if arn_account != account {
        return Err(AwsIamError::Unexpected("the ARN is of another account"));
    }
    let iam = format!("arn:{partition}:iam::{account}");
    let (kind, unique_id) = match (service, resource.split_once('/')) {
        ("sts", Some(("assumed-role", rest))) => role(&iam, rest, &identity.user_id)?,
        ("iam", Some(("user", path))) => user(&iam, path, &identity.user_id)?,
        ("sts", Some(("federated-user", _))) => return Err(AwsIamError::NotAPrincipal("federated users")),
        ("iam", None) if resource == "root" => return Err(AwsIamError::NotAPrincipal("root users")),
        _ => return Err(AwsIamError::Unexpected("the kind of principal")),
    };
    Ok(Proof {
        kind,
        account: account.to_owned(),
        unique_id: unique_id.to_owned(),
    })
}

/// `ROLE/SESSION`, and `AROA…:SESSION` as user id.
fn role<'a>(iam: &str, rest: &str, user_id: &'a str) -> Result<(PrincipalKind, &'a str), AwsIamError> {
    let (role, session) = rest
        .split_once('/')
        .filter(|(role, session)| is_name(role, 1) && is_name(session, 2))
        .ok_or(AwsIamError::Unexpected("the role session"))?;
    let (unique_id, _) = user_id
        .split_once(':')
        .filter(|(id, of)| is_unique_id(id) && of == &session)
        .ok_or(AwsIamError::Unexpected("the role's id"))?;
    let permission_set = permission_set(role)?;
    let name = match permission_set {
        Some(set) => format!("{SSO_PREFIX}{set}"),
        None => role.to_owned(),
    };
    let kind = PrincipalKind::Role {
        arn: format!("{iam}:role/{name}"),
        session_name: session.to_owned(),
        permission_set: permission_set.map(str::to_owned),
    };
    Ok((kind, unique_id))
}

/// Of a role name. One that begins like a permission set's and does not end like it is refused:
/// its name is somebody's attempt at the canonical form.
pub fn permission_set(role: &str) -> Result<Option<&str>, AwsIamError> {
    let Some(rest) = role.strip_prefix(SSO_PREFIX) else {
        return Ok(None);
    };
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    rest.rsplit_once('_')
        .filter(|(set, hash)| !set.is_empty() && hash.len() == SSO_HASH && hash.bytes().all(hex))
        .map(|(set, _)| Some(set))
        .ok_or(AwsIamError::Unexpected("a reserved role name"))
}

/// `NAME` or `some/path/NAME`.
fn user<'a>(iam: &str, path: &str, user_id: &'a str) -> Result<(PrincipalKind, &'a str), AwsIamError> {
    let segment = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    let name = path.rsplit('/').next().unwrap_or_default();
    if !is_name(name, 1) || !path.split('/').all(segment) {
        return Err(AwsIamError::Unexpected("the user's name"));
    }
    if !is_unique_id(user_id) {
        return Err(AwsIamError::Unexpected("the user's id"));
    }
    let kind = PrincipalKind::User {
        arn: format!("{iam}:user/{path}"),
    };
    Ok((kind, user_id))
}

/// The alphabet of role, user and session names (IAM and STS API References).
fn is_name(text: &str, least: usize) -> bool {
    (least..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
}

fn is_unique_id(text: &str) -> bool {
    (16..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "123456789012";
    const ROLE_ID: &str = "AROAEXAMPLE234567ABCD";

    fn read(arn: &str, user_id: &str) -> Result<Proof, AwsIamError> {
        let identity = CallerIdentity {
            account: ACCOUNT.to_owned(),
            arn: arn.to_owned(),
            user_id: user_id.to_owned(),
        };
        principal(&identity, "aws")
    }

    fn assumed(role: &str, session: &str) -> Result<Proof, AwsIamError> {
        read(
            &format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}"),
            &format!("{ROLE_ID}:{session}"),
        )
    }

    #[test]
    fn roles_have_the_name_that_iam_knows() {
        for (role, session, canonical, set) in [
            ("app", "i-0123456789abcdef0", "role/app", None),
            ("A+=,.@-_b", "jane@example.com", "role/A+=,.@-_b", None),
            ("AWSServiceRoleForX", "x1", "role/AWSServiceRoleForX", None),
            (
                "AWSReservedSSO_Admin_0123456789abcdef",
                "jane@example.com",
                "role/AWSReservedSSO_Admin",
                Some("Admin"),
            ),
            (
                "AWSReservedSSO_Read_Only_0123456789abcdef",
                "jane",
                "role/AWSReservedSSO_Read_Only",
                Some("Read_Only"),
            ),
            (
                "AWSReservedSSO_A_0123456789abcdef_fedcba9876543210",
                "jane",
                "role/AWSReservedSSO_A_0123456789abcdef",
                Some("A_0123456789abcdef"),
            ),
        ] {
            let proof = assumed(role, session).unwrap();
            let kind = PrincipalKind::Role {
                arn: format!("arn:aws:iam::{ACCOUNT}:{canonical}"),
                session_name: session.to_owned(),
                permission_set: set.map(str::to_owned),
            };
            assert_eq!(proof.kind, kind);
            assert_eq!(
                (proof.account.as_str(), proof.unique_id.as_str()),
                (ACCOUNT, ROLE_ID)
            );
        }
    }

    #[test]
    fn users_keep_their_path() {
        for path in ["jane", "eng/team:a/jane", "eng/eu/jane.doe@x"] {
            let arn = format!("arn:aws:iam::{ACCOUNT}:user/{path}");
            let id = "AIDAEXAMPLE234567ABCD";
            let proof = read(&arn, id).unwrap();
            assert_eq!(proof.kind, PrincipalKind::User { arn });
            assert_eq!(proof.unique_id, id);
        }
    }

    #[test]
    fn root_and_federated_users_are_no_principals() {
        for (resource, service) in [("root", "iam"), ("federated-user/bob", "sts")] {
            let arn = format!("arn:aws:{service}::{ACCOUNT}:{resource}");
            let error = read(&arn, ACCOUNT).unwrap_err();
            assert!(matches!(error, AwsIamError::NotAPrincipal(_)), "{error}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let session = format!("{ROLE_ID}:me");
        for arn in [
            "",
            "arn:aws:sts::123456789012",
            "arn:aws:sts::123456789012:",
            "arn:aws:sts::999999999999:assumed-role/app/me",
            "arn:aws-cn:sts::123456789012:assumed-role/app/me",
            "arn:aws:sts:us-east-1:123456789012:assumed-role/app/me",
            "arn:aws:iam::123456789012:assumed-role/app/me",
            "arn:aws:sts::123456789012:user/jane",
            "arn:aws:iam::123456789012:role/app",
            "arn:aws:iam::123456789012:user/",
            "arn:aws:iam::123456789012:user//jane",
            "arn:aws:iam::123456789012:user/jane/",
            "arn:aws:iam::123456789012:root/x",
            "arn:aws:sts::123456789012:root",
            "arn:aws:sts::123456789012:assumed-role/app",
            "arn:aws:sts::123456789012:assumed-role/app/",
            "arn:aws:sts::123456789012:assumed-role//me",
            "arn:aws:sts::123456789012:assumed-role/path/app/me",
            "arn:aws:sts::123456789012:assumed-role/app/you",
            "arn:aws:sts::123456789012:assumed-role/a*/me",
            "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin/me",
            "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_0123456789ABCDEF/me",
            "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_0123456789abcde/me",
            "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO__0123456789abcdef/me",
            "ARN:aws:sts::123456789012:assumed-role/app/me",
            " arn:aws:sts::123456789012:assumed-role/app/me",
        ] {
            let error = read(arn, &session).unwrap_err();
            assert!(matches!(error, AwsIamError::Unexpected(_)), "{arn}: {error}");
        }
        let long = "r".repeat(65);
        assert!(assumed(&long, "me").is_err());
        assert!(assumed("app", "m").is_err());
        assert!(read("arn:aws:iam::123456789012:user/jane", "short").is_err());
        let identity = CallerIdentity {
            account: "1234".to_owned(),
            arn: "arn:aws:iam::1234:user/jane".to_owned(),
            user_id: ROLE_ID.to_owned(),
        };
        assert!(principal(&identity, "aws").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_it_panic(arn in ".{0,100}|arn:aws:(sts|iam)::123456789012:.{0,60}", id in ".{0,40}") {
            let _ = read(&arn, &id);
        }
    }
}
