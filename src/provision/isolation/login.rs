//! What the server does when a db user logs in.

use crate::domain::reason::CloseReason;
use crate::error::SqlState;
use crate::provision::doors::{Doors, OpenError};
use crate::provision::name::{Database, RoleName};
use std::collections::BTreeMap;

/// What became of one login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    In,
    /// For want of CONNECT.
    Shut,
    /// Why, where there is more to say than that nobody wanted it.
    NotTried(Option<String>),
}

impl Default for Login {
    fn default() -> Self {
        Self::NotTried(None)
    }
}

pub type Logins = BTreeMap<(RoleName, Database), Login>;

/// One after the other: a cluster takes few logins a second by IAM. `doors` are the user's. Where it cannot show who it
/// is, that is so at every door, and one try is enough.
pub async fn attempt(
    doors: &impl Doors,
    databases: impl IntoIterator<Item = &Database>,
) -> BTreeMap<Database, Login> {
    let mut tried = BTreeMap::new();
    let mut barred = None;
    for database in databases {
        if barred.is_none() {
            match doors.open(Some(database)).await {
                Ok(_) => {
                    tried.insert(database.clone(), Login::In);
                    continue;
                }
                Err(error) => {
                    let login = of(&error);
                    if is_barred(&error) {
                        barred = Some(login);
                    } else {
                        tried.insert(database.clone(), login);
                        continue;
                    }
                }
            }
        }
        let login = barred.clone().unwrap_or_default();
        tried.insert(database.clone(), login);
    }
    tried
}

fn of(error: &OpenError) -> Login {
    let refusal = &error.refusal;
    match refusal.reason {
        _ if refusal.sqlstate == SqlState::INSUFFICIENT_PRIVILEGE => Login::Shut,
        CloseReason::LoginRefused => Login::NotTried(Some("no token".to_owned())),
        CloseReason::CredentialUnavailable => Login::NotTried(Some("no credential".to_owned())),
        _ if refusal.sqlstate == SqlState::INVALID_PASSWORD => {
            Login::NotTried(Some("no password".to_owned()))
        }
        _ => Login::NotTried(Some(refusal.message.clone())),
    }
}

/// It is about who comes, not about where to.
fn is_barred(error: &OpenError) -> bool {
    let reason = error.refusal.reason;
    matches!(
        reason,
        CloseReason::LoginRefused
            | CloseReason::CredentialUnavailable
            | CloseReason::Unreachable
            | CloseReason::TlsNotVerified
    ) || error.refusal.sqlstate == SqlState::INVALID_PASSWORD
}
