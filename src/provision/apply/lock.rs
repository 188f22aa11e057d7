//! One run at a time in a cluster: a lock of the session, so that it goes with whoever holds it.

use super::error::{ApplyError, Holder};
use crate::provision::fault::Fault;
use tokio_postgres::{Client, Error, Row};

/// "dbproxy" and "plan": nobody else should come to think of the same number.
const KEY: (i32, i32) = (0x6462_7078, 0x706c_616e);

/// Who has it; the server shows of other users what the provisioner may see.
const HOLDER: &str = "SELECT l.pid, a.usename::text, a.application_name, a.client_addr::text FROM pg_locks l \
    LEFT JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 \
    AND l.classid::int8 = $1::int4 AND l.objid::int8 = $2::int4 \
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// Takes the lock, or says who has it.
pub(super) async fn take(client: &Client) -> Result<(), ApplyError> {
    let (one, two) = KEY;
    let failed = |error: Error| ApplyError::Lock(error.into());
    let asked = client
        .query_one("SELECT pg_try_advisory_lock($1, $2)", &[&one, &two])
        .await;
    if asked.and_then(|row| row.try_get(0)).map_err(failed)? {
        return Ok(());
    }
    let holder = client.query_opt(HOLDER, &[&one, &two]).await;
    let holder = holder.and_then(|row| row.as_ref().map(read).transpose());
    // None: it has let go just now.
    Err(ApplyError::Busy(holder.map_err(failed)?.unwrap_or_default()))
}

fn read(row: &Row) -> Result<Holder, Error> {
    Ok(Holder {
        pid: row.try_get(0)?,
        user: row.try_get(1)?,
        application: row.try_get(2)?,
        address: row.try_get(3)?,
    })
}

/// Whether the session that holds the lock is still there.
pub(super) async fn still_held(client: &Client) -> Result<(), Fault> {
    client.batch_execute("SELECT 1").await.map_err(Fault::from)
}

/// Before the session ends: the server may notice that a little later than the next run begins.
pub(super) async fn release(client: &Client) {
    let (one, two) = KEY;
    let _ = client
        .execute("SELECT pg_advisory_unlock($1, $2)", &[&one, &two])
        .await;
}
