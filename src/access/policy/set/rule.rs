//! One policy with its scope, so that only those that can matter are evaluated.

use super::super::entities::{Parties, parse_principal};
use super::super::problem::Problem;
use crate::domain::caller::role_as_callers_have_it;
use crate::domain::written::is_near;
use cedar_policy::{
    ActionConstraint, Effect, EntityTypeName, EntityUid, Policy, PrincipalConstraint, ResourceConstraint,
};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Longest session that an annotation may name: ten years.
const SESSION_SECONDS_MAX: u64 = 10 * 365 * 24 * 3_600;

/// What is done to db users; the other actions are those of operators.
const CLIENTS_ACTIONS: [&str; 2] = ["connect", "replicate"];

/// Kinds of callers.
const PRINCIPALS: [&str; 6] = [
    "IamRole",
    "IamUser",
    "OidcUser",
    "Certificate",
    "PasswordUser",
    "LocalUser",
];

/// What may stand before a policy; a word that nobody reads would be a limit that does not hold.
const ANNOTATIONS: [&str; 3] = ["id", "description", "max_session"];

/// A policy of the set.
#[derive(Debug, Clone)]
pub struct Rule {
    pub id: Arc<str>,
    pub policy: Policy,
    pub file: PathBuf,
    /// `@max_session("8h")`
    pub max_session: Option<Duration>,
    pub description: Option<String>,
    principal: Scope,
    action: Option<Vec<EntityUid>>,
    resource: Scope,
}

/// What a policy's head says of principal or resource.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    Any,
    Is(EntityTypeName),
    Eq(EntityUid),
    In(EntityUid),
    IsIn(EntityTypeName, EntityUid),
}

impl Scope {
    fn fits(&self, entity: &EntityUid, above: &HashSet<EntityUid>) -> bool {
        let is_in = |other: &EntityUid| other == entity || above.contains(other);
        match self {
            Self::Any => true,
            Self::Is(kind) => kind == entity.type_name(),
            Self::Eq(other) => other == entity,
            Self::In(other) => is_in(other),
            Self::IsIn(kind, other) => kind == entity.type_name() && is_in(other),
        }
    }

    /// Whether nothing of this type is left out.
    fn is_all_of(&self, wanted: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Is(kind) => kind.to_string() == wanted,
            Self::Eq(_) | Self::In(_) | Self::IsIn(..) => false,
        }
    }
}

impl Rule {
    pub fn of(policy: &Policy, file: &Path) -> Result<Self, Box<Problem>> {
        let id: Arc<str> = AsRef::<str>::as_ref(policy.id()).into();
        let max_session = match policy.annotation("max_session").map(duration) {
            None => None,
            Some(Some(limit)) if policy.effect() == Effect::Permit => Some(limit),
            Some(_) => {
                let what = format!(
                    "policy `{id}`: `@max_session` is for a permit, such as \"8h\", \"30m\" or \"7d\""
                );
                return Err(Problem::error(file, what).into());
            }
        };
        if let Some(problem) = unknown_annotation(policy, &id, file).or_else(|| nobody(policy, &id, file)) {
            return Err(problem.into());
        }
        Ok(Self {
            max_session,
            description: policy.annotation("description").map(str::to_owned),
            principal: match policy.principal_constraint() {
                PrincipalConstraint::Any => Scope::Any,
                PrincipalConstraint::In(entity) => Scope::In(entity),
                PrincipalConstraint::Eq(entity) => Scope::Eq(entity),
                PrincipalConstraint::Is(kind) => Scope::Is(kind),
                PrincipalConstraint::IsIn(kind, entity) => Scope::IsIn(kind, entity),
            },
            action: match policy.action_constraint() {
                ActionConstraint::Any => None,
                ActionConstraint::In(actions) => Some(actions),
                ActionConstraint::Eq(action) => Some(vec![action]),
            },
            resource: match policy.resource_constraint() {
                ResourceConstraint::Any => Scope::Any,
                ResourceConstraint::In(entity) => Scope::In(entity),
                ResourceConstraint::Eq(entity) => Scope::Eq(entity),
                ResourceConstraint::Is(kind) => Scope::Is(kind),
                ResourceConstraint::IsIn(kind, entity) => Scope::IsIn(kind, entity),
            },
            id,
            policy: policy.clone(),
            file: file.to_owned(),
        })
    }

