//! What principals of the manifest are given.

use super::{Draft, told};
use crate::platform::aws::iam::Call;
use crate::provision::iam::document::Document;
use crate::provision::iam::found::{FoundHeld, FoundManaged};
use crate::provision::iam::rights::{Rights, rights};
use crate::provision::iam::{Bundle, Placement};
use crate::provision::manifest::arn::PrincipalArn;
use crate::provision::step::StepKind;

/// Versions that IAM keeps of a managed policy (IAM User Guide, "Versioning IAM policies").
const VERSIONS_MAX: usize = 5;

impl Draft<'_> {
    pub(super) fn give(&mut self, principal: &PrincipalArn, bundle: &Bundle) {
        let held = self.found.principals.get(principal.as_str());
        let held = held.map(|one| one.held.clone()).unwrap_or_default();
        let documents = self.in_order(&held, bundle);
        for document in documents {
            match bundle.placement {
                Placement::Inline => self.put(principal, document, &held),
                Placement::Managed => self.attach(principal, bundle, document, &held),
                Placement::PermissionSet => {}
            }
        }
    }

    /// Documents are filled one after the other, so what is in one may have to move to another. Where it goes is written
    /// first, so that nobody is without in between; it is sorted, so there is always such an order.
    fn in_order<'b>(&self, held: &FoundHeld, bundle: &'b Bundle) -> Vec<&'b Document> {
        let before = |document: &Document| match bundle.placement {
            Placement::Managed => {
                let found = self.found.managed.get(&bundle.policy_arn(document));
                found.map(|policy| rights(&policy.document))
            }
            _ => held.inline.get(&document.name).map(rights),
        };
        let documents = bundle.documents.iter();
        let mut waiting: Vec<(&Document, Rights, Rights)> = documents
            .map(|document| {
                let after = rights(&document.json());
                (document, before(document).unwrap_or_default(), after)
            })
            .collect();
        let mut ordered = Vec::new();
        while !waiting.is_empty() {
            let is_ready = |(one, before, _): &(&Document, Rights, Rights)| {
                let mut others = waiting.iter().filter(|(other, _, _)| other.name != one.name);
                others.all(|(_, _, after)| after.is_disjoint(before))
            };
            let next = waiting.iter().position(is_ready).unwrap_or_default();
            ordered.push(waiting.remove(next).0);
        }
        ordered
    }

    fn put(&mut self, principal: &PrincipalArn, document: &Document, held: &FoundHeld) {
        let (arn, name, wanted) = (principal.as_str(), &document.name, document.json());
        let call = Call::PutInline {
            holder: principal.holder(),
            policy: name.clone(),
            document: wanted.to_string(),
        };
        let whom = told(arn);
        let (kind, title) = match held.inline.get(name).map(rights) {
            Some(before) if before == rights(&wanted) => return,
            Some(before) => (
                self.kind(arn, &before),
                format!("change policy \"{name}\" of {whom}"),
            ),
            None => (StepKind::Ordinary, format!("put policy \"{name}\" into {whom}")),
        };
        self.step(arn, kind, title, vec![call]);
    }

    fn attach(&mut self, principal: &PrincipalArn, bundle: &Bundle, document: &Document, held: &FoundHeld) {
        let (holder, policy, name) = (principal.as_str(), bundle.policy_arn(document), &document.name);
        let wanted = document.json();
        let attach = Call::Attach {
            holder: principal.holder(),
            arn: policy.clone(),
        };
        let whom = told(holder);
        let Some(found) = self.found.managed.get(&policy) else {
            let create = Call::CreatePolicy {
                policy: name.clone(),
                document: wanted.to_string(),
            };
            let title = format!("create managed policy \"{name}\" and attach it to {whom}");
            return self.step(holder, StepKind::Ordinary, title, vec![create, attach]);
        };
        let before = rights(&found.document);
        if before != rights(&wanted) {
            let mut calls: Vec<Call> = make_room(&policy, found).into_iter().collect();
            calls.push(Call::CreateVersion {
                arn: policy.clone(),
                document: wanted.to_string(),
            });
            let title = format!("change managed policy \"{name}\" of {whom}");
            self.step(holder, self.kind(holder, &before), title, calls);
        }
        if !held.attached.contains(&policy) {
            let title = format!("attach managed policy \"{name}\" to {whom}");
            self.step(holder, StepKind::Ordinary, title, vec![attach]);
        }
    }
}

/// The oldest version goes where there are as many as IAM keeps; never the one in force.
fn make_room(arn: &str, found: &FoundManaged) -> Option<Call> {
    let age = |id: &String| id.trim_start_matches('v').parse::<u64>().unwrap_or(u64::MAX);
    let oldest = found.versions.iter().skip(1).min_by_key(|id| age(id));
    let oldest = oldest.filter(|_| found.versions.len() >= VERSIONS_MAX);
    oldest.map(|version| Call::DeleteVersion {
        arn: arn.to_owned(),
        version: version.clone(),
    })
}
