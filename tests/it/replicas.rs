//! Several replicas behind one address: a cancel that reaches the wrong one is handed to the one that
//! relays the session, and only replicas with the same secret take part.

use crate::support::modern::Modern;
use crate::support::raw::{backend_key, cancel_request, startup};
use crate::support::{Proxy, Raw, Sandbox};
use dbproxy::platform::tls::peer::PeerTls;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub fn secret_file(sandbox: &Sandbox, name: &str, secret: &str) -> PathBuf {
    let path = sandbox.dir.join(format!("{name}-{}.secret", std::process::id()));
    std::fs::write(&path, secret).unwrap();
    path
}

fn replica(sandbox: &Sandbox, listen: SocketAddr, members: &[SocketAddr], secret: &Path) -> Proxy {
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]");
    replica_of(&target, sandbox, listen, members, secret)
}

fn replica_of(
    target: &str,
    sandbox: &Sandbox,
    listen: SocketAddr,
    members: &[SocketAddr],
    secret: &Path,
) -> Proxy {
    let members: Vec<String> = members.iter().map(|m| format!("\"{m}\"")).collect();
    let peers = format!(
        "[peers]\nlisten = \"{listen}\"\nmembers = [{}]\nsecret_file = \"{}\"\n",
        members.join(", "),
        secret.display()
    );
    Proxy::start(sandbox, &format!("{target}{peers}"))
}

fn cancels(proxy: &Proxy, outcome: &str, count: f64) {
    let name = format!("dbproxy_cancel_requests_total{{outcome=\"{outcome}\"}}");
    proxy.wait_for_metric(&name, count);
}

#[test]
fn a_cancel_reaches_the_replica_that_relays_the_session() {
    let (sandbox, _turn) = Sandbox::shared();
    let secret = secret_file(sandbox, "replicas", &"5".repeat(64));
    let members: Vec<SocketAddr> = (0..3).map(|_| free_address()).collect();
    let replicas: Vec<Proxy> = members
        .iter()
        .map(|own| replica(sandbox, *own, &members, &secret))
        .collect();
    // The key has the eight bytes of protocol 3.0.
    let (mut raw, greeting) = Raw::log_in(replicas[0].port(), "app_ro");
    let key = backend_key(&greeting);
    assert_eq!(key.len(), 8);
    for (number, other) in replicas.iter().enumerate().skip(1) {
        raw.begin_long_query();
        let mut canceller = Raw::connect(other.port());
        canceller.send(&cancel_request(&key));
        assert!(canceller.rest().is_empty(), "a cancel is never answered");
        let answer = raw.read_until(b'Z');
        assert!(
            answer.iter().any(|m| m.tag == b'E' && m.field(b'C') == "57014"),
            "{answer:?}"
        );
        cancels(other, "handed_on", 1.0);
        cancels(&replicas[0], "forwarded", number as f64);
    }
    // Guesses are as silent as anywhere, and mostly not even handed on.
    for guess in 0..64u8 {
        let mut canceller = Raw::connect(replicas[1].port());
        canceller.send(&cancel_request(&[&key[..4], &[guess; 4]].concat()));
        assert!(canceller.rest().is_empty());
    }
    cancels(&replicas[1], "unknown_key", 64.0);
}

/// Protocol 3.2, as it comes from a server that speaks it.
#[test]
fn a_long_key_is_handed_on_too() {
    let (sandbox, _turn) = Sandbox::shared();
    let modern = Modern::start(sandbox);
    let secret = secret_file(sandbox, "long", &"4".repeat(64));
    let members = [free_address(), free_address()];
    let [owner, other] = members.map(|own| replica_of(&modern.target(), sandbox, own, &members, &secret));
    let mut raw = Raw::connect(owner.port());
    raw.send(&startup(3 << 16 | 2, &[("user", "app"), ("database", "app")]));
    let key = backend_key(&raw.read_until(b'Z'));
    assert_eq!(key.len(), 36);
    raw.begin_long_query();
    let mut canceller = Raw::connect(other.port());
    canceller.send(&cancel_request(&key));
    assert!(canceller.rest().is_empty());
    let answer = raw.read_until(b'Z');
    assert!(
        answer.iter().any(|m| m.tag == b'E' && m.field(b'C') == "57014"),
        "{answer:?}"
    );
    cancels(&other, "handed_on", 1.0);
}