    /// Whether the policy's head lets it apply. What it leaves out could not have applied, so the outcome is
    /// the same as with all policies.
    pub fn fits(&self, action: &EntityUid, parties: &Parties) -> bool {
        self.action
            .as_ref()
            .is_none_or(|actions| actions.contains(action))
            && self.principal.fits(&parties.principal, &parties.above_principal)
            && self.resource.fits(&parties.resource, &parties.above_resource)
    }

    pub fn is_permit(&self) -> bool {
        self.policy.effect() == Effect::Permit
    }

    /// The entities that the policy names, in its head or its conditions.
    pub fn named(&self) -> BTreeSet<EntityUid> {
        self.policy.entity_literals().into_iter().collect()
    }

    /// A permit for everybody, for everybody of a kind, or for everything. Operators are permitted by target at
    /// most, and mostly for all: only that everybody is one of them is odd.
    pub fn too_broad(&self) -> Option<Problem> {
        if !self.is_permit() {
            return None;
        }
        let connects = self.lets(&CLIENTS_ACTIONS);
        let who = self.crowd(connects);
        let unconditional = !self.has_condition();
        let every_user = unconditional && connects && self.resource.is_all_of("DbUser");
        let what = match (who, every_user) {
            (Some(who), true) => format!("{who}, and every db user"),
            (Some(who), false) => who.to_owned(),
            (None, true) => "every db user of every target".to_owned(),
            (None, false) => return None,
        };
        let but = match unconditional {
            true => "without a condition",
            false => "and no condition asks who that is",
        };
        let problem = Problem::warning(&self.file, format!("policy `{}` permits {what}, {but}", self.id));
        Some(match who {
            Some(_) => problem.help(
                "say who: `principal in Group::\"…\"`, `principal == …`, or a condition such as `principal.account == …`",
            ),
            None => problem,
        })
    }

    /// Whom the policy is about if neither head nor conditions choose among them. Whoever is local is on this
    /// machine, which is a choice.
    fn crowd(&self, connects: bool) -> Option<&'static str> {
        let who = match &self.principal {
            Scope::Any => "everybody",
            Scope::Is(kind) if connects => match kind.to_string().as_str() {
                "IamRole" => {
                    "every IAM role, of whatever AWS account unless `accounts` of `[aws_iam]` says whose"
                }
                "IamUser" => {
                    "every IAM user, of whatever AWS account unless `accounts` of `[aws_iam]` says whose"
                }
                "OidcUser" => "everybody whom an issuer knows",
                "Certificate" => "everybody who has a certificate of the clients' authorities",
                "PasswordUser" => "everybody who has a password here",
                _ => return None,
            },
            _ => return None,
        };
        (!self.asks_who()).then_some(who)
    }

    /// Whether a condition looks at the principal, and at more than its kind; or at whom the manifest names.
    fn asks_who(&self) -> bool {
        let json = self.policy.to_json().unwrap_or_default();
        let mut left: Vec<&Value> = json.get("conditions").into_iter().collect();
        while let Some(value) = left.pop() {
            match value {
                Value::Object(fields) => {
                    if fields.get("Var").and_then(Value::as_str) == Some("principal") || is_granted(fields) {
                        return true;
                    }
                    left.extend(
                        fields
                            .iter()
                            .filter(|(key, value)| !is_of_a_kind(key, value))
                            .map(|(_, value)| value),
                    );
                }
                Value::Array(items) => left.extend(items),
                _ => {}
            }
        }
        false
    }

    /// A limit on what has no length.
    pub fn idle_limit(&self) -> Option<Problem> {
        let idle = self.max_session.is_some() && !self.lets(&CLIENTS_ACTIONS);
        idle.then(|| {
            let what = format!(
                "policy `{}` permits nothing that lasts: its `@max_session` limits nothing",
                self.id
            );
            Problem::warning(&self.file, what)
        })
    }

    /// Whether the head leaves room for one of these actions.
    fn lets(&self, actions: &[&str]) -> bool {
        self.action.as_ref().is_none_or(|named| {
            let mut ids = named.iter().map(|action| action.id().as_ref());
            ids.any(|id: &str| actions.contains(&id))
        })
    }

    /// `when { true }` is none.
    fn has_condition(&self) -> bool {
        let json = self.policy.to_json().unwrap_or_default();
        let conditions = json
            .get("conditions")
            .and_then(|conditions| conditions.as_array());
        let is_idle = |condition: &Value| {
            let always = condition.get("kind").is_some_and(|kind| kind == "when");
            let value = condition.get("body").and_then(|body| body.get("Value"));
            value.and_then(Value::as_bool) == Some(always)
        };
        conditions.is_some_and(|conditions| !conditions.iter().all(is_idle))
    }
}

