//! What has dbproxy's name and speaks of what this manifest does not know: another manifest's, as far as can be told.

use super::obstacle::{IamObstacle, TOLD_MAX};
use super::{Draft, is_of_aws, told};
use crate::provision::iam::Placement;
use crate::provision::iam::own::is_own_inline;
use crate::provision::iam::scope::Spoken;
use crate::provision::manifest::arn::PrincipalArn;
use serde_json::Value;
use std::collections::BTreeSet;

impl Draft<'_> {
    pub(super) fn spoken(&self, document: &Value) -> Spoken {
        self.scope.spoken(document, self.found)
    }

    /// A document that is to be written, or taken away, and is somebody else's as well.
    pub(super) fn judge_shared(&mut self) {
        let (found, mut shared) = (self.found, Vec::new());
        for (arn, principal) in &found.principals {
            let Some(named) = PrincipalArn::new(arn).ok().filter(|_| !is_of_aws(arn)) else {
                continue;
            };
            let is_wanted = self.wanted.contains_key(&named);
            let documents = found.own_documents(&principal.held);
            for (policy, document) in documents.chain(self.to_be_written(&named)) {
                let spoken = self.spoken(document);
                if !spoken.is_ours_alone() && (is_wanted || spoken.of_ours) {
                    shared.push(IamObstacle::Shared {
                        principal: named.clone(),
                        policy: policy.to_owned(),
                        of: spoken.of_others,
                    });
                }
            }
        }
        shared.dedup();
        self.obstacles.extend(shared);
    }

    /// Managed policies of the names that a principal's documents have, though it may not have them yet.
    fn to_be_written(&self, named: &PrincipalArn) -> impl Iterator<Item = (&str, &Value)> {
        let bundle = self.wanted.get(named);
        let managed = bundle.filter(|bundle| bundle.placement == Placement::Managed);
        let documents = managed.into_iter().flat_map(|bundle| {
            let documents = bundle.documents.iter();
            documents.map(|document| bundle.policy_arn(document))
        });
        let there = documents.filter_map(|arn| self.found.managed.get(&arn));
        there.map(|policy| (policy.name.as_str(), &policy.document))
    }

    /// Whether a document may be taken away. What may not is told in the end.
    pub(super) fn may_take(&mut self, document: &Value, what: impl FnOnce() -> String) -> bool {
        let may = self.spoken(document).is_ours_alone();
        if !may {
            self.left_alone.insert(what());
        }
        may
    }

    /// In one line: in an account of many manifests there may be many.
    pub(super) fn note_left_alone(&mut self) {
        let all: &BTreeSet<String> = &self.left_alone;
        let first: Vec<&str> = all.iter().take(TOLD_MAX).map(String::as_str).collect();
        let more = match all.len().saturating_sub(TOLD_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        if !first.is_empty() {
            self.notes.push(format!(
                "left alone: {}{more}, dbproxy's by name or tag and about nothing that this manifest knows; a former resource id of a \
                 cluster belongs into its `past_resource_ids`",
                first.join(", ")
            ));
        }
    }

    /// What there is of a role that others may have made: policies that are not dbproxy's.
    pub(super) fn foreign(&self, arn: &str) -> Vec<String> {
        let Some(principal) = self.found.principals.get(arn) else {
            return Vec::new();
        };
        let held = &principal.held;
        let inline = held.inline.keys();
        let inline = inline.filter(|name| !is_own_inline(name));
        let inline = inline.map(|name| format!("policy \"{name}\""));
        let attached = held.attached.iter().filter(|arn| !self.found.is_own_managed(arn));
        inline.chain(attached.map(|arn| told(arn))).collect()
    }
}
