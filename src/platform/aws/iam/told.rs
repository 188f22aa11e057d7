//! What IAM tells about an account, as plain data.

use aws_sdk_iam::operation::get_account_authorization_details::GetAccountAuthorizationDetailsOutput;
use aws_sdk_iam::types::{AttachedPolicy, ManagedPolicyDetail, PolicyDetail, Tag};

/// An account, as far as policies are concerned. Documents are JSON, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    pub principals: Vec<Principal>,
    /// Managed policies, those of AWS included where somebody has them.
    pub policies: Vec<Policy>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    Role,
    User,
    Group,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub kind: PrincipalKind,
    pub arn: String,
    pub name: String,
    pub held: Held,
    /// Names of the groups that a user is in.
    pub groups: Vec<String>,
    /// The trust policy of a role.
    pub trust: Option<String>,
    pub tags: Vec<(String, String)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Names and documents.
    pub inline: Vec<(String, String)>,
    /// ARNs of managed policies.
    pub attached: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub arn: String,
    pub name: String,
    /// Of the default version.
    pub document: String,
    pub default_version: String,
    /// Ids, the default one among them.
    pub versions: Vec<String>,
}

impl Details {
    /// What one page says.
    pub(super) fn take(&mut self, page: &GetAccountAuthorizationDetailsOutput) {
        for role in page.role_detail_list() {
            self.principals.push(Principal {
                kind: PrincipalKind::Role,
                arn: text(role.arn()),
                name: text(role.role_name()),
                held: held(role.role_policy_list(), role.attached_managed_policies()),
                groups: Vec::new(),
                trust: role.assume_role_policy_document().map(decoded),
                tags: tags(role.tags()),
            });
        }
        for user in page.user_detail_list() {
            self.principals.push(Principal {
                kind: PrincipalKind::User,
                arn: text(user.arn()),
                name: text(user.user_name()),
                held: held(user.user_policy_list(), user.attached_managed_policies()),
                groups: user.group_list().to_vec(),
                trust: None,
                tags: tags(user.tags()),
            });
        }
        for group in page.group_detail_list() {
            self.principals.push(Principal {
                kind: PrincipalKind::Group,
                arn: text(group.arn()),
                name: text(group.group_name()),
                held: held(group.group_policy_list(), group.attached_managed_policies()),
                groups: Vec::new(),
                trust: None,
                tags: Vec::new(),
            });
        }
        self.policies.extend(page.policies().iter().map(policy));
    }
}

fn text(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

fn held(inline: &[PolicyDetail], attached: &[AttachedPolicy]) -> Held {
    let inline = inline.iter().map(|one| {
        let document = decoded(one.policy_document().unwrap_or_default());
        (text(one.policy_name()), document)
    });
    Held {
        inline: inline.collect(),
        attached: attached.iter().map(|one| text(one.policy_arn())).collect(),
    }
}

fn policy(told: &ManagedPolicyDetail) -> Policy {
    let versions = told.policy_version_list();
    let default = versions.iter().find(|version| version.is_default_version);
    Policy {
        arn: text(told.arn()),
        name: text(told.policy_name()),
        document: decoded(default.and_then(|version| version.document()).unwrap_or_default()),
        default_version: text(told.default_version_id()),
        versions: versions
            .iter()
            .map(|version| text(version.version_id()))
            .collect(),
    }
}

fn tags(tags: &[Tag]) -> Vec<(String, String)> {
    let pair = |tag: &Tag| (tag.key().to_owned(), tag.value().to_owned());
    tags.iter().map(pair).collect()
}

/// Documents come percent-encoded (RFC 3986). What is no escape stays as it is: JSON that makes no sense is told later.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let escape = after.split_at_checked(2).filter(|_| *first == b'%');
        let value = escape.and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits).ok()?;
            // Which would take a sign, too.
            let value = u8::from_str_radix(digits, 16).ok()?;
            digits
                .bytes()
                .all(|b| b.is_ascii_hexdigit())
                .then_some((value, after))
        });
        match value {
            Some((value, after)) => {
                bytes.push(value);
                rest = after;
            }
            None => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_decoded() {
        assert_eq!(decoded("%7B%22a%22%3A%20%22b%2Bc%25%22%7D"), r#"{"a": "b+c%"}"#);
        for same in ["", "{}", "100%", "%2", "%+1x", "a+b", "é"] {
            assert_eq!(decoded(same), same);
        }
        assert_eq!(decoded("%C3%A9"), "é");
    }
}