/// `principal is IamRole`, which chooses nobody of them; `is LocalUser` does.
fn is_of_a_kind(operator: &str, operands: &Value) -> bool {
    let kind = operands.get("entity_type").and_then(Value::as_str);
    operator == "is" && operands.get("in").is_none() && kind != Some("LocalUser")
}

/// `context.granted`
fn is_granted(fields: &Map<String, Value>) -> bool {
    let of = fields.get(".");
    let part = |name: &str| of.and_then(|of| of.get(name));
    let is_context = part("left").and_then(|left| left.get("Var")) == Some(&Value::from("context"));
    is_context && part("attr").and_then(Value::as_str) == Some("granted")
}

fn unknown_annotation(policy: &Policy, id: &str, file: &Path) -> Option<Problem> {
    let mut names = policy.annotations().map(|(name, _)| name);
    let unknown = names.find(|name| !ANNOTATIONS.contains(name))?;
    let problem = Problem::error(file, format!("policy `{id}`: unknown annotation `@{unknown}`"));
    let near = ANNOTATIONS.into_iter().find(|known| is_near(known, unknown));
    Some(problem.help(match near {
        Some(near) => format!("did you mean `@{near}`?"),
        None => format!("known: @{}", ANNOTATIONS.join(", @")),
    }))
}

/// A principal that no caller can be: a `forbid` that names it would forbid nothing. A permit permits nothing, which
/// is worth a warning; but a role is often written with its path or hash, and has another name here.
fn nobody(policy: &Policy, id: &str, file: &Path) -> Option<Problem> {
    let forbids = policy.effect() == Effect::Forbid;
    policy.entity_literals().into_iter().find_map(|uid| {
        let (kind, name) = (uid.type_name().to_string(), uid.id().as_ref() as &str);
        let own = role_as_callers_have_it(name).filter(|_| kind == "IamRole");
        if let Some(own) = own {
            let what = format!(
                "policy `{id}` names {uid}, which no caller can be: a role has no path here, and no hash"
            );
            return Some(Problem::error(file, what).help(format!("write IamRole::\"{own}\"")));
        }
        // A quote in it is an issuer's affair.
        let judged = forbids && PRINCIPALS.contains(&kind.as_str()) && !name.contains(['"', '\\']);
        let fault = parse_principal(&format!("{kind}::\"{name}\""))
            .err()
            .filter(|_| judged)?;
        let what = format!("policy `{id}` names {uid}, which no caller can be, and forbids nobody anything");
        Some(Problem::error(file, what).help(fault))
    })
}

/// `90s`, `30m`, `8h`, `7d`
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(1)?)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let seconds = number.parse::<u64>().ok()?.checked_mul(factor)?;
    (1..=SESSION_SECONDS_MAX)
        .contains(&seconds)
        .then_some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("8h"), Some(Duration::from_secs(28_800)));
        assert_eq!(duration("7d"), Some(Duration::from_secs(604_800)));
        for wrong in ["", "h", "8", "0s", "-1h", "8 hours", "é", "99999999999999999999d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
