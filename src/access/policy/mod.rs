//! May this caller be this db user on this database? Owns [`Permit`]: nothing else can make one,
//! and without one no credential is minted and no server is dialled.
//!
//! One rule is built in: a local caller may be any db user its target lists.

use crate::domain::caller::Caller;
use crate::domain::name::{DatabaseName, DbUser};
use crate::domain::reason::CloseReason;
use crate::domain::target::{Target, Users};
use crate::error::{ClientFacing, Refusal, SqlState};
use std::sync::Arc;

/// The proof that policy said yes, and to what. Its fields are private so that only
/// [`Policy::decide`] makes one.
#[derive(Debug, Clone)]
pub struct Permit {
    caller: Caller,
    target: Arc<Target>,
    db_user: DbUser,
    database: DatabaseName,
    policy: &'static str,
}

impl Permit {
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    pub fn db_user(&self) -> &DbUser {
        &self.db_user
    }

    pub fn database(&self) -> &DatabaseName {
        &self.database
    }

    /// Id of the policy that decided.
    pub fn policy(&self) -> &'static str {
        self.policy
    }
}

/// Why policy said no. Closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    #[error("db user \"{user}\" is not one of target \"{target}\"")]
    UserNotListed {
        user: DbUser,
        target: String,
        listed: Vec<DbUser>,
    },
    #[error("database \"{database}\" is not one of target \"{target}\"")]
    DatabaseNotListed {
        database: DatabaseName,
        target: String,
        listed: Vec<DatabaseName>,
    },
}

impl ClientFacing for Denial {
    fn refusal(&self) -> Refusal {
        let denied = |state| Refusal::new(CloseReason::PolicyDenied, state, self.to_string());
        match self {
            Self::UserNotListed { listed, .. } => denied(SqlState::INSUFFICIENT_PRIVILEGE).hint(format!(
                "You may connect as: {}.",
                names(listed.iter().map(DbUser::as_str))
            )),
            Self::DatabaseNotListed { listed, .. } => denied(SqlState::INVALID_CATALOG_NAME).hint(format!(
                "Databases here: {}. A client that names no database asks for one named like the user.",
                names(listed.iter().map(DatabaseName::as_str))
            )),
        }
    }
}

fn names<'a>(list: impl Iterator<Item = &'a str>) -> String {
    list.collect::<Vec<_>>().join(", ")
}

/// The policy in force.
#[derive(Debug, Clone, Default)]
pub struct Policy(());

const BUILT_IN: &str = "builtin:local-caller-any-listed-user";

impl Policy {
    /// The rule that holds while no policy set is configured.
    pub fn built_in() -> Self {
        Self(())
    }

    /// Decides; the question is complete: database defaulting has happened before.
    pub fn decide(
        &self,
        caller: &Caller,
        target: &Arc<Target>,
        db_user: &DbUser,
        database: &DatabaseName,
    ) -> Result<Permit, Denial> {
        let Caller::Local { .. } = caller;
        if let Users::Listed(listed) = &target.users
            && !target.users.lists(db_user)
        {
            return Err(Denial::UserNotListed {
                user: db_user.clone(),
                target: target.name.to_string(),
                listed: listed.clone(),
            });
        }
        if !target.allows_database(database) {
            return Err(Denial::DatabaseNotListed {
                database: database.clone(),
                target: target.name.to_string(),
                listed: target.databases.clone(),
            });
        }
        Ok(Permit {
            caller: caller.clone(),
            target: target.clone(),
            db_user: db_user.clone(),
            database: database.clone(),
            policy: BUILT_IN,
        })
    }
}
