//! What IAM told, as what is compared.

use super::found::{Found, FoundHeld, FoundManaged, FoundPrincipal, FoundRole};
use crate::platform::aws::iam::{Details, Held, Policy, Principal, PrincipalKind};
use crate::provision::manifest::arn::AccountId;
use serde_json::Value;
use std::collections::BTreeMap;

impl Found {
    /// How long sessions may be is not told there.
    pub fn of(partition: &str, account: AccountId, details: &Details) -> Self {
        let of_kind = |kind: PrincipalKind| details.principals.iter().filter(move |one| one.kind == kind);
        let names: BTreeMap<&str, &str> = of_kind(PrincipalKind::Group)
            .map(|group| (group.name.as_str(), group.arn.as_str()))
            .collect();
        let principals = details
            .principals
            .iter()
            .filter(|one| one.kind != PrincipalKind::Group);
        Self {
            partition: partition.to_owned(),
            account,
            principals: principals
                .map(|one| (one.arn.clone(), principal(one, &names)))
                .collect(),
            groups: of_kind(PrincipalKind::Group)
                .map(|group| (group.arn.clone(), held(&group.held)))
                .collect(),
            managed: details
                .policies
                .iter()
                .map(|policy| (policy.arn.clone(), managed(policy)))
                .collect(),
        }
    }
}

fn principal(told: &Principal, groups: &BTreeMap<&str, &str>) -> FoundPrincipal {
    let role = (told.kind == PrincipalKind::Role).then(|| FoundRole {
        trust: document(told.trust.as_deref().unwrap_or_default()),
        tags: told.tags.iter().cloned().collect(),
        max_session: None,
    });
    let arn = |name: &String| groups.get(name.as_str()).map(|arn| (*arn).to_owned());
    FoundPrincipal {
        held: held(&told.held),
        groups: told.groups.iter().filter_map(arn).collect(),
        role,
    }
}

fn held(told: &Held) -> FoundHeld {
    let inline = told.inline.iter();
    FoundHeld {
        inline: inline
            .map(|(name, text)| (name.clone(), document(text)))
            .collect(),
        attached: told.attached.iter().cloned().collect(),
    }
}

fn managed(told: &Policy) -> FoundManaged {
    let others = told.versions.iter().filter(|id| **id != told.default_version);
    FoundManaged {
        name: told.name.clone(),
        document: document(&told.document),
        versions: std::iter::once(&told.default_version)
            .chain(others)
            .cloned()
            .collect(),
    }
}

/// A text that is no JSON is like no document that is wanted.
fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
