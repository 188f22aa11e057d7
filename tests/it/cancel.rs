//! Cancel reaches exactly the backend the client owns, and nobody else's.

use crate::support::raw::{backend_key, cancel_request, message};
use crate::support::{Proxy, Raw, Sandbox};
use std::process::{Command, Stdio};

fn proxy(sandbox: &Sandbox) -> Proxy {
    Proxy::start(
        sandbox,
        &sandbox.target("orders", "db_users = [\"app_ro\", \"app_rw\", \"sandbox_admin\"]"),
    )
}

fn cancel(proxy: &Proxy, key: &[u8]) {
    let mut raw = Raw::connect(proxy.port());
    raw.send(&cancel_request(key));
    assert!(raw.rest().is_empty(), "a cancel is never answered");
}

#[test]
fn a_running_query_is_cancelled_and_the_session_lives_on() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, greeting) = Raw::log_in(proxy.port(), "app_ro");
    for _ in 0..3 {
        raw.query("select pg_sleep(60)");
        wait_until_running(&proxy, &greeting);
        cancel(&proxy, &backend_key(&greeting));
        let answer = raw.read_until(b'Z');
        let error = answer.iter().find(|m| m.tag == b'E').expect("an error");
        assert_eq!(error.field(b'C'), "57014");
    }
    raw.query("select 1");
    assert!(raw.read_until(b'Z').iter().any(|m| m.tag == b'D'));
    assert_eq!(
        proxy.metric("dbproxy_cancel_requests_total{outcome=\"forwarded\"}"),
        3.0
    );
}

fn wait_until_running(proxy: &Proxy, greeting: &[crate::support::raw::Message]) {
    let pid = i32::from_be_bytes(backend_key(greeting)[..4].try_into().unwrap());
    let sql = format!(
        "select state = 'active' and query not like 'select state%' from pg_stat_activity where pid = {pid}"
    );
    while proxy.query("sandbox_admin", &sql) != "t" {}
}

#[test]
fn copy_and_pipelines_are_cancelled_too() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, greeting) = Raw::log_in(proxy.port(), "app_rw");
    raw.query("create temp table t (x int); copy t from stdin");
    raw.read_until(b'G');
    cancel(&proxy, &backend_key(&greeting));
    raw.send(&message(b'd', b"1\n"));
    let answer = raw.read_until(b'Z');
    assert!(
        answer.iter().any(|m| m.tag == b'E' && m.field(b'C') == "57014"),
        "{answer:?}"
    );
    // A pipeline of two: the first is cancelled, the second runs.
    let pipeline = [
        message(b'P', b"\0select pg_sleep(60)\0\0\0"),
        message(b'B', b"\0\0\0\0\0\0\0\0"),
        message(b'E', b"\0\0\0\0\0"),
        message(b'S', b""),
        message(b'Q', b"select 7\0"),
    ];
    raw.send(&pipeline.concat());
    wait_until_running(&proxy, &greeting);
    cancel(&proxy, &backend_key(&greeting));
    let answer = raw.read_until(b'Z');
    assert!(
        answer.iter().any(|m| m.tag == b'E' && m.field(b'C') == "57014"),
        "{answer:?}"
    );
    assert!(raw.read_until(b'Z').iter().any(|m| m.tag == b'D'));
}

#[test]
fn a_wrong_key_does_nothing_and_says_nothing() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, greeting) = Raw::log_in(proxy.port(), "app_ro");
    let right = backend_key(&greeting);
    raw.query("select 'done' from pg_sleep(2)");
    for at in 0..right.len() {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        cancel(&proxy, &wrong);
    }
    let answer = raw.read_until(b'Z');
    assert!(
        answer.iter().any(|m| m.tag == b'D'),
        "the query ran to its end: {answer:?}"
    );
    assert_eq!(
        proxy.metric("dbproxy_cancel_requests_total{outcome=\"unknown_key\"}"),
        8.0
    );
    // The key of a session that has ended is a wrong key.
    drop(raw);
    proxy.wait_for_metric("dbproxy_sessions_open", 0.0);
    cancel(&proxy, &right);
    assert_eq!(
        proxy.metric("dbproxy_cancel_requests_total{outcome=\"unknown_key\"}"),
        9.0
    );
    assert_eq!(
        proxy.metric("dbproxy_cancel_requests_total{outcome=\"forwarded\"}"),
        0.0
    );
}

#[test]
fn a_storm_of_cancels_loses_none() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let mut sessions: Vec<_> = (0..80).map(|_| Raw::log_in(proxy.port(), "app_ro")).collect();
    for (raw, _) in &mut sessions {
        raw.query("select pg_sleep(600)");
    }
    let running =
        "select count(*) from pg_stat_activity where query = 'select pg_sleep(600)' and state = 'active'";
    while proxy.query("sandbox_admin", running) != "80" {}
    let cancels: Vec<_> = sessions
        .iter()
        .map(|(_, greeting)| {
            let (port, key) = (proxy.port(), backend_key(greeting));
            std::thread::spawn(move || Raw::connect(port).send(&cancel_request(&key)))
        })
        .collect();
    for cancel in cancels {
        cancel.join().unwrap();
    }
    for (raw, _) in &mut sessions {
        let answer = raw.read_until(b'Z');
        assert!(answer.iter().any(|m| m.tag == b'E' && m.field(b'C') == "57014"));
    }
}

#[test]
fn psql_cancels_with_control_c() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let connection = format!(
        "host=127.0.0.1 port={} user=app_ro dbname=app application_name=ctrl-c",
        proxy.port()
    );
    let mut child = Command::new("psql")
        .args([
            "-X",
            "-v",
            "VERBOSITY=verbose",
            "-c",
            "select pg_sleep(60)",
            &connection,
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let running =
        "select count(*) from pg_stat_activity where application_name = 'ctrl-c' and state = 'active'";
    while proxy.query("sandbox_admin", running) != "1" {}
    assert!(
        Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert!(!child.wait().unwrap().success());
    let mut error = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut error).unwrap();
    assert!(error.contains("57014"), "{error}");
}
