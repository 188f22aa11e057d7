//! Opening bytes within strict bounds, whoever sends them.

use crate::support::raw::{packet, startup};
use crate::support::{Proxy, Raw, Sandbox};
use std::io::Write;
use std::net::Shutdown;

fn proxy(sandbox: &Sandbox) -> Proxy {
    Proxy::start(sandbox, &sandbox.target("orders", "db_users = [\"app_ro\"]"))
}

#[test]
fn strangers_are_closed_quietly_and_counted() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        &[0, 0, 0, 7, 1, 1, 1],
        &[0xff; 64],
    ] {
        let mut raw = Raw::connect(proxy.port());
        raw.send(garbage);
        assert!(raw.rest().is_empty());
    }
    proxy.wait_for_metric(
        "dbproxy_connections_closed_total{reason=\"protocol_violation\"}",
        3.0,
    );
    for _ in 0..3 {
        drop(Raw::connect(proxy.port()));
    }
    proxy.wait_for_metric("dbproxy_connections_closed_total{reason=\"probe\"}", 3.0);
    assert!(
        !proxy.log().contains("WARN"),
        "no noise in the log:\n{}",
        proxy.log()
    );
    proxy.query("app_ro", "select 1");
}

#[test]
fn malformed_startups_are_refused_with_a_reason() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    for (bytes, state, text) in [
        (
            packet(b"\0\x02\0\0user\0app\0\0"),
            "0A000",
            "unsupported frontend protocol 2.0",
        ),
        (packet(b"\0\x03\0\0user\0app"), "08P01", "string without its end"),
        (packet(b"\0\x03\0\0user\0a\0user\0b\0\0"), "08P01", "given twice"),
    ] {
        let mut raw = Raw::connect(proxy.port());
        raw.send(&bytes);
        let error = raw.message().expect("an ErrorResponse");
        assert_eq!(error.field(b'C'), state);
        assert!(error.field(b'M').contains(text), "{error:?}");
        assert!(raw.is_closed());
    }
}

#[test]
fn a_startup_may_come_byte_by_byte() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let mut raw = Raw::connect(proxy.port());
    for byte in startup(3 << 16, &[("user", "app_ro"), ("database", "app")]) {
        raw.stream.write_all(&[byte]).unwrap();
    }
    raw.read_until(b'Z');
}

#[test]
fn the_longest_startup_that_postgresql_takes_is_taken() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let value = "x".repeat(9_900);
    let long = startup(
        3 << 16,
        &[
            ("user", "app_ro"),
            ("database", "app"),
            ("application_name", &value),
        ],
    );
    assert!(long.len() <= 10_000 && long.len() > 9_900);
    let mut raw = Raw::connect(proxy.port());
    raw.send(&long);
    raw.read_until(b'Z');
    let too_long = startup(
        3 << 16,
        &[("user", "app_ro"), ("application_name", &"x".repeat(10_000))],
    );
    let mut raw = Raw::connect(proxy.port());
    raw.send(&too_long);
    assert!(raw.rest().is_empty());
}

/// One deadline from accept, however the bytes trickle in.
#[test]
fn a_startup_that_takes_too_long_is_closed() {
    let (sandbox, _turn) = Sandbox::shared();
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]");
    let proxy = Proxy::start(sandbox, &format!("startup_timeout = \"300ms\"\n{target}"));
    let mut raw = Raw::connect(proxy.port());
    raw.send(&[0, 0]);
    assert!(raw.rest().is_empty());
    proxy.wait_for_metric(
        "dbproxy_connections_closed_total{reason=\"startup_timeout\"}",
        1.0,
    );
}

/// What the server negotiates reaches the client: PostgreSQL 15 knows 3.0 and no options.
#[test]
fn newer_protocols_are_negotiated_by_the_server() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    for minor in [2u32, 9999] {
        let mut raw = Raw::connect(proxy.port());
        let parameters = [("user", "app_ro"), ("database", "app"), ("_pq_.test_option", "x")];
        raw.send(&startup(3 << 16 | minor, &parameters));
        let greeting = raw.read_until(b'Z');
        assert_eq!(greeting[0].tag, b'v', "before AuthenticationOk");
        assert_eq!(greeting[0].body[..4], 0x0003_0000u32.to_be_bytes());
        assert!(greeting[0].body.ends_with(b"_pq_.test_option\0"));
        assert_eq!(greeting.iter().filter(|m| m.tag == b'v').count(), 1);
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_leaks_nothing() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let whole = startup(3 << 16, &[("user", "app_ro"), ("database", "app")]);
    for length in 0..whole.len() {
        let mut raw = Raw::connect(proxy.port());
        raw.send(&whole[..length]);
        raw.stream.shutdown(Shutdown::Both).unwrap();
    }
    let accepted = whole.len() as f64;
    proxy.wait_for_metric("dbproxy_connections_accepted_total", accepted);
    proxy.query("app_ro", "select 1");
    proxy.wait_for_metric("dbproxy_sessions_open", 0.0);
}
