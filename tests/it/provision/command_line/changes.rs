//! `grant`, `revoke`, `grants`: the manifest and the database change together.

use super::{House, Told, as_user, may, may_not, street, turn};
use crate::support::proxy::dbproxy;
use crate::support::sandbox::root;
use crate::support::{Proxy, Sandbox};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Until the server's list of sessions says so.
pub(super) fn wait_until(house: &House, count: &str, expected: &str) {
    let began = Instant::now();
    while house.town.sql("postgres", count) != expected {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{count} is never {expected}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(super) fn sessions_of(user: &str) -> String {
    format!("select count(*) from pg_stat_activity where usename = '{user}'")
}

/// Sits in a session for a minute while `meanwhile` happens; what psql then said.
pub(super) fn sitting(house: &House, proxy: &Proxy, user: &str, meanwhile: impl FnOnce()) -> String {
    std::thread::scope(|scope| {
        let session = scope.spawn(|| as_user(proxy, user, "select pg_sleep(60)"));
        wait_until(house, &sessions_of(user), "1");
        meanwhile();
        session.join().unwrap().all()
    })
}

#[test]
fn a_grant_reaches_the_database_and_nothing_else_of_the_plan_does() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let house = House::new(sandbox);
    house
        .run(&["grant", "it_c_new", "it_c_ro"])
        .refused("there is no role \"it_c_ro\"");
    assert!(!house.text().contains("it_c_new"), "the manifest is as it was");
    house.run(&["apply"]).done();
    house
        .town
        .sql("postgres", "alter database it_c connection limit 7");
    let before = house.text();

    let principal = format!("arn:aws:iam::{}:role/new", sandbox.text("/aws/accounts/a"));
    let grant = [
        "grant",
        "it_c_new",
        "it_c_ro",
        "--principal",
        &principal,
        "--expires",
        "8h",
        "--database",
        "it_c",
    ];
    let told = house.run(&[&grant[..], &["--dry-run"]].concat()).done();
    assert!(
        told.out.contains("+ [clusters.orders.users.it_c_new]\n"),
        "{}",
        told.out
    );
    assert!(
        told.out.contains("  create db user \"it_c_new\"\n"),
        "{}",
        told.out
    );
    assert_eq!(house.text(), before);
    assert!(!house.town.exists("it_c_new"));

    house.run(&grant).done();
    let after = house.text();
    assert!(
        after.starts_with("# Who may be whom. This line stays.\n"),
        "{after}"
    );
    assert!(after.contains("{ role = \"it_c_ro\", until = "), "{after}");
    let proxy = street(sandbox);
    assert_eq!(may(&proxy, "it_c_new", "select current_user"), "it_c_new");
    let left = house.run(&["plan", "--sql"]).done().out;
    assert!(
        left.contains("CONNECTION LIMIT -1") && !left.contains("it_c_new"),
        "what somebody changed by hand is left to `apply`: {left}"
    );

    let grants = house.run(&["grants"]).done().out;
    let row = grants.lines().find(|line| line.contains("it_c_new")).unwrap();
    assert!(
        row.contains("it_c_ro (until 20") && row.contains("yes") && row.contains(&principal),
        "{grants}"
    );
    // Time passes.
    let until = after.split("until = ").nth(1).unwrap().split(' ').next().unwrap();
    house.edit(until, "2026-01-01T00:00:00Z");
    let grants = house.run(&["grants", "-o", "json"]).done().out;
    let grants: Value = serde_json::from_str(&grants).unwrap();
    let new = grants
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["db_user"] == "it_c_new")
        .unwrap();
    assert_eq!(
        (&new["roles"][0]["ended"], &new["rds_iam"]),
        (&true.into(), &true.into())
    );
    assert!(
        house
            .run(&["grants"])
            .out
            .contains("it_c_ro (ENDED 2026-01-01T00:00:00Z)")
    );
    // What was given for a time is taken back without asking.
    let told = house.run(&["apply"]).done();
    assert!(told.out.contains("whose time is over"), "{}", told.out);
    may_not(&proxy, "it_c_new", "select 1", "permission denied for database");
}

/// Before anything is looked at in the database.
#[test]
fn a_grant_for_a_database_needs_a_role_that_opens_it() {
    let grant = |role: &str, database: &str| {
        let mut command = dbproxy(&[]);
        command.current_dir(root());
        command.args([
            "grant",
            "new",
            role,
            "--cluster",
            "tenants",
            "--database",
            database,
        ]);
        command.args(["--config", "policies/dbproxy.toml", "--dry-run"]);
        Told::of(&command.output().unwrap())
    };
    let told = grant("blue_rw", "green").refused("the role `blue_rw` does not open database `green`");
    assert!(
        told.err.contains("hint: These roles do: green_owner, green_rw"),
        "{}",
        told.err
    );
    let told = grant("blue_rw", "red").refused("has no database `red`");
    assert!(told.err.contains("It has: blue, green"), "{}", told.err);
    grant("nobody", "green").refused("has no db role `nobody`");
}

