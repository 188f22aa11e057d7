//! What IAM told, as what is compared. A hole in it would read as something that nobody is allowed, so it is a mistake.

use super::found::{Found, FoundHeld, FoundManaged, FoundPrincipal, FoundRole};
use crate::platform::aws::iam::{Details, Held, Policy, Principal, PrincipalKind};
use crate::provision::manifest::arn::AccountId;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Holes that are told.
const TOLD_MAX: usize = 5;

/// IAM told of something, and not what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("IAM's answer has holes: {}", .0.join("; "))]
pub struct Holes(pub Vec<String>);

impl Found {
    /// How long sessions may be is not told there.
    pub fn of(partition: &str, account: AccountId, details: &Details) -> Result<Self, Holes> {
        let mut reader = Reader::new(details);
        let principals = details.principals.iter();
        let mut found = Self {
            partition: partition.to_owned(),
            account,
            principals: BTreeMap::new(),
            groups: BTreeMap::new(),
            managed: BTreeMap::new(),
        };
        for one in principals {
            match one.kind {
                PrincipalKind::Group => drop(
                    found
                        .groups
                        .insert(one.arn.clone(), reader.held(&one.arn, &one.held)),
                ),
                _ => drop(found.principals.insert(one.arn.clone(), reader.principal(one))),
            }
        }
        for policy in &details.policies {
            found.managed.insert(policy.arn.clone(), reader.managed(policy));
        }
        reader.finish().map(|()| found)
    }
}

struct Reader<'d> {
    /// ARNs of groups by name, which is all that users say of them.
    groups: BTreeMap<&'d str, &'d str>,
    policies: BTreeSet<&'d str>,
    holes: Vec<String>,
}

impl<'d> Reader<'d> {
    fn new(details: &'d Details) -> Self {
        let all = details.principals.iter();
        let groups = all.filter(|one| one.kind == PrincipalKind::Group);
        Self {
            groups: groups
                .map(|group| (group.name.as_str(), group.arn.as_str()))
                .collect(),
            policies: details
                .policies
                .iter()
                .map(|policy| policy.arn.as_str())
                .collect(),
            holes: Vec::new(),
        }
    }

    fn finish(mut self) -> Result<(), Holes> {
        let more = self.holes.len().saturating_sub(TOLD_MAX);
        self.holes.truncate(TOLD_MAX);
        if more > 0 {
            self.holes.push(format!("and {more} more"));
        }
        match self.holes.is_empty() {
            true => Ok(()),
            false => Err(Holes(self.holes)),
        }
    }

    fn principal(&mut self, told: &Principal) -> FoundPrincipal {
        let role = (told.kind == PrincipalKind::Role).then(|| FoundRole {
            trust: self.document(told.trust.as_deref().unwrap_or_default(), || {
                format!("the trust policy of {}", told.arn)
            }),
            tags: told.tags.iter().cloned().collect(),
            max_session: None,
        });
        let mut groups = BTreeSet::new();
        for name in &told.groups {
            match self.groups.get(name.as_str()) {
                Some(arn) => drop(groups.insert((*arn).to_owned())),
                None => self.holes.push(format!(
                    "{} is in the group `{name}`, which the answer lacks",
                    told.arn
                )),
            }
        }
        FoundPrincipal {
            held: self.held(&told.arn, &told.held),
            groups,
            role,
        }
    }

    fn held(&mut self, of: &str, told: &Held) -> FoundHeld {
        let mut inline = BTreeMap::new();
        for (name, text) in &told.inline {
            let document = self.document(text, || format!("policy {name} of {of}"));
            inline.insert(name.clone(), document);
        }
        for arn in told
            .attached
            .iter()
            .filter(|arn| !self.policies.contains(arn.as_str()))
        {
            self.holes
                .push(format!("{of} has the policy {arn}, which the answer lacks"));
        }
        FoundHeld {
            inline,
            attached: told.attached.iter().cloned().collect(),
        }
    }

    fn managed(&mut self, told: &Policy) -> FoundManaged {
        let others = told.versions.iter().filter(|id| **id != told.default_version);
        FoundManaged {
            name: told.name.clone(),
            document: self.document(&told.document, || format!("policy {}", told.arn)),
            versions: std::iter::once(&told.default_version)
                .chain(others)
                .cloned()
                .collect(),
        }
    }

    fn document(&mut self, text: &str, what: impl FnOnce() -> String) -> Value {
        match serde_json::from_str(text) {
            Ok(document @ Value::Object(_)) => document,
            _ => {
                self.holes.push(format!("{} is no JSON object", what()));
                Value::Null
            }
        }
    }
}

#[cfg(test)]
mod tests;
