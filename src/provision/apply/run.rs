//! Batch after batch: a transaction each, or one statement after the other where there can be none.

use super::error::{ApplyError, Reached};
use super::lockout::{self, Watch};
use super::statement::{Told, in_transaction, on_its_own};
use super::{Applied, Batch, Progress, batches, dropped, lock};
use crate::provision::doors::Doors;
use crate::provision::fault::Fault;
use crate::provision::name::{Database, RoleName};
use crate::provision::session::{self, Session};
use crate::provision::sessions;
use crate::provision::step::Step;
use tokio_postgres::error::SqlState;

pub(super) struct Run<'a, D, P> {
    doors: &'a D,
    /// In the maintenance database; holds the lock of runs.
    main: Session,
    /// In another database, kept while steps are for it.
    elsewhere: Option<(&'a Database, Session)>,
    watch: Watch,
    committed: usize,
    of: usize,
    already: Vec<usize>,
    progress: P,
}

impl<'a, D: Doors, P: FnMut(Progress<'_>)> Run<'a, D, P> {
    pub(super) fn new(doors: &'a D, main: Session, watch: Watch, of: usize, progress: P) -> Self {
        Self {
            doors,
            main,
            elsewhere: None,
            watch,
            committed: 0,
            of,
            already: Vec::new(),
            progress,
        }
    }

    pub(super) async fn all(&mut self, steps: &'a [Step]) -> Result<Applied, ApplyError> {
        for batch in batches(steps) {
            self.go_to(&batch).await?;
            for user in batch.steps.iter().filter_map(dropped) {
                self.end_sessions(&user).await;
            }
            match batch.alone {
                true => self.alone(&batch).await?,
                false => self.together(&batch).await?,
            }
            self.committed = self.last_of(&batch);
            (self.progress)(Progress::Committed {
                steps: self.committed,
                of: self.of,
            });
            if !batch.alone {
                self.prove().await?;
            }
        }
        Ok(Applied {
            steps: self.committed,
            already: std::mem::take(&mut self.already),
        })
    }

    pub(super) async fn finish(self) {
        lock::release(&self.main.client).await;
    }

    fn reached(&self) -> Reached {
        Reached {
            committed: self.committed,
            of: self.of,
        }
    }

    fn last_of(&self, batch: &Batch<'_>) -> usize {
        self.committed.saturating_add(batch.steps.len())
    }

    /// One connection besides the main one: databases and users have limits of them.
    async fn go_to(&mut self, batch: &Batch<'a>) -> Result<(), ApplyError> {
        let is_there = self.elsewhere.as_ref().map(|(database, _)| *database) == batch.place;
        let (Some(database), false) = (batch.place, is_there) else {
            return Ok(());
        };
        self.elsewhere = None;
        let opened = session::open(self.doors, Some(database)).await;
        let session = opened.map_err(|source| ApplyError::Place {
            number: self.committed.saturating_add(1),
            title: batch
                .steps
                .first()
                .map(|step| step.title.clone())
                .unwrap_or_default(),
            reached: self.reached(),
            source,
        })?;
        self.elsewhere = Some((database, session));
        Ok(())
    }

    /// A role without a session is better than a session without a role, and the drop is not held up by either.
    async fn end_sessions(&mut self, user: &RoleName) {
        let outcome = sessions::end(self.doors, user).await;
        let ended = outcome.as_ref().copied();
        (self.progress)(Progress::Ended { user, ended });
    }

    async fn together(&mut self, batch: &Batch<'_>) -> Result<(), ApplyError> {
        let (number, reached) = (self.last_of(batch), self.reached());
        let failed = |fault| ApplyError::Transaction {
            number,
            reached,
            fault,
        };
        let (session, main) = match (&mut self.elsewhere, batch.place) {
            (Some((_, session)), Some(_)) => (session, Some(&self.main)),
            _ => (&mut self.main, None),
        };
        let pid = session.pid;
        let transaction = session.client.transaction().await;
        let transaction = transaction.map_err(|error| failed(error.into()))?;
        for (number, step) in numbered(self.committed, batch) {
            let mut told = Told {
                number,
                of: self.of,
                step,
                progress: &mut self.progress,
            };
            if let Err(error) = in_transaction(&transaction, pid, self.doors, &mut told).await {
                return Err(error.at(number, step, reached));
            }
        }
        if let Some(lockout) = self.watch.look(&transaction).await.map_err(failed)? {
            return Err(ApplyError::Lockout {
                number,
                lockout,
                reached,
            });
        }
        if let Some(main) = main {
            lock::still_held(&main.client).await.map_err(failed)?;
        }
        let committed = transaction.commit().await.map_err(Fault::from);
        committed.map_err(|fault| match fault.is_lost() {
            // The server may have done it before the answer was lost.
            true => ApplyError::Commit {
                number,
                reached,
                fault,
            },
            false => failed(fault),
        })
    }

    /// What somebody else did meanwhile is done.
    async fn alone(&mut self, batch: &Batch<'_>) -> Result<(), ApplyError> {
        let reached = self.reached();
        let session = match (&self.elsewhere, batch.place) {
            (Some((_, session)), Some(_)) => session,
            _ => &self.main,
        };
        for (number, step) in numbered(self.committed, batch) {
            let mut told = Told {
                number,
                of: self.of,
                step,
                progress: &mut self.progress,
            };
            match on_its_own(session, self.doors, &mut told).await {
                Ok(()) => {}
                Err(failed) if failed.fault.is(&SqlState::DUPLICATE_DATABASE) => {
                    self.already.push(number);
                    (self.progress)(Progress::Already { number, step });
                }
                Err(failed) => return Err(failed.at(number, step, reached)),
            }
        }
        Ok(())
    }

    /// What a transaction did to roles is for good: a real login shows that it shut nobody out.
    async fn prove(&mut self) -> Result<(), ApplyError> {
        let Err(source) = lockout::prove(self.doors).await else {
            return Ok(());
        };
        let (taken_back, left) = self.watch.undo(&self.main.client).await;
        Err(ApplyError::LockedOut {
            number: self.committed,
            reached: self.reached(),
            taken_back,
            left,
            source: Box::new(source),
        })
    }
}

fn numbered<'a>(committed: usize, batch: &Batch<'a>) -> impl Iterator<Item = (usize, &'a Step)> + use<'a> {
    (committed.saturating_add(1)..).zip(batch.steps)
}
