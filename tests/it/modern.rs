//! A server that speaks protocol 3.2: long cancel keys on both legs, negotiation, parameters that PostgreSQL
//! reports since 18.

mod hops;
mod passthrough;

use crate::drivers::python;
use crate::support::modern::Modern;
use crate::support::raw::{Message, SSL_REQUEST, backend_key, cancel_request, startup};
use crate::support::tls::{client_tls, start};
use crate::support::{Proxy, Raw, Sandbox, psql};
use std::io::{Read, Write};
use std::process::Command;

const STARTUP: &[(&str, &str)] = &[("user", "app"), ("database", "app")];

fn log_in(proxy: &Proxy, version: u32, more: &[(&str, &str)]) -> (Raw, Vec<Message>) {
    let mut raw = Raw::connect(proxy.port());
    raw.send(&startup(version, &[STARTUP, more].concat()));
    let greeting = raw.read_until(b'Z');
    (raw, greeting)
}

const V3_0: u32 = 3 << 16;
const V3_2: u32 = V3_0 | 2;

fn is_cancelled(raw: &mut Raw) {
    let answer = raw.read_until(b'Z');
    let cancelled = answer.iter().any(|m| m.tag == b'E' && m.field(b'C') == "57014");
    assert!(cancelled, "{answer:?}");
}

#[test]
fn long_cancel_keys_work_on_both_legs() {
    let (sandbox, _turn) = Sandbox::shared();
    let modern = Modern::start(sandbox);
    let proxy = Proxy::start(sandbox, &(modern.target() + &client_tls(sandbox, "")));
    let (mut raw, greeting) = log_in(&proxy, V3_2, &[]);
    assert!(
        greeting.iter().all(|m| m.tag != b'v'),
        "3.2 is not negotiated down"
    );
    let key = backend_key(&greeting);
    assert_eq!(key.len(), 4 + 32);

    // In clear.
    raw.begin_long_query();
    let mut canceller = Raw::connect(proxy.port());
    canceller.send(&cancel_request(&key));
    assert!(canceller.rest().is_empty());
    is_cancelled(&mut raw);
    // Inside TLS.
    raw.begin_long_query();
    let mut canceller = Raw::connect(proxy.port());
    canceller.send(&SSL_REQUEST);
    assert_eq!(canceller.byte(), b'S');
    let mut canceller = start(sandbox, canceller, None).unwrap();
    canceller.send(&cancel_request(&key));
    assert!(canceller.rest().is_empty());
    is_cancelled(&mut raw);
    // A part of the key is none, nor is one with another byte.
    raw.query("select 'done' from pg_sleep(1)");
    let mut wrong = key.clone();
    *wrong.last_mut().unwrap() ^= 1;
    for wrong in [&key[..8], &wrong] {
        let mut canceller = Raw::connect(proxy.port());
        canceller.send(&cancel_request(wrong));
        assert!(canceller.rest().is_empty());
    }
    // The server does not know the key: its own has not left dbproxy.
    let mut server = std::net::TcpStream::connect(("127.0.0.1", modern.port)).unwrap();
    server.write_all(&cancel_request(&key)).unwrap();
    server.read_to_end(&mut Vec::new()).unwrap();
    assert!(
        raw.read_until(b'Z').iter().any(|m| m.tag == b'D'),
        "not cancelled"
    );
}

#[test]
fn the_version_is_the_servers_and_the_clients_affair() {
    let (sandbox, _turn) = Sandbox::shared();
    let modern = Modern::start(sandbox);
    let proxy = Proxy::start(sandbox, &modern.target());
    let (_raw, greeting) = log_in(&proxy, V3_0, &[]);
    assert_eq!(backend_key(&greeting).len(), 8);
    assert!(greeting.iter().all(|m| m.tag != b'v'));
    let reported = greeting
        .iter()
        .any(|m| m.tag == b'S' && m.body.starts_with(b"search_path\0"));
    assert!(reported, "search_path is reported since 18");
    // As libpq greases: a minor that nobody has, and an option that nobody knows.
    let (_raw, greeting) = log_in(&proxy, V3_0 | 9999, &[("_pq_.test_protocol_negotiation", "")]);
    let negotiated = &greeting[0];
    assert_eq!(negotiated.tag, b'v', "{greeting:?}");
    assert_eq!(negotiated.body[..4], V3_2.to_be_bytes());
    assert!(negotiated.body.ends_with(b"_pq_.test_protocol_negotiation\0"));
    assert_eq!(backend_key(&greeting).len(), 36);
}

/// The server offers channel binding, which cannot pass: the client's TLS ends at dbproxy.
#[test]
fn passthrough_hides_the_channel_binding_that_cannot_pass() {
    let (sandbox, _turn) = Sandbox::shared();
    let modern = Modern::start(sandbox);
    let proxy = Proxy::start(sandbox, &modern.target_with("{ kind = \"passthrough\" }"));
    let at = format!("host=127.0.0.1 port={} user=app dbname=app", proxy.port());
    let output = psql(
        &at,
        &[("PGPASSWORD", &modern.password)],
        "show server_version_num",
    );
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(version.starts_with("18"), "{version} {output:?}");
}

/// libpq 18 as people have it, with all that is new in it.
#[test]
fn libpq_18_negotiates_cancels_and_begins_with_tls() {
    let (sandbox, _turn) = Sandbox::shared();
    let modern = Modern::start(sandbox);
    let proxy = Proxy::start(sandbox, &(modern.target() + &client_tls(sandbox, "")));
    let script = r#"
import sys, threading, time, psycopg
port, ca = sys.argv[1:]
base = f"host=localhost hostaddr=127.0.0.1 port={port} user=app dbname=app "
assert psycopg.pq.version() >= 180000, psycopg.pq.version()
tls = f"sslmode=verify-full sslrootcert={ca} "
for options in ["sslmode=disable ", tls, tls + "sslnegotiation=direct "]:
    for versions, expected in [("", 30000), ("max_protocol_version=3.2 ", 30002), ("min_protocol_version=3.2 max_protocol_version=latest ", 30002)]:
        with psycopg.connect(base + options + versions, autocommit=True) as connection:
            assert connection.pgconn.full_protocol_version == expected, connection.pgconn.full_protocol_version
            assert connection.execute("select pg_backend_pid()").fetchone()[0] == connection.pgconn.backend_pid
            threading.Timer(0.3, connection.cancel_safe).start()
            try:
                connection.execute("select pg_sleep(60)")
                raise SystemExit("not cancelled")
            except psycopg.errors.QueryCanceled:
                pass
print("all steps passed")
"#;
    let output = Command::new(python())
        .args([
            "-c",
            script,
            &proxy.port().to_string(),
            &sandbox.text("/ca/proxy_ca"),
        ])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("all steps passed"), "{output:?}");
    assert_eq!(
        proxy.metric("dbproxy_cancel_requests_total{outcome=\"forwarded\"}"),
        9.0
    );
}
