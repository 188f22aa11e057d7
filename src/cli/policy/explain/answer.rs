//! A decision with all that led to it.

use super::super::asked::{Decision, Outcome, span};
use super::super::place;
use crate::access::policy::entities::{db_user_id, principal_id};
use crate::access::policy::set::Rule;
use crate::access::policy::{Denial, Permit, Policy, Question, Set};
use crate::domain::name::{DatabaseName, DbRole, DbUser};
use crate::platform::clock::rfc3339;
use serde_json::{Value, json};

/// A policy as a person looks for it.
struct Named {
    id: String,
    /// Nowhere: it is built in.
    place: Option<String>,
    description: Option<String>,
}

/// A policy that fits, and the parts of its conditions that do not hold.
struct NearMiss {
    named: Named,
    unmet: Vec<String>,
}

/// What the caller could ask for with more success.
enum Instead {
    Nothing,
    DbUsers(Vec<String>),
    Databases(Vec<String>),
}

pub struct Answer {
    /// With the db user that the client named.
    question: Question,
    /// Whom the client gets instead.
    chosen: Option<DbUser>,
    outcome: Outcome,
    deciding: Vec<Named>,
    /// Permits that only their condition kept from deciding.
    near_misses: Vec<NearMiss>,
    instead: Instead,
    groups: Vec<String>,
}

impl Answer {
    /// Decides as for a client, which may name a db user that the target does not have.
    pub fn of(policy: &Policy, question: Question) -> Self {
        let decided = policy.choose(question.clone());
        let outcome = Outcome::of(&decided, question.around.now);
        let set = policy.set();
        let set = set.as_ref().as_ref();
        let own_groups = policy.groups_of(&question.caller.principal);
        let near_misses = match (&decided, set) {
            (Err(Denial::NotPermitted(denied)), Some(set)) if denied.forbidden_by.is_empty() => {
                let rules = set.near_misses(&question, own_groups).into_iter();
                let near_miss = |rule: &Rule| NearMiss {
                    named: named(Some(set), &rule.id),
                    unmet: set.unmet(rule, &question, own_groups),
                };
                rules.map(near_miss).collect()
            }
            _ => Vec::new(),
        };
        let mut groups = [&question.caller.groups, own_groups].concat();
        groups.sort();
        groups.dedup();
        Self {
            deciding: outcome.policies.iter().map(|id| named(set, id)).collect(),
            near_misses,
            instead: Instead::of(&decided),
            chosen: match decided {
                Ok(permit) if *permit.db_user() != question.db_user => Some(permit.db_user().clone()),
                _ => None,
            },
            groups,
            outcome,
            question,
        }
    }

