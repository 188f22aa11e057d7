//! A run that breaks leaves whole transactions behind, says how far it came, and can be run again.

use super::{Town, inside, of_kind, step, turn, wait_for};
use crate::support::Sandbox;
use dbproxy::provision::apply::{ApplyError, Options, Progress, apply};
use dbproxy::provision::fault::Fault;
use dbproxy::provision::step::{Plan, Step, StepKind};

const CLEAR: &str = "drop database if exists it_b;\ndrop table if exists it_b_t;\n\
    drop role if exists it_b_one, it_b_two, it_b_three";

#[test]
fn a_step_that_fails_takes_its_transaction_with_it_and_is_told() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    let error = town.apply(vec![
        step(&["create role it_b_one"]),
        of_kind(StepKind::Alone, "create database it_b"),
        step(&["create role it_b_two"]),
        step(&["create role it_b_three", "grant nobody_such to it_b_three"]),
    ]);
    let error = error.unwrap_err();
    let ApplyError::Step {
        number,
        statement,
        reached,
        fault: Fault::Said(said),
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!((*number, reached.committed, reached.of), (4, 2, 4));
    assert_eq!(
        (statement.as_str(), said.sqlstate.as_str()),
        ("grant nobody_such to it_b_three", "42704")
    );
    assert!(
        error.to_string().contains("steps 1 to 2 of 4 are committed"),
        "{error}"
    );
    assert!(town.exists("it_b_one") && !town.exists("it_b_two") && !town.exists("it_b_three"));
    // The lock is free at once.
    town.apply(vec![step(&["create role it_b_two"])]).unwrap();
}

#[test]
fn a_place_that_cannot_be_entered_is_named() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    let error = town.apply(vec![
        step(&["create role it_b_one"]),
        inside("it_b", None, &["create schema s"]),
    ]);
    let error = error.unwrap_err();
    assert!(
        matches!(&error, ApplyError::Place { number: 2, reached, .. } if reached.committed == 1),
        "{error}"
    );
}

/// Ends all sessions of runs, when step `at` begins.
fn killing(town: &Town, at: usize) -> impl FnMut(Progress<'_>) {
    move |progress| {
        if matches!(progress, Progress::Began { number, .. } if number == at) {
            town.sql(
                "postgres",
                "select pg_terminate_backend(pid, 10000) from pg_stat_activity \
                 where application_name = 'dbproxy provision'",
            );
        }
    }
}

#[test]
fn a_connection_that_is_killed_in_the_middle_leaves_nothing_half_done() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    let steps = || -> Vec<Step> {
        vec![
            step(&["create role it_b_one", "create role it_b_two"]),
            step(&["create role it_b_three"]),
        ]
    };
    let error = town
        .apply_with(steps(), &Options::default(), killing(&town, 2))
        .unwrap_err();
    let ApplyError::Step {
        number: 2,
        fault,
        reached,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert!(fault.is_lost(), "{fault}");
    assert_eq!(reached.committed, 0);
    assert!(!town.exists("it_b_one") && !town.exists("it_b_two"));
    town.apply(steps()).expect("the same once more");
}

#[test]
fn a_run_that_is_dropped_is_rolled_back() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    let plan = Plan {
        steps: vec![step(&["create role it_b_one", "select pg_sleep(600)"])],
        notes: Vec::new(),
    };
    let in_it = "select count(*) from pg_stat_activity \
        where application_name = 'dbproxy provision' and query like '%pg_sleep%'";
    wait_for(async {
        let options = Options::default();
        let run = apply(&town, &plan, &options, |_| {});
        let seen = tokio::task::spawn_blocking({
            let at = town.administration("postgres");
            move || while super::query(&at, in_it) != "1" {}
        });
        tokio::select! {
            ended = run => panic!("{ended:?}"),
            seen = seen => seen.unwrap(),
        }
    });
    while town.sql("postgres", in_it) != "0" {}
    assert!(!town.exists("it_b_one"));
    town.apply(vec![step(&["create role it_b_one"])]).unwrap();
}

/// The lock of runs lives in one session, the work may be in another: without the one the other is not committed.
#[test]
fn work_elsewhere_is_not_committed_when_the_lock_is_lost() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    town.sql("postgres", "create database it_b owner dbproxy_provisioner");
    let kill_the_holder = |progress: Progress<'_>| {
        if matches!(progress, Progress::Began { .. }) {
            town.sql(
                "postgres",
                "select pg_terminate_backend(pid, 10000) from pg_locks where locktype = 'advisory' and objsubid = 2",
            );
        }
    };
    let steps = vec![inside("it_b", None, &["create schema s"])];
    let error = town
        .apply_with(steps, &Options::default(), kill_the_holder)
        .unwrap_err();
    assert!(matches!(&error, ApplyError::Transaction { .. }), "{error}");
    let schemas = "select count(*) from pg_namespace where nspname = 's'";
    assert_eq!(town.sql("it_b", schemas), "0");
}

#[test]
fn who_holds_a_lock_is_told_while_it_is_waited_for() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    town.sql(
        "postgres",
        "create table it_b_t (); alter table it_b_t owner to dbproxy_provisioner",
    );
    std::thread::scope(|scope| {
        let town = &town;
        scope.spawn(move || {
            // Until it is cancelled below.
            let held = "begin; lock table it_b_t; select pg_sleep(600)";
            let at = format!(
                "host=127.0.0.1 port={} user=sandbox_admin dbname=postgres",
                town.proxy.port()
            );
            crate::support::psql(&at, &[], held);
        });
        let held = "select count(*) from pg_locks where relation = 'it_b_t'::regclass and mode = 'AccessExclusiveLock'";
        while town.sql("postgres", held) != "1" {}
        let mut waited_for = Vec::new();
        let steps = vec![step(&["comment on table public.it_b_t is 'waited for'"])];
        let applied = town.apply_with(steps, &Options::default(), |progress| {
            if let Progress::Waiting { blockers, .. } = progress {
                waited_for.extend_from_slice(blockers);
                for pid in blockers {
                    town.sql("postgres", &format!("select pg_terminate_backend({pid})"));
                }
            }
        });
        applied.unwrap();
        assert_eq!(waited_for.len(), 1);
    });
}
