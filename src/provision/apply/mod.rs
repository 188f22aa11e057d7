//! Executes a [`Plan`]: what was shown is what runs, in transactions, by one run at a time.
//!
//! - [`lock`]: two runs never interleave
//! - [`run`]: neighbouring steps of one place in one transaction, others alone; [`statement`]: what is in them
//! - [`lockout`]: nobody who must be able to log in comes to be unable to
//!
//! A run that breaks leaves whole transactions behind, and is simply planned again. One that is dropped (SIGINT)
//! closes its connections, and the server rolls back what was not committed.

mod error;
mod lock;
mod lockout;
mod run;
mod statement;

pub use error::{ApplyError, Holder, Lockout, Reached};

use super::doors::Doors;
use super::name::{Database, RoleName};
use super::session;
use super::sessions::{EndError, Ended};
use super::step::{Plan, Step, StepKind};
use lockout::Watch;
use run::Run;
use std::collections::BTreeSet;
use std::error::Error;

/// How a plan may be executed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Steps that take something away are refused without.
    pub allow_destructive: bool,
    /// Roles that log in by password and must go on doing so.
    pub break_glass: BTreeSet<RoleName>,
}

/// Why it is not known whether a plan still fits.
pub type Unsure = Box<dyn Error + Send + Sync>;

/// What happens, as it happens.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// Steps are numbered from one.
    Began {
        number: usize,
        of: usize,
        step: &'a Step,
    },
    /// Somebody else has done it since the plan was made.
    Already { number: usize, step: &'a Step },
    /// A lock is held by these processes of the server.
    Waiting { number: usize, blockers: &'a [i32] },
    /// Before its role is dropped, what a db user had open: afterwards only a superuser could end it.
    Ended {
        user: &'a RoleName,
        ended: Result<Ended, &'a EndError>,
    },
    /// All steps up to this one are for good.
    Committed { steps: usize, of: usize },
}

/// A run that came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub steps: usize,
    /// Numbers of steps that somebody else had done meanwhile.
    pub already: Vec<usize>,
}

/// Executes the steps in their order.
pub async fn apply(
    doors: &impl Doors,
    plan: &Plan,
    options: &Options,
    progress: impl FnMut(Progress<'_>),
) -> Result<Applied, ApplyError> {
    apply_if(doors, plan, options, async { Ok(true) }, progress).await
}

/// The same, if `still` says so when no other run can change anything any more: whether the plan is what would be
/// planned now.
pub async fn apply_if(
    doors: &impl Doors,
    plan: &Plan,
    options: &Options,
    still: impl Future<Output = Result<bool, Unsure>>,
    progress: impl FnMut(Progress<'_>),
) -> Result<Applied, ApplyError> {
    refuse_destructive(plan, options)?;
    if plan.steps.is_empty() {
        return Ok(Applied {
            steps: 0,
            already: Vec::new(),
        });
    }
    let main = session::open(doors, None).await?;
    lock::take(&main.client).await?;
    if !still.await.map_err(ApplyError::Look)? {
        return Err(ApplyError::Moved);
    }
    // Before anything is changed: what fails later has failed for what was changed.
    lockout::prove(doors).await?;
    let watch = Watch::new(&main.client, &options.break_glass)
        .await
        .map_err(ApplyError::Watch)?;
    let mut run = Run::new(doors, main, watch, plan.steps.len(), progress);
    let outcome = run.all(&plan.steps).await;
    run.finish().await;
    outcome
}

fn refuse_destructive(plan: &Plan, options: &Options) -> Result<(), ApplyError> {
    let destructive = |step: &&Step| step.kind == StepKind::Destructive;
    let titles: Vec<_> = plan
        .steps
        .iter()
        .filter(destructive)
        .map(|step| step.title.clone())
        .collect();
    match titles.is_empty() || options.allow_destructive {
        true => Ok(()),
        false => Err(ApplyError::Destructive { titles }),
    }
}

/// Steps that belong together, in one place.
#[derive(Debug, PartialEq, Eq)]
struct Batch<'a> {
    place: Option<&'a Database>,
    /// One step that cannot be in a transaction.
    alone: bool,
    steps: &'a [Step],
}

fn batches(steps: &[Step]) -> impl Iterator<Item = Batch<'_>> {
    let together = |one: &Step, next: &Step| {
        let same_place = one.database == next.database;
        let transactions = one.kind != StepKind::Alone && next.kind != StepKind::Alone;
        // Before roles are dropped, that nobody logs in as them any more must be for good.
        same_place && transactions && dropped(one).is_some() == dropped(next).is_some()
    };
    steps.chunk_by(together).filter_map(|steps| {
        let first = steps.first()?;
        Some(Batch {
            place: first.database.as_ref(),
            alone: first.kind == StepKind::Alone,
            steps,
        })
    })
}

/// The role that a step of a plan drops.
fn dropped(step: &Step) -> Option<RoleName> {
    let name = step.statements.iter().find_map(|statement| {
        let quoted = statement.strip_prefix("DROP ROLE \"")?.strip_suffix('"')?;
        RoleName::new(quoted.replace("\"\"", "\"")).ok()
    });
    name.filter(|_| step.database.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(title: &str, database: Option<&str>, kind: StepKind) -> Step {
        Step {
            title: title.to_owned(),
            database: database.map(|name| Database::new(name).unwrap()),
            as_role: None,
            statements: Vec::new(),
            kind,
        }
    }

    #[test]
    fn roles_are_dropped_apart() {
        let mut steps = ["a", "b", "c"].map(|title| step(title, None, StepKind::Destructive));
        steps[1].statements.push("DROP ROLE \"x\"\"y\"".to_owned());
        steps[2].statements.push("DROP ROLE \"z\"".to_owned());
        let lengths: Vec<_> = batches(&steps).map(|batch| batch.steps.len()).collect();
        assert_eq!(lengths, [1, 2]);
        assert_eq!(dropped(&steps[1]), RoleName::new("x\"y").ok());
        assert_eq!(dropped(&steps[0]), None);
    }

    #[test]
    fn neighbours_of_one_place_go_together_and_the_order_stays() {
        let steps = [
            step("a", None, StepKind::Ordinary),
            step("b", None, StepKind::Destructive),
            step("c", None, StepKind::Alone),
            step("d", None, StepKind::Alone),
            step("e", None, StepKind::Ordinary),
            step("f", Some("app"), StepKind::Ordinary),
            step("g", Some("app"), StepKind::Ordinary),
            step("h", Some("other"), StepKind::Ordinary),
        ];
        let found: Vec<_> = batches(&steps)
            .map(|batch| {
                let titles: String = batch.steps.iter().map(|step| step.title.as_str()).collect();
                (titles, batch.place.map(Database::as_str), batch.alone)
            })
            .collect();
        let expected = [
            ("ab", None, false),
            ("c", None, true),
            ("d", None, true),
            ("e", None, false),
            ("fg", Some("app"), false),
            ("h", Some("other"), false),
        ];
        let expected = expected.map(|(titles, place, alone)| (titles.to_owned(), place, alone));
        assert_eq!(found, expected);
    }
}
