//! The way into a cluster. Who opens it is not this floor's affair: `app` does, with what sessions use.

use super::name::Database;
use crate::error::{ClientFacing, Refusal};
use std::error::Error;
use std::future::Future;
use tokio_postgres::Client;

/// The database that every cluster has. Runs find one another by a lock in it, so it is the same for all of them,
/// whatever a target's default is.
pub const MAINTENANCE: &str = "postgres";

/// What `pg_stat_activity` calls a run.
pub const APPLICATION: &str = "dbproxy provision";

/// Opens connections to one cluster as its provisioner.
pub trait Doors: Sync {
    /// A connection of its own to this database, or to [`MAINTENANCE`]. It is closed when the client is dropped.
    fn open(&self, database: Option<&Database>) -> impl Future<Output = Result<Client, OpenError>> + Send;
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("no connection to database \"{database}\": {}", refusal.message)]
pub struct OpenError {
    pub database: String,
    /// Whose fault it is and what mends it.
    pub refusal: Box<Refusal>,
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

impl ClientFacing for OpenError {
    fn refusal(&self) -> Refusal {
        (*self.refusal).clone()
    }
}
