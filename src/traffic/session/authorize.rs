//! May it? Names are judged exactly as the server would use them; the database defaults to the
//! user *before* the decision, as the server would do after it.

use super::Shared;
use super::identify::Identified;
use super::refuse::Refused;
use super::startup::Started;
use crate::access::policy::Permit;
use crate::domain::name::{DatabaseName, DbUser, NameError};
use crate::domain::reason::CloseReason;
use crate::domain::target::Target;
use crate::error::{ClientFacing, Refusal, SqlState};

/// Policy said yes.
#[derive(Debug)]
pub struct Permitted {
    pub started: Started,
    pub permit: Permit,
}

pub fn authorize(shared: &Shared, identified: Identified) -> Result<Permitted, Refused> {
    let Identified { mut started, caller } = identified;
    let (user, database) = match names(&started) {
        Ok(names) => names,
        Err(refusal) => return Err(Refused::told(started.stream, started.record, refusal)),
    };
    let decision = shared
        .policy
        .decide(&caller, &started.door.target, &user, &database);
    shared.metrics.decided(decision.is_ok());
    match decision {
        Ok(permit) => {
            started.startup.set("database", database.as_str());
            let credential = permit.target().credential_for(&user);
            started.record.permitted(permit.policy(), credential.as_str());
            Ok(Permitted { started, permit })
        }
        Err(denial) => Err(Refused::told(started.stream, started.record, denial.refusal())),
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
    Ok((user_name, or_default(&started.door.target, database, user)))
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

fn bad_name(what: &str, error: &NameError) -> Refusal {
    Refusal::new(
        CloseReason::PolicyDenied,
        SqlState::INVALID_AUTHORIZATION,
        format!("the {what} name in the startup packet is not acceptable: {error}"),
    )
}
