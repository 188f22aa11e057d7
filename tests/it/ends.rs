//! How sessions end: whoever leaves, nothing runs on for nobody, and the other side learns why.

use crate::support::raw::{Message, backend_key, message};
use crate::support::{Proxy, Raw, Sandbox};
use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

fn proxy(sandbox: &Sandbox) -> Proxy {
    let users = "db_users = [\"app_ro\", \"app_rw\", \"sandbox_admin\"]";
    Proxy::start(sandbox, &sandbox.target("orders", users))
}

fn pid_of(greeting: &[Message]) -> i32 {
    i32::from_be_bytes(backend_key(greeting)[..4].try_into().unwrap())
}

fn wait_until(proxy: &Proxy, pid: i32, what: &str) {
    let sql = format!("select count(*) from pg_stat_activity where pid = {pid} and {what}");
    while proxy.query("sandbox_admin", &sql) != "1" {}
}

/// Far sooner than the ten minutes that the query would take.
fn wait_until_gone(proxy: &Proxy, pid: i32) {
    let sql = format!("select count(*) from pg_stat_activity where pid = {pid}");
    for _ in 0..1_000 {
        if proxy.query("sandbox_admin", &sql) == "0" {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the server still works for a client that is gone");
}

fn closed(proxy: &Proxy, reason: &str, count: f64) {
    proxy.wait_for_metric(
        &format!("dbproxy_connections_closed_total{{reason=\"{reason}\"}}"),
        count,
    );
}

/// Closes with a reset instead of an ordinary end.
fn reset(raw: Raw) {
    let socket = socket2::Socket::from(raw.stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn the_query_of_a_client_that_is_gone_is_cancelled() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let leave: [fn(Raw); 3] = [drop, reset, |mut raw| raw.send(&message(b'X', b""))];
    for (number, leave) in leave.into_iter().enumerate() {
        let (mut raw, greeting) = Raw::log_in(proxy.port(), "app_ro");
        raw.query("select pg_sleep(600)");
        let pid = pid_of(&greeting);
        wait_until(&proxy, pid, "state = 'active' and query like '%600%'");
        leave(raw);
        wait_until_gone(&proxy, pid);
        closed(&proxy, "client_lost", number as f64 + 1.0);
        let abandoned = "dbproxy_cancel_requests_total{outcome=\"abandoned\"}";
        proxy.wait_for_metric(abandoned, number as f64 + 1.0);
    }
    proxy.wait_for_metric("dbproxy_sessions_open", 0.0);
    proxy.wait_for_metric("dbproxy_connections_open", 0.0);
}

/// Megabytes wait that the server does not take while it works, so dbproxy reads nothing either. A client
/// that merely closes leaves its end behind those bytes; one that is killed with unread input, or
/// resets, is noticed.
#[test]
fn a_client_that_is_gone_behind_a_full_pipeline_is_noticed() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, greeting) = Raw::log_in(proxy.port(), "app_ro");
    raw.query("select pg_sleep(600)");
    let padding = message(
        b'Q',
        format!("select 1 /* {} */\0", "x".repeat(100_000)).as_bytes(),
    );
    raw.stream
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    while raw.stream.write_all(&padding).is_ok() {}
    let pid = pid_of(&greeting);
    reset(raw);
    wait_until_gone(&proxy, pid);
    closed(&proxy, "client_lost", 1.0);
}

/// All that a client has sent ahead is abandoned with it, not only what runs when it leaves.
#[test]
fn none_of_the_queries_that_were_sent_ahead_runs_on() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let table = "drop table if exists sent_ahead; create table sent_ahead (x int)";
    proxy.query("app_rw", table);
    let leave: [fn(Raw); 3] = [drop, reset, |mut raw| raw.send(&message(b'X', b""))];
    for (number, leave) in leave.into_iter().enumerate() {
        let (mut raw, greeting) = Raw::log_in(proxy.port(), "app_rw");
        for next in [
            "select pg_sleep(601)",
            "insert into sent_ahead values (1)",
            "select pg_sleep(602)",
        ] {
            raw.query(next);
        }
        let pid = pid_of(&greeting);
        wait_until(&proxy, pid, "state = 'active' and query like '%601%'");
        leave(raw);
        wait_until_gone(&proxy, pid);
        let abandoned = "dbproxy_cancel_requests_total{outcome=\"abandoned\"}";
        proxy.wait_for_metric(abandoned, number as f64 + 1.0);
    }
    assert_eq!(proxy.query("app_rw", "select count(*) from sent_ahead"), "0");
    proxy.query("app_rw", "drop table sent_ahead");
}

