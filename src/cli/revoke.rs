//! `dbproxy revoke USER [ROLE]`: in the manifest and in the database, for those who are in already too.

use super::exit::Failure;
use super::provision::args::Revoke;
use super::provision::change::{self, Change};
use super::provision::manifest::ManifestFile;
use crate::domain::name::DbRole;
use crate::platform::clock::Clock;
use crate::provision::manifest::edit;
use std::process::ExitCode;

pub fn run(flags: &Revoke) -> Result<ExitCode, Failure> {
    let user = change::user(&flags.user)?;
    let role = flags.role.as_deref().map(DbRole::new).transpose();
    let role = role.map_err(|error| Failure::text(1, format!("ROLE: {error}")))?;
    let file = ManifestFile::read(&flags.places.manifest()?)?;
    let (cluster, _) = file.cluster(flags.cluster.as_deref())?;
    let now = Clock::system().now();
    let text = edit::revoke(&file.text, &cluster, &user, role.as_ref(), now).map_err(Failure::usage)?;
    let change = Change {
        file: &file,
        text,
        cluster,
        user,
        places: &flags.places,
        how: &flags.how,
        is_revocation: true,
    };
    change.make()
}