    pub fn is_permit(&self) -> bool {
        self.outcome.decision == Decision::Permit
    }

    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.headline()];
        lines.extend(self.deciding.iter().map(Named::line));
        lines.extend(self.outcome.errors.iter().map(|error| format!("  {error}")));
        if self.is_permit() {
            let limit = self.outcome.max_session.map(span);
            let limit = limit.map_or("without a limit".to_owned(), |limit| format!("at most {limit}"));
            lines.push(format!("session: {limit}"));
        } else {
            if !self.near_misses.is_empty() {
                lines.push("these fit but for their condition:".to_owned());
                lines.extend(self.near_misses.iter().flat_map(NearMiss::lines));
            }
            lines.extend(self.instead.line());
        }
        lines.push("asked:".to_owned());
        let asked = self.asked().into_iter();
        lines.extend(asked.map(|(key, value)| format!("  {key:<11}  {}", plain(&value))));
        lines
    }

    fn headline(&self) -> String {
        let decision = self.outcome.decision.as_str();
        if let Some(why) = &self.outcome.why {
            return format!("{decision}: {why}");
        }
        match (&self.chosen, self.outcome.decision) {
            (Some(chosen), _) => {
                let (asked, target) = (&self.question.db_user, &self.question.target.name);
                format!(
                    "{decision}: \"{asked}\" is not a db user of target \"{target}\"; the client becomes \"{chosen}\""
                )
            }
            (None, Decision::Error) => {
                "error: nobody is let in while a policy cannot be evaluated".to_owned()
            }
            (None, _) => format!("{decision}, by:"),
        }
    }

    pub fn json(&self) -> Value {
        let named = |list: &[Named]| list.iter().map(Named::json).collect::<Value>();
        let mut answer = self.outcome.json();
        let more = [
            ("policies", named(&self.deciding)),
            (
                "db_user",
                json!(self.chosen.as_ref().unwrap_or(&self.question.db_user).as_str()),
            ),
            (
                "near_misses",
                self.near_misses.iter().map(NearMiss::json).collect(),
            ),
            ("instead", self.instead.json()),
            (
                "asked",
                self.asked()
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect(),
            ),
        ];
        if let Value::Object(fields) = &mut answer {
            fields.extend(more.map(|(key, value)| (key.to_owned(), value)));
        }
        answer
    }

    /// What the policies were asked, in the words of the schema.
    fn asked(&self) -> Vec<(&'static str, Value)> {
        let Question {
            caller,
            action,
            target,
            db_user,
            database,
            role,
            around,
        } = &self.question;
        let (kind, id) = principal_id(&caller.principal);
        let user = self.chosen.as_ref().unwrap_or(db_user);
        let roles: Vec<&str> = target
            .roles_of(user, Some(around.now))
            .map(DbRole::as_str)
            .collect();
        let ended = target.declared.ended(user, around.now).into_iter();
        let named = target.declared.named_until(&caller.principal, user, around.now);
        let named = named.map(|end| format!("being named for {user} at {}", rfc3339(end)));
        let ended: Vec<String> = ended
            .map(|(role, end)| format!("{role} at {}", rfc3339(end)))
            .chain(named)
            .collect();
        let granted = target.declared.names(&caller.principal, user, Some(around.now));
        // As `now` is given to the policies in parts.
        let civil = jiff::Timestamp::try_from(around.now).ok();
        let civil = civil.map(|now| jiff::tz::Offset::UTC.to_datetime(now));
        vec![
            ("principal", json!(format!("{kind}::{id:?}"))),
            ("groups", json!(self.groups)),
            ("email", json!(caller.email)),
            ("action", json!(action.as_str())),
            (
                "resource",
                json!(format!("DbUser::{:?}", db_user_id(target, user))),
            ),
            ("db_roles", json!(roles)),
            ("ended", json!(ended)),
            ("database", json!(database.as_str())),
            ("role", json!(role.as_ref().map(DbRole::as_str))),
            ("source", json!(around.source)),
            ("tls", json!(around.tls)),
            ("now", json!(rfc3339(around.now))),
            (
                "weekday",
                json!(civil.map(|civil| civil.weekday().to_monday_one_offset())),
            ),
            ("hour", json!(civil.map(jiff::civil::DateTime::hour))),
            ("application", json!(around.application)),
            ("listener", json!(around.listener)),
            ("proof", json!(caller.proof.as_str())),
            ("mfa", json!(caller.mfa)),
            ("granted", json!(granted)),
        ]
    }
}

impl Instead {
    fn of(decided: &Result<Permit, Denial>) -> Self {
        let db_users = |users: &[DbUser]| Self::DbUsers(users.iter().map(DbUser::to_string).collect());
        match decided {
            Ok(_) | Err(Denial::Evaluation { .. } | Denial::Busy) => Self::Nothing,
            Err(Denial::NotPermitted(denied)) => db_users(&denied.instead.permitted),
            Err(Denial::UserNotListed { permitted, .. } | Denial::Several { permitted, .. }) => {
                db_users(permitted)
            }
            Err(Denial::DatabaseNotListed { listed, .. }) => {
                Self::Databases(listed.iter().map(DatabaseName::to_string).collect())
            }
        }
    }

    fn line(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::DbUsers(users) if users.is_empty() => {
                Some("the caller may be none of the db users that the target lists".to_owned())
            }
            Self::DbUsers(users) => Some(format!("the caller may be: {}", users.join(", "))),
            Self::Databases(databases) => Some(format!("the target lists: {}", databases.join(", "))),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Nothing => json!({}),
            Self::DbUsers(users) => json!({"db_users": users}),
            Self::Databases(databases) => json!({"databases": databases}),
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) if text.is_empty() => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn named(set: Option<&Set>, id: &str) -> Named {
    let found = set.and_then(|set| Some((set, set.rules().iter().find(|rule| *rule.id == *id)?)));
    Named {
        id: id.to_owned(),
        place: found.map(|(set, rule)| place(set, rule)),
        description: found.and_then(|(_, rule)| rule.description.clone()),
    }
}

impl Named {
    fn line(&self) -> String {
        let place = self.place.as_deref().unwrap_or("built in");
        match &self.description {
            Some(description) => format!("  {} ({place}): {description}", self.id),
            None => format!("  {} ({place})", self.id),
        }
    }

    fn json(&self) -> Value {
        json!({"id": self.id, "place": self.place, "description": self.description})
    }
}

impl NearMiss {
    fn lines(&self) -> Vec<String> {
        let unmet = self.unmet.iter().map(|part| format!("    does not hold: {part}"));
        std::iter::once(self.named.line()).chain(unmet).collect()
    }

    fn json(&self) -> Value {
        let mut json = self.named.json();
        if let Value::Object(fields) = &mut json {
            fields.insert("unmet".to_owned(), json!(self.unmet));
        }
        json
    }
}
