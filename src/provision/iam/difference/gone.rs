//! What the manifest no longer wants of dbproxy's own things.

use super::{Draft, is_of_aws, told};
use crate::platform::aws::iam::Call;
use crate::provision::iam::found::{FoundPrincipal, FoundRole};
use crate::provision::iam::own::is_own_inline;
use crate::provision::iam::rights::rights;
use crate::provision::iam::step::IamStep;
use crate::provision::iam::{Bundle, Placement};
use crate::provision::manifest::arn::PrincipalArn;
use crate::provision::step::StepKind;
use std::collections::BTreeSet;

impl Draft<'_> {
    /// Documents of principals.
    pub(super) fn take_away(&mut self) {
        for (arn, principal) in &self.found.principals {
            let Some(named) = PrincipalArn::new(arn).ok().filter(|_| !is_of_aws(arn)) else {
                continue;
            };
            let bundle = self.wanted.get(&named).copied();
            self.take_inline(&named, principal, bundle);
            self.detach(&named, principal, bundle);
        }
    }

    fn take_inline(&mut self, named: &PrincipalArn, principal: &FoundPrincipal, bundle: Option<&Bundle>) {
        let inline = bundle.filter(|bundle| bundle.placement == Placement::Inline);
        let wanted = |name: &str| {
            let mut documents = inline.iter().flat_map(|bundle| &bundle.documents);
            documents.any(|document| document.name == name)
        };
        let held = principal.held.inline.iter();
        for (name, document) in held.filter(|(name, _)| is_own_inline(name) && !wanted(name)) {
            let whose = || format!("policy \"{name}\" of {}", told(named.as_str()));
            if !self.may_take(document, whose) {
                continue;
            }
            let call = Call::DeleteInline {
                holder: named.holder(),
                policy: name.clone(),
            };
            let kind = self.kind(named.as_str(), &rights(document));
            let title = format!("take policy \"{name}\" out of {}", told(named.as_str()));
            self.step(named.as_str(), kind, title, vec![call]);
        }
    }

    fn detach(&mut self, named: &PrincipalArn, principal: &FoundPrincipal, bundle: Option<&Bundle>) {
        let managed = bundle.filter(|bundle| bundle.placement == Placement::Managed);
        let wanted: BTreeSet<String> = managed
            .iter()
            .flat_map(|bundle| {
                bundle
                    .documents
                    .iter()
                    .map(|document| bundle.policy_arn(document))
            })
            .collect();
        let own = principal
            .held
            .attached
            .iter()
            .filter(|arn| self.found.is_own_managed(arn));
        let gone: Vec<&String> = own.filter(|arn| !wanted.contains(*arn)).collect();
        for policy in gone {
            if !self.may_take_policy(policy) {
                continue;
            }
            let call = Call::Detach {
                holder: named.holder(),
                arn: policy.clone(),
            };
            let kind = self.kind_of_policy(named.as_str(), policy);
            let title = format!("detach managed {} from {}", told(policy), told(named.as_str()));
            self.step(named.as_str(), kind, title, vec![call]);
        }
    }

    fn may_take_policy(&mut self, arn: &str) -> bool {
        let found = self.found.managed.get(arn);
        found.is_none_or(|policy| self.may_take(&policy.document, || format!("managed {}", told(arn))))
    }

    fn kind_of_policy(&self, holder: &str, policy: &str) -> StepKind {
        let had = self
            .found
            .managed
            .get(policy)
            .map(|policy| rights(&policy.document));
        self.kind(holder, &had.unwrap_or_default())
    }

    /// Managed policies, when nobody has them any more.
    pub(super) fn delete_policies(&mut self) {
        let own = self
            .found
            .managed
            .iter()
            .filter(|(arn, _)| self.found.is_own_managed(arn));
        let gone: Vec<_> = own.filter(|(arn, _)| !self.managed.contains(*arn)).collect();
        for (arn, policy) in gone {
            if !self.may_take_policy(arn) {
                continue;
            }
            if let Some((group, _)) = self
                .found
                .groups
                .iter()
                .find(|(_, held)| held.attached.contains(arn))
            {
                self.notes.push(format!(
                    "managed {} stays, because others attached it to {}",
                    told(arn),
                    told(group)
                ));
                continue;
            }
            let principals = self.found.principals.iter();
            let holders: BTreeSet<String> = principals
                .filter(|(_, principal)| principal.held.attached.contains(arn))
                .map(|(holder, _)| holder.clone())
                .collect();
            let takes = |holder: &String| self.kind_of_policy(holder, arn) == StepKind::Destructive;
            let kind = match holders.iter().any(takes) {
                true => StepKind::Destructive,
                false => StepKind::Ordinary,
            };
            // All but the default one, which goes with the policy.
            let versions = policy.versions.iter().skip(1).map(|version| Call::DeleteVersion {
                arn: arn.clone(),
                version: version.clone(),
            });
            let delete = Call::DeletePolicy { arn: arn.clone() };
            self.steps.push(IamStep {
                title: format!("delete managed {}", told(arn)),
                kind,
                calls: versions.chain([delete]).collect(),
                holders,
            });
        }
    }

    /// Roles that dbproxy made or adopted, and whose documents say that they are this manifest's.
    pub(super) fn delete_roles(&mut self) {
        let own = self.found.principals.iter().filter(|(arn, principal)| {
            principal.role.as_ref().is_some_and(FoundRole::is_own) && !is_of_aws(arn)
        });
        for (arn, principal) in own {
            let Some(named) = PrincipalArn::new(arn)
                .ok()
                .filter(|named| !self.wanted.contains_key(named))
            else {
                continue;
            };
            let mut documents = self.found.own_documents(&principal.held);
            let mut of_ours = false;
            let is_ours = documents.all(|(_, document)| {
                let spoken = self.spoken(document);
                of_ours |= spoken.of_ours;
                spoken.is_ours_alone()
            });
            if !is_ours || !of_ours {
                self.left_alone.insert(told(arn));
                continue;
            }
            let foreign = self.foreign(arn);
            if !foreign.is_empty() {
                self.notes.push(format!(
                    "{} is no longer in the manifest and stays, because others gave it {}: take that away, or delete \
                     the role by hand",
                    told(arn),
                    foreign.join(", ")
                ));
                continue;
            }
            let role = named.name().to_owned();
            let title = format!("delete IAM {}", told(arn));
            self.step(arn, StepKind::Destructive, title, vec![Call::DeleteRole { role }]);
        }
    }
}