/// A server that has closed has nothing to be cancelled, whatever its messages leave open.
#[test]
fn an_ordinary_goodbye_without_a_sync_needs_no_cancel() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    for _ in 0..5 {
        let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
        raw.send(&[message(b'P', b"\0select 1\0\0\0"), message(b'H', b"")].concat());
        raw.read_until(b'1');
        raw.send(&message(b'X', b""));
        assert!(raw.is_closed());
    }
    closed(&proxy, "client_closed", 5.0);
    let abandoned = "dbproxy_cancel_requests_total{outcome=\"abandoned\"}";
    assert_eq!(proxy.metric(abandoned), 0.0);
}

/// Such as `nc -N` does: everything is sent at once, then the sending side is shut.
#[test]
fn a_client_that_sends_all_at_once_and_shuts_its_side_is_served() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    // On a machine that is busy enough the login takes longer than such a client is waited for.
    let served = (0..5).any(|_| {
        let mut raw = Raw::connect(proxy.port());
        let startup = crate::support::raw::startup(3 << 16, &[("user", "app_ro"), ("database", "app")]);
        raw.send(&[startup, message(b'Q', b"select 'served'\0")].concat());
        raw.stream.shutdown(Shutdown::Write).unwrap();
        std::iter::from_fn(|| raw.message()).any(|m| m.tag == b'D' && m.body.ends_with(b"served"))
    });
    assert!(served);
    closed(&proxy, "client_closed", 1.0);
}

#[test]
fn a_copy_whose_client_is_gone_leaves_nothing_behind() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    proxy.query(
        "app_rw",
        "drop table if exists gone_copy; create table gone_copy (x int)",
    );
    let (mut raw, greeting) = Raw::log_in(proxy.port(), "app_rw");
    raw.query("copy gone_copy from stdin");
    raw.read_until(b'G');
    raw.send(&message(b'd', b"1\n"));
    drop(raw);
    wait_until_gone(&proxy, pid_of(&greeting));
    assert_eq!(proxy.query("app_rw", "select count(*) from gone_copy"), "0");
    proxy.query("app_rw", "drop table gone_copy");
}

#[test]
fn an_open_transaction_ends_with_its_client_and_needs_no_cancel() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, greeting) = Raw::log_in(proxy.port(), "app_ro");
    raw.query("begin");
    raw.read_until(b'Z');
    drop(raw);
    wait_until_gone(&proxy, pid_of(&greeting));
    proxy.wait_for_metric("dbproxy_connections_open", 0.0);
    assert_eq!(
        proxy.metric("dbproxy_cancel_requests_total{outcome=\"abandoned\"}"),
        0.0
    );
}

/// TCP shows a client that only reads like one that is gone; it still gets what the server has for it.
#[test]
fn a_client_that_has_shut_its_sending_side_reads_its_result() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    raw.query("select repeat('x', 1000) from generate_series(1, 20000)");
    raw.stream.shutdown(Shutdown::Write).unwrap();
    // Longer than nothing may move: what waits for the client shows that it is there.
    std::thread::sleep(Duration::from_millis(1_500));
    let rows = raw.read_until(b'Z').iter().filter(|m| m.tag == b'D').count();
    assert_eq!(rows, 20_000);
    assert!(raw.is_closed());
    closed(&proxy, "client_closed", 1.0);
}

/// Whoever waits no longer for its login costs neither a turn nor the server a connection.
#[test]
fn a_client_that_leaves_while_it_waits_for_its_login_is_not_logged_in() {
    let (sandbox, _turn) = Sandbox::shared();
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]");
    let proxy = Proxy::start(sandbox, &format!("logins_per_second = 1\n{target}"));
    let startup = crate::support::raw::startup(3 << 16, &[("user", "app_ro"), ("database", "app")]);
    let waiting: Vec<Raw> = (0..20)
        .map(|_| {
            let mut raw = Raw::connect(proxy.port());
            raw.send(&startup);
            raw
        })
        .collect();
    proxy.wait_for_metric("dbproxy_connections_open", 20.0);
    drop(waiting);
    proxy.wait_for_metric("dbproxy_connections_open", 0.0);
    proxy.wait_for_metric("dbproxy_sessions_open", 0.0);
    let lost = proxy.metric("dbproxy_connections_closed_total{reason=\"client_lost\"}");
    assert!(lost > 10.0, "{lost} of 20 left while they waited");
}

/// To the kernel a client that takes nothing looks like one whose machine is gone.
#[test]
fn a_client_that_takes_nothing_for_tcp_user_timeout_is_given_up() {
    let (sandbox, _turn) = Sandbox::shared();
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]");
    let proxy = Proxy::start(sandbox, &format!("tcp_user_timeout = \"500ms\"\n{target}"));
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    raw.query("select repeat('x', 1000) from generate_series(1, 200000)");
    closed(&proxy, "client_lost", 1.0);
    proxy.wait_for_metric("dbproxy_sessions_open", 0.0);
}
