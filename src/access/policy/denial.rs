//! Why policy said no. What a caller who is proven may read of it.

use super::question::Question;
use crate::domain::name::{DatabaseName, DbRole, DbUser};
use crate::domain::reason::CloseReason;
use crate::error::{ClientFacing, Refusal, SqlState};
use crate::platform::clock::rfc3339;
use std::time::SystemTime;

/// Closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    #[error("database \"{database}\" is not one of target \"{target}\"")]
    DatabaseNotListed {
        database: DatabaseName,
        target: String,
        listed: Vec<DatabaseName>,
    },
    /// The target has no such db user, and the caller may be none of those it has.
    #[error("db user \"{user}\" is not one of target \"{target}\"")]
    UserNotListed {
        user: DbUser,
        target: String,
        permitted: Vec<DbUser>,
    },
    /// The target has no such db user, and several of its own would do.
    #[error("\"{user}\" is not a db user of target \"{target}\", and you may be several")]
    Several {
        user: DbUser,
        target: String,
        permitted: Vec<DbUser>,
    },
    #[error("{0}")]
    NotPermitted(Box<NotPermitted>),
    #[error("policy could not be evaluated, so nobody is let in")]
    Evaluation { faults: Vec<String> },
    /// Others were asked about first, for too long.
    #[error("policy could not be asked in time")]
    Busy,
}

/// Whom a caller may be instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternatives {
    pub permitted: Vec<DbUser>,
    /// Or there may be others.
    pub are_all: bool,
}

/// What was asked for in vain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{caller} may not {action} as db user \"{user}\" on target \"{target}\", database \"{database}\"{}",
    with_role(.role.as_ref())
)]
pub struct NotPermitted {
    pub caller: String,
    pub action: &'static str,
    pub user: DbUser,
    pub target: String,
    /// As the access manifest calls it.
    cluster: String,
    pub database: DatabaseName,
    pub role: Option<DbRole>,
    pub instead: Alternatives,
    /// Policies that forbid it; none: no policy permits it.
    pub forbidden_by: Vec<String>,
    /// Roles that the db user had, and with which it were permitted, each with its end.
    pub ended: Vec<(DbRole, SystemTime)>,
    /// The caller might be the db user until then, by the access manifest.
    pub named_until: Option<SystemTime>,
}

fn with_role(role: Option<&DbRole>) -> String {
    role.map(|role| format!(", with role \"{role}\""))
        .unwrap_or_default()
}

impl NotPermitted {
    pub(super) fn of(question: &Question, forbidden_by: Vec<String>, instead: Alternatives) -> Self {
        let cluster = question.target.cluster.as_ref();
        let cluster = cluster.unwrap_or(&question.target.name);
        Self {
            caller: question.caller.to_string(),
            action: question.action.as_str(),
            user: question.db_user.clone(),
            target: question.target.name.to_string(),
            cluster: cluster.to_string(),
            database: question.database.clone(),
            role: question.role.clone(),
            instead,
            forbidden_by,
            ended: Vec::new(),
            named_until: None,
        }
    }
}

impl NotPermitted {
    /// Which grants would have permitted it, and when they ended.
    pub fn ends(&self) -> Option<String> {
        let ends = self.ended.iter().map(|(role, end)| {
            let end = rfc3339(*end);
            format!(
                "the grant of \"{role}\" to db user \"{}\" ended at {end}",
                self.user
            )
        });
        let named = self.named_until.map(|end| {
            format!(
                "that the caller may be db user \"{}\" ended at {}",
                self.user,
                rfc3339(end)
            )
        });
        let ends: Vec<_> = ends.chain(named).collect();
        (!ends.is_empty()).then(|| ends.join(", "))
    }

    fn hint(&self) -> String {
        let last = self.ended.iter().max_by_key(|(_, end)| *end);
        let Some(renewed) = last.map(|last| self.renewed(last)).or_else(|| self.named_anew()) else {
            return instead(&self.instead);
        };
        match self.instead.permitted.as_slice() {
            [] => renewed,
            permitted => format!("{} {renewed}", permitted_ones(permitted)),
        }
    }

    fn named_anew(&self) -> Option<String> {
        let end = rfc3339(self.named_until?);
        Some(format!(
            "That {caller} may be \"{user}\" ended at {end}. Whoever keeps the access manifest gives it anew: \
             `dbproxy grant {user} ROLE --principal ARN --cluster {cluster} --expires 8h`.",
            caller = self.caller,
            user = self.user,
            cluster = self.cluster,
        ))
    }

    fn renewed(&self, (role, end): &(DbRole, SystemTime)) -> String {
        format!(
            "The grant of \"{role}\" to \"{user}\" ended at {end}. Whoever keeps the access manifest gives it anew: \
             `dbproxy grant {user} {role} --cluster {cluster} --expires 8h`.",
            user = self.user,
            cluster = self.cluster,
            end = rfc3339(*end),
        )
    }
}

impl Denial {
    /// For log and audit: the policies that said no, or what could not be evaluated.
    pub fn because(&self) -> Option<String> {
        match self {
            Self::NotPermitted(denied) if !denied.forbidden_by.is_empty() => {
                Some(format!("forbidden by {}", denied.forbidden_by.join(", ")))
            }
            Self::NotPermitted(denied) => {
                Some(denied.ends().unwrap_or_else(|| "no policy permits it".to_owned()))
            }
            Self::Evaluation { faults } => Some(faults.join("; ")),
            _ => None,
        }
    }
}

impl ClientFacing for Denial {
    fn refusal(&self) -> Refusal {
        let denied = |state| Refusal::new(CloseReason::PolicyDenied, state, self.to_string());
        match self {
            Self::DatabaseNotListed { listed, .. } => denied(SqlState::INVALID_CATALOG_NAME).hint(format!(
                "Databases here: {}. A client that names no database asks for one named like the user.",
                names(listed.iter().map(DatabaseName::as_str))
            )),
            Self::NotPermitted(denied_parts) => {
                denied(SqlState::INSUFFICIENT_PRIVILEGE).hint(denied_parts.hint())
            }
            Self::UserNotListed { permitted, .. } | Self::Several { permitted, .. } => {
                denied(SqlState::INSUFFICIENT_PRIVILEGE).hint(permitted_ones(permitted))
            }
            Self::Busy => Refusal::new(
                CloseReason::TooManyConnections,
                SqlState::TOO_MANY_CONNECTIONS,
                self.to_string(),
            )
            .hint("Too many connect at once, or the policies take long: `new_sessions_per_caller` bounds the first."),
            Self::Evaluation { .. } => denied(SqlState::INSUFFICIENT_PRIVILEGE)
                .hint("Whoever keeps the policies finds the fault in dbproxy's log, by the session id."),
        }
    }
}

fn instead(instead: &Alternatives) -> String {
    match (instead.permitted.as_slice(), instead.are_all) {
        ([], true) => {
            "You may be none of the db users of this target; ask whoever keeps the policies, and give them \
               the session id."
                .to_owned()
        }
        ([], false) => "Ask whoever keeps the policies, and give them the session id.".to_owned(),
        (permitted, true) => permitted_ones(permitted),
        (permitted, false) => format!("{} There may be others.", permitted_ones(permitted)),
    }
}

fn permitted_ones(permitted: &[DbUser]) -> String {
    let names = names(permitted.iter().map(DbUser::as_str));
    format!("You may connect as: {names}.")
}

fn names<'a>(list: impl Iterator<Item = &'a str>) -> String {
    list.collect::<Vec<_>>().join(", ")
}