#[test]
fn another_secret_opens_nothing() {
    let (sandbox, _turn) = Sandbox::shared();
    let secret = "6".repeat(64);
    let ours = secret_file(sandbox, "ours", &secret);
    let own = free_address();
    let proxy = replica(sandbox, own, &[own], &ours);
    let (mut raw, greeting) = Raw::log_in(proxy.port(), "app_ro");
    let request = cancel_request(&backend_key(&greeting));
    raw.begin_long_query();
    let refused = ask(own, "7".repeat(64).as_bytes(), &request);
    assert!(refused.is_err(), "{refused:?}");
    // Nor does plain PostgreSQL.
    let mut stranger = Raw::connect(own.port());
    stranger.send(&request);
    assert!(!stranger.rest().starts_with(b"D"));
    let forwarded = "dbproxy_cancel_requests_total{outcome=\"forwarded\"}";
    assert_eq!(proxy.metric(forwarded), 0.0);
    // With the secret the very same request is carried out.
    assert_eq!(ask(own, secret.as_bytes(), &request).unwrap(), b"D");
    assert_eq!(proxy.metric(forwarded), 1.0);
    raw.read_until(b'Z');
}

/// What the replica at `address` answers to somebody who knows `secret`.
fn ask(address: SocketAddr, secret: &[u8], request: &[u8]) -> std::io::Result<Vec<u8>> {
    let config = PeerTls::from_secret(secret).unwrap().client;
    let name = ServerName::IpAddress(address.ip().into());
    let connection = ClientConnection::new(config, name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Silent strangers on the replicas' port get no further than its handshake, and do not hold up an end.
#[test]
fn strangers_on_the_replicas_port_do_not_hold_up_the_end() {
    let (sandbox, _turn) = Sandbox::shared();
    let secret = secret_file(sandbox, "strangers", &"9".repeat(64));
    let own = free_address();
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]");
    let general = format!("drain_timeout = \"10m\"\n{target}");
    let mut proxy = replica_of(&general, sandbox, own, &[own], &secret);
    let (mut idle, _) = Raw::log_in(proxy.port(), "app_ro");
    // One comes after another, so there is never none.
    let strangers = std::thread::spawn(move || {
        let mut held = Vec::new();
        while let Ok(stream) = TcpStream::connect(own) {
            held.push(stream);
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        held.len()
    });
    std::thread::sleep(std::time::Duration::from_millis(500));
    proxy.signal("TERM");
    assert_eq!(idle.message().unwrap().field(b'C'), "57P01");
    assert_eq!(proxy.wait_for_exit().code(), Some(143));
    assert!(strangers.join().unwrap() > 1);
}

#[test]
fn a_replica_that_others_cannot_find_says_so() {
    let (sandbox, _turn) = Sandbox::shared();
    let secret = secret_file(sandbox, "lost", &"3".repeat(64));
    let (own, other) = (free_address(), free_address());
    let proxy = replica(sandbox, own, &[other], &secret);
    let (_raw, greeting) = Raw::log_in(proxy.port(), "app_ro");
    let mut canceller = Raw::connect(proxy.port());
    canceller.send(&cancel_request(&[&backend_key(&greeting)[..4], &[1; 4]].concat()));
    assert!(canceller.rest().is_empty());
    proxy.wait_until_logged("set `peers.advertise`");
}

#[test]
fn mistakes_of_the_configuration_are_named() {
    let (sandbox, _turn) = Sandbox::shared();
    let short = secret_file(sandbox, "short", "short");
    let peers = format!(
        "[peers]\nlisten = \"nowhere\"\nmembers = []\nsecret_file = \"{}\"\n",
        short.display()
    );
    let config = sandbox.target("orders", "db_users = [\"app_ro\"]") + &peers;
    let path = crate::support::proxy::config_file(sandbox, &config);
    let output = crate::support::proxy::dbproxy(&[])
        .arg("--config")
        .arg(&path)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    for what in [
        "peers.listen",
        "peers.members",
        "peers.secret_file",
        "openssl rand",
    ] {
        assert!(error.contains(what), "{what} is not in\n{error}");
    }
}

/// A private dbproxy beside the one that serves must not want the same port.
#[test]
fn connect_is_no_replica() {
    let (sandbox, _turn) = Sandbox::shared();
    let secret = secret_file(sandbox, "private", &"8".repeat(64));
    let own = free_address();
    let _serving = replica(sandbox, own, &[own], &secret);
    let peers = format!(
        "[peers]\nlisten = \"{own}\"\nmembers = [\"{own}\"]\nsecret_file = \"{}\"\n",
        secret.display()
    );
    let config = sandbox.target("orders", "db_users = [\"app_ro\"]\ndefault_database = \"app\"") + &peers;
    let path = crate::support::proxy::config_file(sandbox, &config);
    let output = crate::support::proxy::dbproxy(&sandbox.aws_env("dbproxy"))
        .args(["connect", "orders", "--config"])
        .arg(&path)
        .args(["--", "psql", "-XAtc", "select current_user"])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"app_ro\n", "{output:?}");
}
