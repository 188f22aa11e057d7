//! `dbproxy grant USER ROLE`: in the manifest, and in the database.

use super::exit::Failure;
use super::provision::args::Grant;
use super::provision::change::{self, Change};
use super::provision::manifest::ManifestFile;
use crate::domain::name::DbRole;
use crate::domain::written::duration;
use crate::platform::clock::Clock;
use crate::provision::manifest::arn::PrincipalArn;
use crate::provision::manifest::edit::{self, GrantOptions};
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
    let file = ManifestFile::read(&flags.places.at.manifest)?;
    let (cluster, declared) = file.cluster(flags.cluster.as_deref())?;
    let text = edit::grant(&file.text, &cluster, &user, &role, &options, now).map_err(Failure::usage)?;
    let by_iam = declared.users.get(&user).is_none_or(|entry| entry.rds_iam);
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
