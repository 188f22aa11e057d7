//! An account that keeps IAM's rules, so that steps can be taken in it.

use crate::platform::aws::iam::{Call, Holder, HolderKind};
use crate::provision::iam::Policies;
use crate::provision::iam::difference::{Difference, difference};
use crate::provision::iam::found::{Found, FoundHeld, FoundManaged, FoundPrincipal, FoundRole};
use crate::provision::manifest::arn::AccountId;
use crate::provision::step::StepKind;
use serde_json::{Value, json};
use std::time::Duration;

pub const ACCOUNT: &str = "111122223333";

pub fn empty() -> Found {
    Found {
        partition: "aws".to_owned(),
        account: AccountId::new(ACCOUNT).unwrap(),
        principals: [].into(),
        groups: [].into(),
        managed: [].into(),
    }
}

pub fn arn(kind: &str, path: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:{kind}/{path}")
}

pub fn role(trust: Value, tags: &[(&str, &str)]) -> FoundRole {
    FoundRole {
        trust,
        tags: tags
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect(),
        max_session: Some(Duration::from_secs(3_600)),
    }
}

pub fn principal(is_role: bool) -> FoundPrincipal {
    FoundPrincipal {
        held: FoundHeld::default(),
        groups: [].into(),
        role: is_role.then(|| role(json!({ "Version": "2012-10-17", "Statement": [] }), &[])),
    }
}

/// With these principals, which have nothing.
pub fn with(principals: &[&str]) -> Found {
    let mut found = empty();
    for arn in principals {
        found
            .principals
            .insert(arn.to_string(), principal(arn.contains(":role/")));
    }
    found
}

impl Found {
    fn named(&mut self, kind: HolderKind, name: &str) -> &mut FoundPrincipal {
        let kind = match kind {
            HolderKind::Role => ":role/",
            HolderKind::User => ":user/",
        };
        let end = format!("/{name}");
        let mut all = self.principals.iter_mut();
        let found = all.find(|(arn, _)| arn.contains(kind) && arn.ends_with(&end));
        found.unwrap_or_else(|| panic!("NoSuchEntity: {kind}{name}")).1
    }

    fn holder(&mut self, holder: &Holder) -> &mut FoundHeld {
        &mut self.named(holder.kind, &holder.name).held
    }

    pub fn role(&mut self, name: &str) -> &mut FoundRole {
        self.named(HolderKind::Role, name).role.as_mut().unwrap()
    }

    pub fn perform(&mut self, call: &Call) {
        let read = |text: &String| serde_json::from_str::<Value>(text).unwrap();
        match call {
            Call::PutInline {
                holder,
                policy,
                document,
            } => {
                self.holder(holder).inline.insert(policy.clone(), read(document));
            }
            Call::DeleteInline { holder, policy } => {
                self.holder(holder).inline.remove(policy).expect("NoSuchEntity");
            }
            Call::Attach { holder, arn } => {
                assert!(self.managed.contains_key(arn), "NoSuchEntity: {arn}");
                assert!(self.holder(holder).attached.insert(arn.clone()), "twice: {arn}");
            }
            Call::Detach { holder, arn } => {
                assert!(self.holder(holder).attached.remove(arn), "NoSuchEntity: {arn}");
            }
            Call::CreateRole {
                role: name,
                trust,
                max_session_seconds,
                tags,
            } => {
                let tags: Vec<(&str, &str)> = tags.iter().map(|(key, value)| (&**key, &**value)).collect();
                let mut made = role(read(trust), &tags);
                made.max_session = Some(Duration::from_secs(*max_session_seconds));
                let entry = FoundPrincipal {
                    role: Some(made),
                    ..principal(true)
                };
                assert!(
                    self.principals.insert(arn("role", name), entry).is_none(),
                    "EntityAlreadyExists"
                );
            }
            Call::TagRole { role, key, value } => {
                self.role(role).tags.insert(key.clone(), value.clone());
            }
            Call::UpdateTrust { role, trust } => self.role(role).trust = read(trust),
            Call::UpdateMaxSession { role, seconds } => {
                self.role(role).max_session = Some(Duration::from_secs(*seconds));
            }
            Call::DeleteRole { role } => {
                let gone = self.principals.remove(&arn("role", role)).expect("NoSuchEntity");
                assert_eq!(gone.held, FoundHeld::default(), "DeleteConflict");
            }
            of_policy => self.perform_on_policy(of_policy),
        }
    }

    fn perform_on_policy(&mut self, call: &Call) {
        match call {
            Call::CreatePolicy { policy, document } => {
                let made = FoundManaged {
                    name: policy.clone(),
                    document: serde_json::from_str(document).unwrap(),
                    versions: vec!["v1".to_owned()],
                };
                assert!(
                    self.managed.insert(arn("policy", policy), made).is_none(),
                    "EntityAlreadyExists"
                );
            }
            Call::CreateVersion { arn, document } => {
                let policy = self.managed.get_mut(arn).expect("NoSuchEntity");
                assert!(policy.versions.len() < 5, "LimitExceeded");
                let last = policy
                    .versions
                    .iter()
                    .map(|id| id.trim_start_matches('v').parse::<u64>().unwrap())
                    .max();
                policy.versions.insert(0, format!("v{}", last.unwrap() + 1));
                policy.document = serde_json::from_str(document).unwrap();
            }
            Call::DeleteVersion { arn, version } => {
                let policy = self.managed.get_mut(arn).expect("NoSuchEntity");
                let at = policy
                    .versions
                    .iter()
                    .position(|id| id == version)
                    .expect("NoSuchEntity");
                assert_ne!(at, 0, "DeleteConflict: the default version");
                policy.versions.remove(at);
            }
            Call::DeletePolicy { arn } => {
                let policy = self.managed.remove(arn).expect("NoSuchEntity");
                assert_eq!(policy.versions.len(), 1, "DeleteConflict: versions");
                let principals = self.principals.values().map(|one| &one.held);
                for held in principals.chain(self.groups.values()) {
                    assert!(!held.attached.contains(arn), "DeleteConflict: attached");
                }
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn difference(&self, wanted: &Policies) -> Difference {
        difference(wanted, self)
    }

    /// Takes all steps; afterwards there are none. Their titles, with a `!` those that take something away.
    #[track_caller]
    pub fn become_(&mut self, wanted: &Policies) -> Vec<String> {
        let plan = self.difference(wanted).into_plan().unwrap();
        for call in plan.steps.iter().flat_map(|step| &step.calls) {
            self.perform(call);
        }
        let left = self.difference(wanted);
        assert_eq!(left.plan.steps, [], "a second plan is empty");
        let mark = |kind| if kind == StepKind::Destructive { "! " } else { "" };
        plan.steps
            .iter()
            .map(|step| format!("{}{}", mark(step.kind), step.title))
            .collect()
    }
}
