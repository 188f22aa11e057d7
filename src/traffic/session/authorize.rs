//! May it? Names are judged exactly as the server would use them; the database defaults to the
//! user *before* the decision, as the server would do after it.

use super::Shared;
use super::callers::Seat;
use super::identify::Identified;
use super::propagate::{propagate, refuse_own_settings};
use super::refuse::Refused;
use super::startup::Started;
use crate::access::identity::Peer;
use crate::access::policy::{Action, Circumstances, Denial, Permit, Question, role};
use crate::domain::caller::{Caller, Principal};
use crate::domain::name::{DatabaseName, DbUser, NameError};
use crate::domain::reason::CloseReason;
use crate::domain::target::Target;
use crate::error::{ClientFacing, Refusal, SqlState};
use crate::platform::task::aside;
use tokio::time::{Instant, timeout_at};

/// How much of an application's name is recorded.
const RECORDED_CHARACTERS_MAX: usize = 256;

/// Policy said yes.
#[derive(Debug)]
pub struct Permitted {
    pub started: Started,
    pub permit: Permit,
    pub seat: Seat,
}

pub async fn authorize(
    shared: &Shared,
    identified: Identified,
    deadline: Instant,
) -> Result<Permitted, Refused> {
    let Identified {
        mut started,
        caller,
        seat,
    } = identified;
    let question = match question(shared, &started, caller) {
        Ok(question) => question,
        Err(refusal) => return Err(turned_away(started, refusal)),
    };
    started.record.asked_with(context(&question));
    let own_name = own_name(&question.caller);
    if let Err(refusal) = refuse_own_settings(&started.startup, &question.target) {
        return Err(turned_away(started, refusal));
    }
    let decision = choose(shared, question, deadline).await;
    shared.metrics.decided(decision.is_ok());
    match decision {
        Ok(permit) => {
            // A client that named no db user of the target gets one all the same.
            started.startup.set("user", permit.db_user().as_str());
            started.startup.set("database", permit.database().as_str());
            let credential = permit.target().credential_for(permit.db_user());
            started.record.permitted(
                permit.db_user(),
                permit.database(),
                permit.policies(),
                credential.as_str(),
            );
            match propagate(&mut started.startup, &permit) {
                Ok(()) => Ok(Permitted {
                    started,
                    permit,
                    seat,
                }),
                Err(refusal) => Err(turned_away(started, refusal)),
            }
        }
        Err(denial) => {
            if let Some(because) = denial.because() {
                started.record.denied_because(because);
            }
            Err(turned_away(started, with_own_name(denial.refusal(), own_name)))
        }
    }
}

fn turned_away(started: Started, refusal: Refusal) -> Refused {
    Refused::told(started.client.into_stream(), started.record, refusal)
}

/// Who proves itself by a password of its own says so with the name that others use for the db user.
fn own_name(caller: &Caller) -> Option<String> {
    match &caller.principal {
        Principal::Password { name } => Some(name.clone()),
        _ => None,
    }
}

fn with_own_name(refusal: Refusal, own_name: Option<String>) -> Refusal {
    match (&refusal.hint, own_name) {
        (Some(hint), Some(name)) if hint.starts_with("You may connect as") => {
            let hint = format!("{hint} Write it behind your own name: user={name}/DB_USER.");
            refusal.hint(hint)
        }
        _ => refusal,
    }
}

/// For the record: what policy can judge by, beside who and what.
fn context(question: &Question) -> serde_json::Value {
    let around = &question.around;
    serde_json::json!({
        "action": question.action.as_str(),
        "application": around.application.chars().take(RECORDED_CHARACTERS_MAX).collect::<String>(),
        "tls": around.tls,
        "mfa": question.caller.mfa,
    })
}

