//! Roles that the manifest itself declares: made, adopted, kept as they are to be. And whether principals exist at all.

use super::{Draft, IamObstacle, told};
use crate::platform::aws::iam::Call;
use crate::provision::iam::Bundle;
use crate::provision::iam::document::trust;
use crate::provision::iam::entitled::Made;
use crate::provision::iam::found::FoundRole;
use crate::provision::iam::own::TAG;
use crate::provision::iam::rights::rights;
use crate::provision::manifest::arn::PrincipalArn;
use crate::provision::step::StepKind;

impl Draft<'_> {
    /// Whether there is, or will be, somebody to give policies to.
    pub(super) fn prepare(&mut self, principal: &PrincipalArn, bundle: &Bundle) -> bool {
        let there = self.found.principals.get(principal.as_str());
        let other = self.namesake(principal);
        match (&bundle.made, there) {
            (None, Some(_)) => true,
            (None, None) => {
                self.obstacles.push(IamObstacle::Absent {
                    principal: principal.clone(),
                    path: other,
                });
                false
            }
            (Some(made), Some(there)) => {
                if let Some(role) = &there.role {
                    self.keep(principal, made, role);
                }
                true
            }
            (Some(made), None) => match other {
                Some(taken) => {
                    let role = principal.clone();
                    self.obstacles.push(IamObstacle::Taken { role, taken });
                    false
                }
                None => {
                    self.make(principal, made);
                    true
                }
            },
        }
    }

    /// IAM tells names of one kind apart by neither path nor case.
    fn namesake(&self, principal: &PrincipalArn) -> Option<String> {
        let parts = |arn: &str| {
            let resource = arn.splitn(6, ':').nth(5)?;
            let (kind, path) = resource.split_once('/')?;
            let name = path.rsplit('/').next()?;
            Some((kind.to_owned(), name.to_ascii_lowercase()))
        };
        let own = parts(principal.as_str());
        let mut all = self.found.principals.keys();
        let other = all.find(|arn| arn.as_str() != principal.as_str() && parts(arn) == own);
        other.cloned()
    }

    fn make(&mut self, role: &PrincipalArn, made: &Made) {
        let (key, value) = TAG;
        let call = Call::CreateRole {
            role: role.name().to_owned(),
            trust: trust(made).to_string(),
            max_session_seconds: made.max_session.as_secs(),
            tags: vec![(key.to_owned(), value.to_owned())],
        };
        let title = format!("create IAM {}", told(role.as_str()));
        self.step(role.as_str(), StepKind::Ordinary, title, vec![call]);
    }

    fn keep(&mut self, role: &PrincipalArn, made: &Made, found: &FoundRole) {
        let (arn, name) = (role.as_str(), role.name().to_owned());
        let (whom, foreign) = (told(arn), self.foreign(arn));
        if !found.is_own() && !foreign.is_empty() {
            let (role, held) = (role.clone(), foreign);
            return self.obstacles.push(IamObstacle::NotOwn { role, held });
        }
        if !found.is_own() {
            let (key, value) = TAG;
            let call = Call::TagRole {
                role: name.clone(),
                key: key.to_owned(),
                value: value.to_owned(),
            };
            let title = format!(
                "adopt IAM {whom}, which others made: who may assume it is the manifest's from now on, and so is its end"
            );
            self.step(arn, StepKind::Destructive, title, vec![call]);
        }
        let wanted = trust(made);
        let (before, after) = (rights(&found.trust), rights(&wanted));
        if before != after {
            // More would come by what others gave the role than the manifest says.
            let kind = match before.is_subset(&after) && foreign.is_empty() {
                true => StepKind::Ordinary,
                false => StepKind::Destructive,
            };
            let call = Call::UpdateTrust {
                role: name.clone(),
                trust: wanted.to_string(),
            };
            self.step(arn, kind, format!("change who may assume IAM {whom}"), vec![call]);
        }
        if found.max_session.is_some_and(|found| found != made.max_session) {
            let seconds = made.max_session.as_secs();
            let call = Call::UpdateMaxSession { role: name, seconds };
            let title = format!("let sessions of IAM {whom} last {seconds} s at most");
            self.step(arn, StepKind::Ordinary, title, vec![call]);
        }
    }
}
