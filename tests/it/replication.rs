//! Replication through dbproxy: logical and physical, PostgreSQL's own programs, and a subscription that outlives
//! the token it was begun with.

mod drain;
mod own;
mod programs;
mod subscription;

use crate::support::modern::Modern;
use crate::support::raw::{Message, message, startup};
use crate::support::{Proxy, Raw, Sandbox, psql};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ADMIN: &str = "sandbox_admin";

fn proxy(sandbox: &Sandbox) -> Proxy {
    Proxy::start(
        sandbox,
        &sandbox.target("orders", "db_users = [\"sandbox_admin\"]"),
    )
}

fn replication(proxy: &Proxy, user: &str, kind: &str) -> Raw {
    let mut raw = Raw::connect(proxy.port());
    let parameters = [("user", user), ("database", "app"), ("replication", kind)];
    raw.send(&startup(3 << 16, &parameters));
    raw.read_until(b'Z');
    raw
}

fn rows(answer: &[Message]) -> usize {
    answer.iter().filter(|message| message.tag == b'D').count()
}

/// A standby's report of how far it is, which asks for a reply.
fn status(position: u64) -> Vec<u8> {
    let position = position.to_be_bytes();
    message(
        b'd',
        &[b"r", &position[..], &position, &position, &[0; 8], &[1]].concat(),
    )
}

/// Server programs are not on the path.
fn program(name: &str) -> PathBuf {
    let mut versions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .unwrap()
        .map(|entry| entry.unwrap().path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    versions.sort();
    versions.pop().expect("PostgreSQL's programs are installed")
}

/// What a test has made in the database goes when it ends, however it ends.
struct Cleanup<'a>(&'a Proxy, &'static [&'static str]);

impl Drop for Cleanup<'_> {
    fn drop(&mut self) {
        for sql in self.1 {
            self.0.psql(ADMIN, sql);
        }
    }
}

/// Both directions of CopyBoth at once, its end from the client, and the connection goes on.
#[test]
fn a_stream_of_changes_goes_both_ways_and_ends_in_good_order() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let mut raw = replication(&proxy, ADMIN, "database");
    raw.query("CREATE_REPLICATION_SLOT both TEMPORARY LOGICAL test_decoding NOEXPORT_SNAPSHOT");
    assert_eq!(rows(&raw.read_until(b'Z')), 1);
    raw.query("START_REPLICATION SLOT both LOGICAL 0/0");
    raw.read_until(b'W');
    let _cleanup = Cleanup(&proxy, &["drop table if exists both_ways"]);
    proxy.query(
        ADMIN,
        "create table both_ways as select generate_series(1, 1000) x",
    );
    let mut changes = 0;
    while changes < 1_000 {
        raw.send(&status(1));
        let body = raw.read_until(b'd').pop().unwrap().body;
        changes += usize::from(body[0] == b'w' && body.windows(6).any(|w| w == b"INSERT"));
    }
    raw.send(&message(b'c', b""));
    let end = raw.read_until(b'Z');
    assert!(end.iter().any(|message| message.tag == b'c'), "{end:?}");
    raw.query("IDENTIFY_SYSTEM");
    assert_eq!(rows(&raw.read_until(b'Z')), 1);
}