#[test]
fn a_revocation_ends_the_sessions_of_those_who_are_in() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let house = House::new(sandbox);
    house.run(&["apply"]).done();
    let before = house.text();
    let proxy = street(sandbox);
    let told = house
        .run(&["revoke", "it_c_writer", "it_c_rw"])
        .refused("--allow-destructive");
    assert!(
        told.out.contains("- roles = [\"it_c_rw\"] # writes\n"),
        "{}",
        told.out
    );
    assert_eq!(house.text(), before);
    house
        .run(&["revoke", "it_c_writer", "it_c_ro"])
        .refused("does not have the role");

    let ended = sitting(&house, &proxy, "it_c_writer", || {
        let told = house
            .run(&["revoke", "it_c_writer", "it_c_rw", "--allow-destructive"])
            .done();
        assert_eq!(told.last(), "1 session ended", "{}", told.all());
    });
    assert!(ended.contains("57P01"), "{ended}");
    may_not(
        &proxy,
        "it_c_writer",
        "select 1",
        "permission denied for database",
    );
    assert!(
        house
            .text()
            .contains("[clusters.orders.users.it_c_writer]\nroles = [] # writes\n"),
        "{}",
        house.text()
    );
    assert_eq!(house.steps(), [Value::Null; 0]);

    let ended = sitting(&house, &proxy, "it_c_reader", || {
        let told = house
            .run(&["revoke", "it_c_reader", "--allow-destructive"])
            .done();
        assert_eq!(told.last(), "1 session ended", "{}", told.all());
    });
    assert!(ended.contains("57P01"), "{ended}");
    assert!(!house.town.exists("it_c_reader") && !house.text().contains("it_c_reader"));
    assert_eq!(house.steps(), [Value::Null; 0]);

    // What a user has made for itself goes to the owner, by the plan of the whole cluster.
    house.town.sql(
        "it_c",
        "create table app.mine (); alter table app.mine owner to it_c_writer",
    );
    let told = house
        .run(&["revoke", "it_c_writer", "--allow-destructive"])
        .done();
    assert!(
        told.err.contains("the plan of the whole cluster"),
        "{}",
        told.all()
    );
    assert!(!house.town.exists("it_c_writer"));
    let owner = "select tableowner from pg_tables where tablename = 'mine'";
    assert_eq!(house.town.sql("it_c", owner), "it_c_owner");
    assert_eq!(house.steps(), [Value::Null; 0]);
}

#[test]
fn the_manifest_is_restored_when_nothing_could_be_done() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let house = House::new(sandbox);
    house.run(&["apply"]).done();
    let before = house.text();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&house.manifest, std::fs::Permissions::from_mode(0o640)).unwrap();
    let holders = "select count(*) from pg_locks where locktype = 'advisory' and classid = 1684172920";
    std::thread::scope(|scope| {
        let lock = "select pg_advisory_lock(1684172920, 1886151022), pg_sleep(60)";
        let place = house.town.administration("postgres");
        let held = scope.spawn(move || crate::support::psql(&place, &[], lock));
        wait_until(&house, holders, "1");
        let told = house
            .run(&["grant", "it_c_new", "it_c_ro"])
            .refused("another run is under way");
        assert!(told.err.contains("the manifest is as it was"), "{}", told.all());
        house.town.sql(
            "postgres",
            "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and classid = 1684172920",
        );
        held.join().unwrap();
    });
    assert_eq!(house.text(), before);
    house.run(&["grant", "it_c_new", "it_c_ro"]).done();
    house.run(&["revoke", "it_c_new", "--allow-destructive"]).done();
    assert_eq!(house.text(), before, "there and back again");
    let mode = std::fs::metadata(&house.manifest).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);

    // A user of others is not dropped, and that is told.
    house.town.sql("postgres", "create role it_c_new login");
    house.edit(
        "[clusters.orders.users.it_c_reader]",
        "[clusters.orders.users.it_c_new]\n[clusters.orders.users.it_c_reader]",
    );
    house
        .run(&["revoke", "it_c_new", "--allow-destructive"])
        .refused("still in the database: it is not managed");
    assert!(house.town.exists("it_c_new"));
}
