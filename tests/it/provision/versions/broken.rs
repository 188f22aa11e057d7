//! Runs that are cut off, and runs that meet.

use super::ground::{Ground, listing};
use super::{SHOP, on, wanted};
use crate::support::modern::MAJORS;
use dbproxy::provision::apply::{ApplyError, Progress};
use dbproxy::provision::wanted::Wanted;

const END_RUNS: &str = "select pg_terminate_backend(pid) from pg_stat_activity \
    where application_name = 'dbproxy provision' and pid <> pg_backend_pid()";

/// A run that is cut off as a step begins, if it has so many.
pub fn cut_at(ground: &Ground, wanted: &Wanted, number: usize) {
    let plan = ground.plan(wanted);
    let outcome = ground.apply(&plan, |progress| {
        if matches!(progress, Progress::Began { number: at, .. } if at == number) {
            // Not on this thread, which drives the run.
            std::thread::scope(|scope| {
                scope
                    .spawn(|| ground.administer("postgres", END_RUNS))
                    .join()
                    .unwrap()
            });
        }
    });
    let broken = number <= plan.steps.len();
    assert_eq!(outcome.is_err(), broken, "{outcome:?}\n{}", listing(&plan));
}

#[test]
fn a_run_that_is_cut_off_anywhere_is_taken_up_again() {
    on(&[MAJORS[0], MAJORS[2], MAJORS[5]], |ground| {
        let shop = wanted(SHOP);
        let less = SHOP
            .split("[users.writer]")
            .next()
            .unwrap()
            .replace("[users.migrator]", "[users.\"the migrator\"]\nwas = \"migrator\"");
        let less = wanted(
            &less
                .replace("schemas = [\"app\", \"extra\"]", "schemas = [\"app\"]")
                .replace(
                    "  { database = \"app\", on = \"all sequences in extra\", grant = [\"usage\"] },\n",
                    "",
                ),
        );
        for number in [1, 2, 5, 9, 12, 16, 20, 25, 30] {
            if number > 1 {
                ground.anew();
            }
            cut_at(ground, &shop, number);
            ground.settle(&shop);
            ground.can("migrator", "app", "create table app.items (id serial)");
            ground.can("writer", "app", "create temporary table t ()");
            ground.administer("app", "alter table app.items owner to writer");
            cut_at(ground, &less, number);
            ground.settle(&less);
        }
    });
}

#[test]
fn of_two_runs_at_once_the_second_is_refused() {
    on(&[MAJORS[0], MAJORS[5]], |ground| {
        let shop = wanted(SHOP);
        let plan = ground.plan(&shop);
        let mut refused = None;
        let first = ground.apply(&plan, |progress| {
            if matches!(progress, Progress::Began { number: 3, .. }) {
                refused = Some(std::thread::scope(|scope| {
                    scope.spawn(|| ground.apply(&plan, |_| {})).join().unwrap()
                }));
            }
        });
        first.unwrap();
        assert!(matches!(refused, Some(Err(ApplyError::Busy(_)))), "{refused:?}");
        ground.is_settled(&shop);
    });
}