/// A set of policies may take a millisecond, which the relays of this thread do not have; and a crowd of callers must
/// not take the processors from them.
async fn choose(shared: &Shared, question: Question, deadline: Instant) -> Result<Permit, Denial> {
    if shared.policy.is_built_in() {
        return shared.policy.choose(question);
    }
    let turn = timeout_at(deadline, shared.deciding.clone().acquire_owned()).await;
    let turn = turn.map_err(|_| Denial::Busy)?;
    let policy = shared.policy.clone();
    let decided = aside(move || {
        // Held until the work is done, also when the client has left meanwhile.
        let _turn = turn;
        policy.choose(question)
    })
    .await;
    decided.unwrap_or_else(|| {
        Err(Denial::Evaluation {
            faults: vec!["the evaluation did not end".to_owned()],
        })
    })
}

fn question(shared: &Shared, started: &Started, caller: Caller) -> Result<Question, Refusal> {
    let startup = &started.startup;
    if started.begins.session_authorization.is_some() {
        return Err(another_session_user());
    }
    let (db_user, database) = names(started)?;
    let asked_role = started.begins.role.as_deref().unwrap_or_default();
    let text = |name: &str| {
        let value = startup.parameter(name).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    Ok(Question {
        caller,
        action: action(startup.parameter("replication")),
        target: started.door.target.now(),
        db_user,
        database,
        role: role(asked_role).map_err(|error| bad_name("role", &error))?,
        around: Circumstances {
            source: match started.peer {
                Peer::Ip(address) => Some(address),
                Peer::Proxied { client, .. } => client,
                Peer::Unix { .. } => None,
            },
            tls: started.client.stream().is_tls(),
            now: shared.clock.now(),
            application: text("application_name"),
            listener: started.record.listener().to_owned(),
        },
    })
}

/// What the startup parameter `replication` asks for: `database`, or a boolean as PostgreSQL reads one.
/// Whatever is none of them is the server's to refuse, as replication.
fn action(replication: Option<&[u8]>) -> Action {
    let Some(value) = replication else {
        return Action::Connect;
    };
    let value = value.to_ascii_lowercase();
    let is_off = [&b"false"[..], b"no", b"off", b"0"]
        .iter()
        .any(|off| !value.is_empty() && off.starts_with(&value) && value != b"o");
    match is_off {
        true => Action::Connect,
        false => Action::Replicate,
    }
}

fn names(started: &Started) -> Result<(DbUser, DatabaseName), Refusal> {
    let startup = &started.startup;
    let user = startup.parameter("user").unwrap_or_default();
    // An empty database is an absent one, as in PostgreSQL.
    let database = startup.parameter("database").filter(|name| !name.is_empty());
    let user_name = DbUser::new(user).map_err(|error| bad_name("user", &error))?;
    let database =
        DatabaseName::new(database.unwrap_or(user)).map_err(|error| bad_name("database", &error))?;
    Ok((user_name, or_default(&started.door.target.now(), database, user)))
}

/// libpq asks for a database named like the user when its user names none; unless the target lists
/// such a database, that counts as naming none.
fn or_default(target: &Target, asked: DatabaseName, user: &[u8]) -> DatabaseName {
    let named_none = asked.as_str().as_bytes() == user && !target.databases.contains(&asked);
    match &target.default_database {
        Some(default) if named_none => default.clone(),
        _ => asked,
    }
}

/// Only a superuser may, and whom policy has judged and the record names would not be whom the server takes the
/// session for.
fn another_session_user() -> Refusal {
    Refusal::new(
        CloseReason::PolicyDenied,
        SqlState::INSUFFICIENT_PRIVILEGE,
        "session_authorization may not be set when a session begins",
    )
    .hint("Connect as the db user that you want to be, or ask for a `role` of its own.")
}

fn bad_name(what: &str, error: &NameError) -> Refusal {
    Refusal::new(
        CloseReason::PolicyDenied,
        SqlState::INVALID_AUTHORIZATION,
        format!("the {what} name in the startup packet is not acceptable: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replication_is_what_postgresql_takes_for_it() {
        let action = |value: &str| action(Some(value.as_bytes()));
        for off in ["false", "f", "OFF", "of", "no", "n", "0"] {
            assert_eq!(action(off), Action::Connect, "{off}");
        }
        for on in ["database", "true", "on", "1", "o", "", "whatever"] {
            assert_eq!(action(on), Action::Replicate, "{on}");
        }
        assert_eq!(super::action(None), Action::Connect);
    }
}
