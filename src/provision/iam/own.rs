//! What is dbproxy's own in an account, by its name or its tag. All else is somebody else's and stays as it is.

use super::bundle::NAME;
use super::found::{Found, FoundHeld, FoundRole};
use super::rights::{Rights, rights};
use serde_json::Value;
use std::collections::BTreeSet;

/// The tag of roles that dbproxy made.
pub const TAG: (&str, &str) = ("managed-by", "dbproxy");

/// `dbproxy-connect-<n>`
pub fn is_own_inline(name: &str) -> bool {
    let number = name.strip_prefix(NAME).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(is_number)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

impl FoundRole {
    pub fn is_own(&self) -> bool {
        let (key, value) = TAG;
        self.tags.get(key).is_some_and(|found| found == value)
    }
}

impl Found {
    /// `policy/dbproxy-connect-role-NAME-<n>` of this account, or of a user.
    pub fn is_own_managed(&self, arn: &str) -> bool {
        let stem = format!("arn:{}:iam::{}:policy/{NAME}-", self.partition, self.account);
        let rest = arn.strip_prefix(&stem).filter(|rest| !rest.contains('/'));
        let rest = rest.and_then(|rest| rest.strip_prefix("role-").or_else(|| rest.strip_prefix("user-")));
        let parts = rest.and_then(|rest| rest.rsplit_once('-'));
        parts.is_some_and(|(name, number)| !name.is_empty() && is_number(number))
    }

    /// What somebody has by dbproxy's own documents.
    pub fn own_rights(&self, held: &FoundHeld) -> Rights {
        let documents = self.own_documents(held);
        documents.flat_map(|(_, document)| rights(document)).collect()
    }

    /// dbproxy's own documents of somebody, each with the name of its policy.
    pub fn own_documents<'f>(&'f self, held: &'f FoundHeld) -> impl Iterator<Item = (&'f str, &'f Value)> {
        let inline = held.inline.iter().filter(|(name, _)| is_own_inline(name));
        let inline = inline.map(|(name, document)| (name.as_str(), document));
        let attached = held.attached.iter().filter(|arn| self.is_own_managed(arn));
        let attached = attached.filter_map(|arn| self.managed.get(arn));
        inline.chain(attached.map(|policy| (policy.name.as_str(), &policy.document)))
    }

    /// Principals whose own documents name one of these ARNs.
    pub fn naming(&self, arns: &BTreeSet<String>) -> BTreeSet<String> {
        let quoted: Vec<String> = arns
            .iter()
            .map(|arn| serde_json::json!(arn).to_string())
            .collect();
        let names = |rights: Rights| {
            let mut rights = rights.iter();
            rights.any(|right| quoted.iter().any(|arn| right.contains(arn)))
        };
        let principals = self.principals.iter();
        principals
            .filter(|(_, principal)| names(self.own_rights(&principal.held)))
            .map(|(arn, _)| arn.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::manifest::arn::AccountId;

    #[test]
    fn own_things_are_known_by_their_names() {
        assert!(is_own_inline("dbproxy-connect-1") && is_own_inline("dbproxy-connect-12"));
        for other in [
            "dbproxy-connect",
            "dbproxy-connect-",
            "dbproxy-connect-x",
            "dbproxy-connect-1a",
            "main",
            "dbproxy-connect-role-x-1",
            "dbproxy-provisioner-1",
            "Dbproxy-connect-1",
        ] {
            assert!(!is_own_inline(other), "{other}");
        }
        let found = Found {
            partition: "aws".into(),
            account: AccountId::new("111122223333").unwrap(),
            principals: [].into(),
            groups: [].into(),
            managed: [].into(),
        };
        let arn = |name: &str| format!("arn:aws:iam::111122223333:policy/{name}");
        assert!(found.is_own_managed(&arn("dbproxy-connect-role-x-1")));
        assert!(found.is_own_managed(&arn("dbproxy-connect-user-a-b-20")));
        for other in [
            "dbproxy-connect-1",
            "dbproxy-connect-role-1",
            "dbproxy-connect-group-x-1",
            "p/dbproxy-connect-role-x-1",
            "dbproxy-connect-role-x",
            "dbproxy-connect-role--1",
        ] {
            assert!(!found.is_own_managed(&arn(other)), "{other}");
        }
        assert!(!found.is_own_managed("arn:aws:iam::444455556666:policy/dbproxy-connect-role-x-1"));
        assert!(!found.is_own_managed("arn:aws:iam::aws:policy/dbproxy-connect-role-x-1"));
    }
}
