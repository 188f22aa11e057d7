//! `dbproxy grant USER ROLE`: in the manifest, and in the database.

use super::exit::Failure;
use super::output;
use super::provision::args::Grant;
use super::provision::change::{self, Change};
use super::provision::manifest::ManifestFile;
use crate::domain::name::{DbRole, NameError};
use crate::domain::written::duration;
use crate::platform::clock::Clock;
use crate::provision::manifest::Cluster;
use crate::provision::manifest::arn::PrincipalArn;
use crate::provision::manifest::edit::{self, GrantOptions};
use crate::provision::name::Database;
use jiff::Timestamp;
use std::process::ExitCode;
use std::time::SystemTime;

pub fn run(flags: &Grant) -> Result<ExitCode, Failure> {
    let now = Clock::system().now();
    let user = change::user(&flags.user)?;
    let role = DbRole::new(&flags.role).map_err(|error| Failure::text(1, format!("ROLE: {error}")))?;
    let principal = flags.principal.as_deref().map(PrincipalArn::new).transpose();
    let options = GrantOptions {
        until: flags
            .expires
            .as_deref()
            .map(|when| moment(when, now))
            .transpose()?,
        principal: principal.map_err(|error| Failure::text(1, format!("--principal: {error}")))?,
    };
    let file = ManifestFile::read(&flags.places.manifest()?)?;
    let (cluster, declared) = file.cluster(flags.cluster.as_deref())?;
    if let Some(database) = &flags.database {
        open_it(&declared, &role, database)?;
    }
    let text = edit::grant(&file.text, &cluster, &user, &role, &options, now).map_err(Failure::usage)?;
    let by_iam = declared.users.get(&user).is_none_or(|entry| entry.rds_iam);
    let lasting = declared.users.get(&user).zip(options.principal.as_ref());
    if let Some((_, arn)) = lasting.filter(|(entry, arn)| entry.principals.get(arn) == Some(&None))
        && options.until.is_some()
    {
        output::note(&format!(
            "note: {arn} may be {user} for good already, and that stays so"
        ));
    }
    let change = Change {
        file: &file,
        text,
        cluster,
        user,
        places: &flags.places,
        how: &flags.how,
        is_revocation: false,
    };
    let done = change.make()?;
    if by_iam && !flags.how.dry_run && !flags.how.iam.iam && !declared.users.contains_key(&change.user) {
        change::remind_of_iam(&change.user);
    }
    Ok(done)
}

/// A role may open other databases than the one that is meant, or not that one.
fn open_it(cluster: &Cluster, role: &DbRole, database: &str) -> Result<(), Failure> {
    let wrong = |error: NameError| Failure::text(1, format!("--database: {error}"));
    let database = Database::new(database).map_err(wrong)?;
    let refuse = |what: &str, hint: String| {
        let mut failure = Failure::text(1, what);
        failure.hint = Some(hint);
        Err(failure)
    };
    if !cluster.databases.contains_key(&database) {
        let known: Vec<&str> = cluster.databases.keys().map(Database::as_str).collect();
        let what = format!("--database: the cluster has no database `{database}`");
        return refuse(&what, format!("It has: {}", known.join(", ")));
    }
    let mut reached = cluster.reached_by(role);
    // That there is no such role the manifest's editor says, with those that there are.
    if !cluster.roles.contains_key(role) {
        return Ok(());
    }
    if !reached.remove(&database) {
        let what = format!("--database: the role `{role}` does not open database `{database}`");
        let others: Vec<&str> = cluster
            .that_reach(&database)
            .into_iter()
            .map(DbRole::as_str)
            .collect();
        return refuse(
            &what,
            match others.is_empty() {
                true => "No role of the manifest does.".to_owned(),
                false => format!("These roles do: {}", others.join(", ")),
            },
        );
    }
    if !reached.is_empty() {
        let also: Vec<&str> = reached.iter().map(Database::as_str).collect();
        output::note(&format!(
            "note: the role `{role}` also opens: {}",
            also.join(", ")
        ));
    }
    Ok(())
}

/// `8h` from now, or a moment itself. In whole seconds, as the manifest writes them.
fn moment(text: &str, now: SystemTime) -> Result<SystemTime, Failure> {
    let wrong = || {
        let what = format!(
            "--expires: `{text}` is neither a time such as 8h nor a moment such as 2026-12-01T00:00:00Z"
        );
        Failure::text(1, what)
    };
    let moment = match duration(text) {
        Ok(length) => now.checked_add(length),
        Err(_) => text.parse::<Timestamp>().ok().map(SystemTime::from),
    };
    let writable = |moment: &SystemTime| Timestamp::try_from(*moment).is_ok();
    let moment = moment.filter(writable).ok_or_else(wrong)?;
    match moment > now {
        true => Ok(moment),
        false => Err(Failure::text(
            1,
            format!("--expires: `{text}` is not in the future"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_grant_ends_after_a_time_or_at_a_moment() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let seconds = |text: &str| {
            let moment = moment(text, now).ok()?;
            Some(moment.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
        };
        assert_eq!(seconds("8h"), Some(29_800));
        assert_eq!(seconds("1970-01-01T01:00:00Z"), Some(3_600));
        for wrong in [
            "",
            "soon",
            "8",
            "0s",
            "1970-01-01T00:00:00Z",
            "2026-12-01",
            "18446744073709551s",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
