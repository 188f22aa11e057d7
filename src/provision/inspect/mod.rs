//! Reads the catalogs of a cluster into what is [`Inspected`]; changes nothing.
//!
//! - [`cluster`]: what all databases share: roles, memberships, settings, databases
//! - [`contents`]: what is inside one database
//! - [`rows`]: rows of a query, and names and grants out of their cells

mod cluster;
mod contents;
pub(super) mod rows;

use super::doors::{Doors, OpenError};
use super::fault::Fault;
use super::inspected::Inspected;
use super::name::Database;
use super::session::{self, SessionError};
use crate::domain::name::NameError;
use crate::error::SqlState;
use rows::Snapshot;
use std::collections::BTreeSet;

/// Older servers have neither trusted extensions nor a maker who mends them.
const VERSION_MIN: u32 = 130_000;

/// Why a cluster could not be read.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("{what} could not be read from the catalogs")]
    Failed {
        what: &'static str,
        #[source]
        fault: Fault,
    },
    #[error("{what}: a cell of the catalogs is not what it should be")]
    Cell {
        what: &'static str,
        #[source]
        source: tokio_postgres::Error,
    },
    #[error("{what}: the name {name:?} cannot be used")]
    Name {
        what: &'static str,
        name: String,
        #[source]
        source: NameError,
    },
    #[error("the server is of version {0}; dbproxy provisions PostgreSQL 13 and later")]
    TooOld(u32),
}

/// Looks at the cluster, and into those of `databases` that exist and let the provisioner in.
pub async fn inspect(doors: &impl Doors, databases: &BTreeSet<Database>) -> Result<Inspected, InspectError> {
    let mut session = session::open(doors, None).await?;
    let mut inspected = {
        let snapshot = Snapshot::of(&mut session.client).await?;
        cluster::read(&snapshot).await?
    };
    drop(session);
    for (name, found) in &mut inspected.databases {
        if databases.contains(name) {
            let mut session = match session::open(doors, Some(name)).await {
                // What that means, the plan says, with all else that is in its way.
                Err(SessionError::Open(error)) if is_shut(&error) => continue,
                opened => opened?,
            };
            let snapshot = Snapshot::of(&mut session.client).await?;
            found.contents = Some(contents::read(&snapshot).await?);
        }
    }
    Ok(inspected)
}

/// The database is there, and does not let the provisioner in: it lacks CONNECT.
pub(super) fn is_shut(error: &OpenError) -> bool {
    error.refusal.sqlstate == SqlState::INSUFFICIENT_PRIVILEGE
}
