//! A subscription whose publisher is behind dbproxy, with its first copy of the table, and whose token in
//! the cache is refused as expired.

use super::own::{Undo, sql, unique, wait_until};
use super::proxy;
use crate::support::Sandbox;
use serde_json::{Value, json};
use std::time::Duration;

fn rows(sandbox: &Sandbox, database: &str, table: &str) -> String {
    sql(sandbox, database, &format!("select count(*) from {table}"))
}

/// The slot is made first: a walsender that makes one waits for all transactions, and CREATE
/// SUBSCRIPTION is one, in the same cluster.
fn subscribe(sandbox: &Sandbox, undo: &mut Undo<'_>, name: &str, port: u16) {
    undo.add("postgres", format!("drop database if exists {name} with (force)"));
    sql(sandbox, "postgres", &format!("create database {name}"));
    undo.add("app", format!("drop table if exists {name}"));
    undo.add("app", format!("drop publication if exists {name}"));
    for database in ["app", name] {
        sql(
            sandbox,
            database,
            &format!("create table {name} (n int primary key)"),
        );
    }
    sql(
        sandbox,
        "app",
        &format!("create publication {name} for table {name}"),
    );
    undo.drop_slot(name);
    let slot = format!("select pg_create_logical_replication_slot('{name}', 'pgoutput')");
    sql(sandbox, "app", &slot);
    undo.add(name, format!("drop subscription if exists {name}"));
    undo.add(name, format!("alter subscription {name} set (slot_name = none)"));
    undo.add(name, format!("alter subscription {name} disable"));
    let connection = format!("host=127.0.0.1 port={port} user=sandbox_admin dbname=app");
    let create = format!(
        "create subscription {name} connection '{connection}' publication {name} \
         with (create_slot = false, copy_data = true)"
    );
    sql(sandbox, name, &create);
}

fn reasons(sandbox: &Sandbox) -> Vec<Value> {
    let log = sandbox.auth_log();
    let tokens = log.iter().filter(|entry| entry["reason"] != "SandboxPassword");
    tokens.map(|entry| entry["reason"].clone()).collect()
}

#[test]
fn a_subscription_comes_back_when_the_cached_token_is_refused() {
    let sandbox = Sandbox::alone();
    let proxy = proxy(&sandbox);
    let name = unique("subscriber");
    let mut undo = Undo::new(&sandbox);
    subscribe(&sandbox, &mut undo, &name, proxy.port());
    sql(
        &sandbox,
        "app",
        &format!("insert into {name} select generate_series(1, 1000)"),
    );
    wait_until("the rows are at the subscriber", || {
        rows(&sandbox, &name, &name) == "1000"
    });
    let minted = "dbproxy_tokens_total{event=\"minted\"}";
    assert_eq!(proxy.metric(minted), 1.0);

    // AWS accepts a token for 900 seconds. Its clock goes ahead, until the token in the cache is older
    // than that and one that is signed now is not yet.
    sandbox.switch("skew", &json!({"seconds": 896}));
    std::thread::sleep(Duration::from_secs(5));
    sql(&sandbox, "app", &format!("insert into {name} values (1001)"));
    wait_until("the stream is not harmed by it", || {
        rows(&sandbox, &name, &name) == "1001"
    });
    assert_eq!(proxy.metric(minted), 1.0);

    let kill = format!(
        "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '{name}'"
    );
    assert_eq!(sql(&sandbox, "app", &kill), "t");
    sql(&sandbox, "app", &format!("insert into {name} values (1002)"));
    wait_until("the subscription is back", || {
        rows(&sandbox, &name, &name) == "1002"
    });
    assert!(proxy.metric(minted) >= 2.0);
    assert!(proxy.metric("dbproxy_login_retries_total") >= 1.0);
    let reasons = reasons(&sandbox);
    assert!(reasons.contains(&json!("ExpiredToken")), "{reasons:?}");
    assert_eq!(reasons.last(), Some(&json!("TokenAccepted")), "{reasons:?}");
}
