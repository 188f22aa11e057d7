//! Ends what a db user has open in the database: a revocation is for those who are in already, too.

use super::doors::Doors;
use super::fault::Fault;
use super::name::RoleName;
use super::session::{self, SessionError};
use super::sql::identifier;
use std::time::Duration;
use tokio_postgres::{Client, Error};

/// A session that is told to end does so when it next looks; one that had just logged in is told too.
const ROUNDS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// PostgreSQL asks for the privileges of the session's role, or for `pg_signal_backend` (`pg_signal_backend` in its
/// sources).
const MAY: &str = "SELECT pg_has_role(r.oid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE') \
    FROM pg_roles r WHERE r.rolname = $1::text::name";

const END: &str = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity \
    WHERE usename = $1::text::name AND pid <> pg_backend_pid()";

const LEFT: &str = "SELECT count(*) FROM pg_stat_activity \
    WHERE usename = $1::text::name AND pid <> pg_backend_pid()";

/// What became of the sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    pub ended: u64,
    /// They had been told to end, and had not yet.
    pub left: u64,
}

/// Why sessions may still be open.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("the sessions of \"{user}\" could not be ended")]
    Failed {
        user: RoleName,
        #[source]
        fault: Fault,
    },
}

/// Ends all sessions of a user that exists, the idle and the busy ones.
pub async fn end(doors: &impl Doors, user: &RoleName) -> Result<Ended, EndError> {
    let mut session = session::open(doors, None).await?;
    all(&mut session.client, user)
        .await
        .map_err(|error| EndError::Failed {
            user: user.clone(),
            fault: error.into(),
        })
}

async fn all(client: &mut Client, user: &RoleName) -> Result<Ended, Error> {
    let name = user.as_str();
    let Some(may) = client.query_opt(MAY, &[&name]).await? else {
        return Ok(Ended::default());
    };
    let may = may.try_get(0)?;
    let mut left = count(client, name).await?;
    let open = left;
    for round in 0..ROUNDS {
        if left == 0 {
            break;
        }
        if round > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        tell(client, user, may).await?;
        left = count(client, name).await?;
    }
    Ok(Ended {
        ended: open.saturating_sub(left),
        left,
    })
}

async fn count(client: &Client, name: &str) -> Result<u64, Error> {
    let count: i64 = client.query_one(LEFT, &[&name]).await?.try_get(0)?;
    Ok(count.unsigned_abs())
}

/// The provisioner becomes a member for as long as it takes to tell them, and nobody ever sees it: a signal that was sent
/// is not taken back with the transaction.
async fn tell(client: &mut Client, user: &RoleName, may: bool) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    if !may {
        let version = transaction.query_one("SELECT current_setting('server_version_num')::int", &[]);
        let version: i32 = version.await?.try_get(0)?;
        let inherit = if version >= 160_000 {
            " WITH INHERIT TRUE"
        } else {
            ""
        };
        let user = identifier(user);
        let lend = format!("GRANT {user} TO CURRENT_USER{inherit}");
        transaction.execute(&lend, &[]).await?;
    }
    transaction.query_one(END, &[&user.as_str()]).await?;
    transaction.rollback().await
}
