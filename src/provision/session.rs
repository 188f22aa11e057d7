//! A connection as a run wants it, whatever the role, the database and the server have set.

use super::doors::{Doors, OpenError};
use super::fault::Fault;
use super::name::Database;
use tokio_postgres::Client;

/// First of all, and qualified: nothing may be found by a path that others chose (PostgreSQL manual, "Writing SECURITY
/// DEFINER Functions Safely"). An empty path finds the system's names only, and creates nothing by accident.
const PATH: &str = "SET search_path = ''; SET ROLE NONE";

/// Settings by name, where the server has them: an older one does not know all of these. The server looks every two
/// seconds whether the run is still there, also in the middle of a statement, so that a run that was ended holds
/// neither its locks nor the next run up.
const SETTINGS: &str = "\
    SELECT pg_backend_pid(), count(set_config(s.name, v.setting, false)) FROM pg_settings s JOIN (VALUES \
        ('lock_timeout', '10s'), ('client_connection_check_interval', '2s'), ('statement_timeout', '5min'), \
        ('idle_session_timeout', '0'), ('idle_in_transaction_session_timeout', '0'), ('transaction_timeout', '0'), \
        ('default_transaction_read_only', 'off'), ('default_transaction_isolation', 'read committed'), \
        ('standard_conforming_strings', 'on'), ('quote_all_identifiers', 'off'), ('createrole_self_grant', ''), \
        ('client_min_messages', 'warning') \
    ) v (name, setting) ON s.name = v.name";

/// Why there is no session to work in.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the session could not be set up")]
    SetUp(#[source] Fault),
}

/// A session that is ready for work.
pub(super) struct Session {
    pub(super) client: Client,
    /// The server's process, by which others see who waits for whom.
    pub(super) pid: i32,
}

/// Opens a session that waits ten seconds for a lock and then gives way: a run that hangs behind a lock would make
/// others hang behind itself.
pub(super) async fn open(doors: &impl Doors, database: Option<&Database>) -> Result<Session, SessionError> {
    let client = doors.open(database).await?;
    let failed = |error: tokio_postgres::Error| SessionError::SetUp(error.into());
    client.batch_execute(PATH).await.map_err(failed)?;
    let set = client.query_one(SETTINGS, &[]).await.map_err(failed)?;
    let pid = set.try_get(0).map_err(failed)?;
    Ok(Session { client, pid })
}
