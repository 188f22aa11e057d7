//! Nobody who must be able to log in is shut out: looked at before each commit, shown by a login after it.

use super::{PROVISIONER, Town, apply_at, role, step, turn};
use crate::support::modern::Modern;
use crate::support::{Proxy, Sandbox};
use dbproxy::domain::reason::CloseReason;
use dbproxy::error::{Refusal, SqlState};
use dbproxy::provision::apply::{ApplyError, Lockout, Options};
use dbproxy::provision::doors::{Doors, OpenError};
use dbproxy::provision::name::Database;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_postgres::Client;

const CLEAR: &str = "drop role if exists it_l_admin, it_l_group, it_l_user";

fn options() -> Options {
    Options {
        break_glass: [role("it_l_admin")].into(),
        ..Options::default()
    }
}

#[track_caller]
fn assert_refused(outcome: Result<dbproxy::provision::apply::Applied, ApplyError>, expected: &Lockout) {
    let error = outcome.unwrap_err();
    assert!(
        matches!(&error, ApplyError::Lockout { lockout, .. } if lockout == expected),
        "{error}"
    );
}

#[test]
fn a_break_glass_user_never_comes_to_reach_rds_iam() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    town.sql("postgres", "create role it_l_admin login");
    let by_iam = Lockout::ByIam("it_l_admin".to_owned());
    let direct = vec![step(&["create role it_l_user", "grant rds_iam to it_l_admin"])];
    assert_refused(town.apply_with(direct, &options(), |_| {}), &by_iam);
    let by_a_group = vec![
        step(&["create role it_l_group", "grant it_l_group to it_l_admin"]),
        step(&["grant rds_iam to it_l_group"]),
    ];
    assert_refused(town.apply_with(by_a_group, &options(), |_| {}), &by_iam);
    let no_login = vec![step(&["alter role it_l_admin nologin"])];
    let lost = Lockout::NoLogin("it_l_admin".to_owned());
    assert_refused(town.apply_with(no_login, &options(), |_| {}), &lost);
    let dropped = vec![step(&["drop role it_l_admin"])];
    let gone = Lockout::Gone("it_l_admin".to_owned());
    assert_refused(town.apply_with(dropped, &options(), |_| {}), &gone);
    assert!(
        !town.exists("it_l_user") && !town.exists("it_l_group"),
        "all was rolled back"
    );
    // What is no way to rds_iam is no harm.
    let harmless = vec![step(&[
        "create role it_l_group",
        "grant it_l_group to it_l_admin",
    ])];
    town.apply_with(harmless, &options(), |_| {}).unwrap();
}

#[test]
fn the_provisioner_stays_what_it_is() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    let steps = vec![step(&["revoke rds_iam from dbproxy_provisioner"])];
    let no_iam = Lockout::NoIam(PROVISIONER.to_owned());
    assert_refused(town.apply_with(steps, &options(), |_| {}), &no_iam);
    town.apply(Vec::new()).unwrap();
}

/// Since PostgreSQL 16 whoever creates a role is a member of it; by password it would be shut out.
#[test]
fn the_creators_trap_of_postgresql_16_is_seen_before_it_closes() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let modern = Modern::start(sandbox);
    let target = modern
        .target()
        .replace("[\"app\"]", "[\"app\", \"it_l_provisioner\"]");
    let clear = "drop function if exists it_l_hand_out;\ndrop role if exists it_l_user;\n\
        drop role if exists it_l_provisioner;\ndrop role if exists rds_iam";
    let town = Town::of(Proxy::start(sandbox, &target), ["app", "it_l_provisioner"], clear);
    let create = format!(
        "create role it_l_provisioner login createrole password '{}'",
        modern.password
    );
    town.sql("postgres", "create role rds_iam");
    town.sql("postgres", &create);
    // RDS lets its administrators grant without having the role themselves; here a function does.
    town.sql(
        "postgres",
        "create or replace function it_l_hand_out() returns void language plpgsql security definer \
         as 'begin grant rds_iam to it_l_user; end'",
    );
    let trap = || {
        let hand_out = "select public.it_l_hand_out()";
        vec![step(&["create role it_l_user login"]), step(&[hand_out])]
    };
    assert_refused(town.apply(trap()), &Lockout::ByIam("it_l_provisioner".to_owned()));
    assert!(!town.exists("it_l_user"));
    // Itself by IAM, it has nothing to fear.
    town.sql("postgres", "grant rds_iam to it_l_provisioner");
    town.apply(trap()).unwrap();
}

/// Lets so many in, and then nobody.
struct Closing<'a> {
    town: &'a Town,
    left: AtomicUsize,
}

impl Doors for Closing<'_> {
    async fn open(&self, database: Option<&Database>) -> Result<Client, OpenError> {
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(_) => self.town.open(database).await,
            Err(_) => Err(OpenError {
                database: "postgres".to_owned(),
                refusal: Box::new(Refusal::new(
                    CloseReason::LoginRefused,
                    SqlState::INVALID_AUTHORIZATION,
                    "shut out",
                )),
                source: "shut out".into(),
            }),
        }
    }
}

#[test]
fn a_provisioner_that_is_shut_out_all_the_same_takes_back_what_it_can() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    // The run's own connection, and the one that shows that logins work.
    let doors = Closing {
        town: &town,
        left: AtomicUsize::new(2),
    };
    let steps = vec![step(&[
        "create role it_l_user login",
        "grant rds_iam to it_l_user",
    ])];
    let error = apply_at(&doors, steps, &options(), |_| {}).unwrap_err();
    let ApplyError::LockedOut {
        taken_back,
        left,
        reached,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(
        (taken_back.as_slice(), left.len(), reached.committed),
        (["it_l_user".to_owned()].as_slice(), 0, 1)
    );
    let member = "select pg_has_role('it_l_user', 'rds_iam', 'member')";
    assert_eq!(town.sql("postgres", member), "f");
}

#[test]
fn nothing_is_begun_when_no_second_login_succeeds() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    let doors = Closing {
        town: &town,
        left: AtomicUsize::new(1),
    };
    let error = apply_at(&doors, vec![step(&["create role it_l_user"])], &options(), |_| {}).unwrap_err();
    assert!(matches!(error, ApplyError::NotBegun(_)), "{error}");
    assert!(!town.exists("it_l_user"));
}
