//! One statement, or the few of a step: as whom, by what path, and what it waits for meanwhile.

use super::Progress;
use super::error::{ApplyError, Reached};
use crate::provision::doors::Doors;
use crate::provision::fault::Fault;
use crate::provision::session::{self, Session};
use crate::provision::sql::identifier;
use crate::provision::step::Step;
use std::pin::pin;
use std::time::Duration;
use tokio_postgres::error::SqlState;
use tokio_postgres::{GenericClient, Transaction};

/// After that long a statement is asked what it waits for; see `lock_timeout` of a session.
const WAIT_BEFORE_ASKING: Duration = Duration::from_secs(3);
const BLOCKERS: &str = "SELECT DISTINCT unnest(pg_blocking_pids($1))";
/// Where an extension goes that does not say so itself. Naming the schema in the statement would be refused by those
/// that do; and its script has a path of its own, whatever this is.
const PATH_OF_EXTENSIONS: &str = "SET LOCAL search_path = public";
const NO_PATH: &str = "SET LOCAL search_path = ''";

/// A statement that failed.
pub(super) struct Failed {
    statement: String,
    blockers: Vec<i32>,
    pub(super) fault: Fault,
}

impl Failed {
    pub(super) fn at(self, number: usize, step: &Step, reached: Reached) -> ApplyError {
        ApplyError::Step {
            number,
            title: step.title.clone(),
            statement: self.statement,
            blockers: self.blockers,
            reached,
            fault: self.fault,
        }
    }
}

/// The step at hand, and who is told about it.
pub(super) struct Told<'a, P> {
    pub(super) number: usize,
    pub(super) of: usize,
    pub(super) step: &'a Step,
    pub(super) progress: &'a mut P,
}

impl<P: FnMut(Progress<'_>)> Told<'_, P> {
    fn began(&mut self) {
        (self.progress)(Progress::Began {
            number: self.number,
            of: self.of,
            step: self.step,
        });
    }
}

/// The statements of a step, as whom it says.
pub(super) async fn in_transaction<P: FnMut(Progress<'_>)>(
    transaction: &Transaction<'_>,
    pid: i32,
    doors: &impl Doors,
    told: &mut Told<'_, P>,
) -> Result<(), Failed> {
    told.began();
    let step = told.step;
    if let Some(role) = &step.as_role {
        let become_it = format!("SET LOCAL ROLE {}", identifier(role));
        execute(transaction, pid, &become_it, doors, told).await?;
    }
    for statement in &step.statements {
        let extension = makes_extension(statement);
        if extension {
            execute(transaction, pid, PATH_OF_EXTENSIONS, doors, told).await?;
        }
        execute(transaction, pid, statement, doors, told).await?;
        if extension {
            execute(transaction, pid, NO_PATH, doors, told).await?;
        }
    }
    match step.as_role {
        Some(_) => execute(transaction, pid, "SET LOCAL ROLE NONE", doors, told).await,
        None => Ok(()),
    }
}

/// The same of a step that can be in no transaction.
pub(super) async fn on_its_own<P: FnMut(Progress<'_>)>(
    session: &Session,
    doors: &impl Doors,
    told: &mut Told<'_, P>,
) -> Result<(), Failed> {
    told.began();
    let (step, client, pid) = (told.step, &session.client, session.pid);
    if let Some(role) = &step.as_role {
        let become_it = format!("SET ROLE {}", identifier(role));
        execute(client, pid, &become_it, doors, told).await?;
    }
    let mut outcome = Ok(());
    for statement in &step.statements {
        outcome = execute(client, pid, statement, doors, told).await;
        if outcome.is_err() {
            break;
        }
    }
    if step.as_role.is_some() {
        // Also after a failure, which may be one that is no harm.
        let back = execute(client, pid, "SET ROLE NONE", doors, told).await;
        outcome = outcome.and(back);
    }
    outcome
}

/// One statement, by the extended protocol: there a text cannot hold a second one.
async fn execute<P: FnMut(Progress<'_>)>(
    client: &impl GenericClient,
    pid: i32,
    statement: &str,
    doors: &impl Doors,
    told: &mut Told<'_, P>,
) -> Result<(), Failed> {
    let mut work = pin!(client.execute(statement, &[]));
    let mut blockers = Vec::new();
    let early = tokio::time::timeout(WAIT_BEFORE_ASKING, work.as_mut()).await;
    let done = match early {
        Ok(done) => done,
        Err(_) => {
            blockers = blockers_of(pid, doors).await;
            if !blockers.is_empty() {
                (told.progress)(Progress::Waiting {
                    number: told.number,
                    blockers: &blockers,
                });
            }
            work.await
        }
    };
    done.map(drop).map_err(|error| {
        let fault = Fault::from(error);
        if !fault.is(&SqlState::LOCK_NOT_AVAILABLE) {
            blockers.clear();
        }
        Failed {
            statement: statement.to_owned(),
            blockers,
            fault,
        }
    })
}

/// For people only: nothing depends on the answer, so none is as good.
async fn blockers_of(pid: i32, doors: &impl Doors) -> Vec<i32> {
    let Ok(asking) = session::open(doors, None).await else {
        return Vec::new();
    };
    let rows = asking.client.query(BLOCKERS, &[&pid]).await.unwrap_or_default();
    rows.iter().filter_map(|row| row.try_get(0).ok()).collect()
}

fn makes_extension(statement: &str) -> bool {
    let mut words = statement.split_ascii_whitespace();
    ["create", "extension"]
        .iter()
        .all(|wanted| words.next().is_some_and(|word| word.eq_ignore_ascii_case(wanted)))
}
