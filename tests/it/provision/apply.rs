//! A plan runs as it stands, by one run at a time.

use super::{Town, apply_at, database, inside, of_kind, role, step, turn, wait_for};
use crate::support::Sandbox;
use dbproxy::provision::apply::{ApplyError, Options, Progress, Unsure, apply_if};
use dbproxy::provision::doors::{Doors, OpenError};
use dbproxy::provision::name::{Database, SchemaName};
use dbproxy::provision::step::{Plan, StepKind};
use std::sync::mpsc::channel;
use tokio_postgres::Client;

const CLEAR: &str = "drop database if exists it_a;\ndrop role if exists it_a_owner, it_a_user";

#[test]
fn a_plan_is_executed_and_told_about() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    let steps = vec![
        step(&[
            "create role it_a_owner",
            "grant it_a_owner to dbproxy_provisioner",
        ]),
        step(&["create role it_a_user login", "grant rds_iam to it_a_user"]),
        of_kind(StepKind::Alone, "create database it_a owner it_a_owner"),
        inside(
            "it_a",
            Some("it_a_owner"),
            &["create schema app", "create table app.t ()"],
        ),
        inside("it_a", Some("it_a_owner"), &["Create  extension pg_trgm"]),
        inside("it_a", None, &["create schema other"]),
        step(&["revoke it_a_owner from dbproxy_provisioner"]),
    ];
    // The provisioner may create in the database only as long as it is the owner's member.
    let mut told = Vec::new();
    let applied = town.apply_with(steps, &Options::default(), |progress| {
        told.push(match progress {
            Progress::Began { number, of, .. } => format!("{number}/{of}"),
            Progress::Committed { steps, .. } => format!("committed {steps}"),
            other => format!("{other:?}"),
        });
    });
    let applied = applied.unwrap();
    assert_eq!((applied.steps, applied.already.len()), (7, 0));
    let expected = [
        "1/7",
        "2/7",
        "committed 2",
        "3/7",
        "committed 3",
        "4/7",
        "5/7",
        "6/7",
        "committed 6",
        "7/7",
        "committed 7",
    ];
    assert_eq!(told, expected);
    let found = town.inspect(&["it_a"]);
    let schemas = &found.databases[&database("it_a")]
        .contents
        .as_ref()
        .unwrap()
        .schemas;
    let owner_of = |name: &str| schemas[&SchemaName::new(name).unwrap()].owner.to_string();
    assert_eq!(owner_of("app"), "it_a_owner");
    assert_eq!(
        owner_of("other"),
        "dbproxy_provisioner",
        "the role is given back after its step"
    );
    let trigrams = "select extnamespace::regnamespace from pg_extension where extname = 'pg_trgm'";
    assert_eq!(town.sql("it_a", trigrams), "public");
    let memberships = &found.roles[&role("it_a_user")].member_of;
    assert_eq!(memberships.len(), 1);
}

#[test]
fn a_database_that_somebody_else_made_meanwhile_is_no_failure() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    let steps = || vec![of_kind(StepKind::Alone, "create database it_a")];
    assert!(town.apply(steps()).unwrap().already.is_empty());
    assert_eq!(town.apply(steps()).unwrap().already, [1]);
}

/// Nobody may come in.
struct Shut;

impl Doors for Shut {
    async fn open(&self, _: Option<&Database>) -> Result<Client, OpenError> {
        panic!("a connection was asked for")
    }
}

#[test]
fn what_takes_something_away_needs_leave_before_anything_is_done() {
    let steps = || {
        vec![
            step(&["create role it_a_user"]),
            of_kind(StepKind::Destructive, "drop role it_a_owner"),
        ]
    };
    let error = apply_at(&Shut, steps(), &Options::default(), |_| {}).unwrap_err();
    assert!(matches!(&error, ApplyError::Destructive { titles } if titles.len() == 1));
    assert!(error.to_string().contains("--allow-destructive"), "{error}");

    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    town.apply(vec![step(&["create role it_a_owner"])]).unwrap();
    let leave = Options {
        allow_destructive: true,
        ..Options::default()
    };
    town.apply_with(steps(), &leave, |_| {}).unwrap();
    assert!(town.exists("it_a_user") && !town.exists("it_a_owner"));
}

#[test]
fn a_second_run_at_once_is_told_who_is_first() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    let (begun, has_begun) = channel();
    let (go_on, may_go_on) = channel();
    std::thread::scope(|scope| {
        let town = &town;
        let first = scope.spawn(move || {
            town.apply_with(
                vec![step(&["create role it_a_owner"])],
                &Options::default(),
                |progress| {
                    if matches!(progress, Progress::Began { .. }) {
                        begun.send(()).unwrap();
                        may_go_on.recv().unwrap();
                    }
                },
            )
        });
        has_begun.recv().unwrap();
        let second = town.apply(vec![step(&["create role it_a_user"])]);
        go_on.send(()).unwrap();
        let error = second.unwrap_err();
        let ApplyError::Busy(holder) = &error else {
            panic!("{error}");
        };
        assert!(holder.pid > 0, "{error}");
        assert_eq!(holder.application.as_deref(), Some("dbproxy provision"));
        first.join().unwrap().unwrap();
    });
    assert!(town.exists("it_a_owner") && !town.exists("it_a_user"));
    town.apply(vec![step(&["create role it_a_user"])])
        .expect("the lock is free again");
}

#[test]
fn a_statement_cannot_hold_a_second_one() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    let two = "create role it_a_owner; create role it_a_user";
    let error = town.apply(vec![step(&[two])]).unwrap_err();
    assert!(matches!(error, ApplyError::Step { .. }), "{error}");
    assert!(!town.exists("it_a_owner"));
    // Nor does anything come to lie where nobody said.
    let error = town.apply(vec![step(&["create table it_a_t ()"])]).unwrap_err();
    assert!(matches!(error, ApplyError::Step { .. }), "{error}");
}

/// Whoever reviewed a plan reviewed that one: nothing else is run, also when it has waited for others.
#[test]
fn a_plan_that_does_not_fit_any_more_is_not_run() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    let plan = || Plan {
        steps: vec![step(&["create role it_a_user"])],
        notes: Vec::new(),
    };
    let run = |still: Result<bool, Unsure>| {
        let (plan, options) = (plan(), Options::default());
        wait_for(apply_if(&town, &plan, &options, async { still }, |_| {}))
    };
    let error = run(Ok(false)).unwrap_err();
    assert!(
        matches!(error, ApplyError::Moved) && error.has_changed_nothing(),
        "{error}"
    );
    let error = run(Err("no".into())).unwrap_err();
    assert!(
        matches!(error, ApplyError::Look(_)) && error.has_changed_nothing(),
        "{error}"
    );
    assert!(!town.exists("it_a_user"));
    // The lock is free again.
    run(Ok(true)).unwrap();
    assert!(town.exists("it_a_user"));
}