#[test]
fn pg_recvlogical_streams_until_it_is_told_to_stop() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let _cleanup = Cleanup(
        &proxy,
        &[
            "select pg_drop_replication_slot('received') from pg_replication_slots where slot_name = 'received'",
            "drop table if exists received",
        ],
    );
    let port = proxy.port().to_string();
    let common = [
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-U",
        ADMIN,
        "-d",
        "app",
        "--slot=received",
    ];
    let created = Command::new(program("pg_recvlogical"))
        .args(common)
        .args(["--create-slot", "-P", "test_decoding"])
        .output()
        .unwrap();
    assert!(created.status.success(), "{created:?}");
    let mut child = Command::new(program("pg_recvlogical"))
        .args(common)
        .args(["--start", "-f", "-", "-s", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    proxy.query(ADMIN, "create table received as select generate_series(1, 10) x");
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .filter(|line| line.contains("public.received: INSERT"));
    assert_eq!(lines.by_ref().take(10).count(), 10);
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    // It must be able to write to its end.
    assert_eq!(lines.count(), 0);
    assert!(child.wait().unwrap().success());
}

#[test]
fn physical_replication_streams_too() {
    let (sandbox, _turn) = Sandbox::shared();
    let modern = Modern::start(sandbox);
    let proxy = Proxy::start(sandbox, &modern.target());
    let mut raw = replication(&proxy, "app", "true");
    raw.query("IDENTIFY_SYSTEM");
    assert_eq!(rows(&raw.read_until(b'Z')), 1);
    raw.query("START_REPLICATION PHYSICAL 0/1000000 TIMELINE 1");
    raw.read_until(b'W');
    let (mut received, mut replies) = (0, 0);
    while received < 1_000_000 || replies == 0 {
        raw.send(&status(0x100_0000));
        let body = raw.read_until(b'd').pop().unwrap().body;
        match body[0] {
            b'w' => received += body.len(),
            _ => replies += 1,
        }
    }
    raw.send(&message(b'c', b""));
    raw.read_until(b'Z');
}

/// The publisher is dbproxy, and each time the subscriber connects, dbproxy signs for it anew.
#[test]
fn a_subscription_goes_on_when_the_token_it_began_with_has_expired() {
    let sandbox = Sandbox::alone();
    let lines = format!(
        "db_users = [\"{ADMIN}\"]\ncredential = {{ assume_role = {{ role_arn = \"{}\" }} }}",
        sandbox.text("/aws/role_connect")
    );
    let publisher = Proxy::start(&sandbox, &sandbox.target("publisher", &lines));
    let proxy = proxy(&sandbox);
    let subscriber = |sql: &str| {
        let at = format!(
            "host=127.0.0.1 port={} user={ADMIN} dbname=subscriber",
            proxy.port()
        );
        let output = psql(&at, &[], sql);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    // Tokens live no longer than the session that signs them.
    sandbox.switch("session-lifetime", &json!({"seconds": 4}));
    let _cleanup = Cleanup(
        &proxy,
        &[
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'subscriber'",
            "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = 'published'",
            "select pg_drop_replication_slot('published') from pg_replication_slots where slot_name = 'published'",
            "drop publication if exists published",
            "drop table if exists published",
            "drop database if exists subscriber with (force)",
        ],
    );
    proxy.query(ADMIN, "create table published (x int primary key)");
    proxy.query(ADMIN, "create publication published for table published");
    proxy.query(
        ADMIN,
        "select pg_create_logical_replication_slot('published', 'pgoutput')",
    );
    proxy.query(ADMIN, "create database subscriber");
    subscriber("create table published (x int primary key)");
    subscriber(&format!(
        "create subscription published connection 'host=127.0.0.1 port={} user={ADMIN} dbname=app' \
         publication published with (create_slot = false, slot_name = 'published', copy_data = false)",
        publisher.port()
    ));
    let arrives = |count: &str| {
        let began = Instant::now();
        while subscriber("select count(*) from published") != count {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "no {count} rows arrive"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    proxy.query(ADMIN, "insert into published values (1)");
    arrives("1");
    let minted = "dbproxy_tokens_total{event=\"minted\"}";
    let before = publisher.metric(minted);
    std::thread::sleep(Duration::from_secs(5));
    let kill =
        "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = 'published'";
    assert_eq!(proxy.query(ADMIN, kill), "t");
    proxy.query(ADMIN, "insert into published values (2)");
    arrives("2");
    assert!(
        publisher.metric(minted) > before,
        "a token of its own for the second connection"
    );
    subscriber("alter subscription published disable");
    subscriber("alter subscription published set (slot_name = none)");
    subscriber("drop subscription published");
}
