//! PROXY protocol v2: required where it is configured, from configured addresses only, never looked for
//! elsewhere.

use crate::support::raw::{SSL_REQUEST, startup};
use crate::support::tls::{client_tls, start};
use crate::support::{Proxy, Raw, Sandbox};
use std::net::SocketAddr;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const STARTUP: &[(&str, &str)] = &[("user", "app_ro"), ("database", "app")];

fn proxy(sandbox: &Sandbox, from: &str) -> Proxy {
    let users = format!("db_users = [\"app_ro\"]\nproxy_protocol_from = [\"{from}\"]");
    let target = sandbox.target("orders", &users);
    Proxy::start(sandbox, &format!("{target}{}", client_tls(sandbox, "")))
}

/// A header with this command and family, addresses and further fields.
pub fn header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[0x20 | command, family], &length, body].concat()
}

pub fn header_for(client: &str) -> Vec<u8> {
    let SocketAddr::V4(client) = client.parse().unwrap() else {
        panic!("an IPv4 address")
    };
    let port = client.port().to_be_bytes();
    header(
        1,
        0x11,
        &[&client.ip().octets()[..], &[127, 0, 0, 1], &port, &[21, 56]].concat(),
    )
}

fn log_in_after(proxy: &Proxy, header: &[u8]) -> crate::support::raw::Message {
    let mut raw = Raw::connect(proxy.port());
    raw.send(header);
    raw.send(&startup(3 << 16, STARTUP));
    raw.message().expect("an answer")
}

#[test]
fn the_client_is_whom_the_header_names() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "127.0.0.0/8");
    assert_eq!(log_in_after(&proxy, &header_for("127.0.0.5:4711")).tag, b'R');
    proxy.wait_until_logged("127.0.0.5:4711 via 127.0.0.1");
    // Somebody far away is not local because the balancer is.
    let far = log_in_after(&proxy, &header_for("10.1.2.3:4711"));
    assert_eq!(far.field(b'C'), "28000", "{far:?}");
    let unknown = log_in_after(&proxy, &header(1, 0, &[]));
    assert_eq!(unknown.field(b'C'), "28000", "{unknown:?}");
    // The balancer itself, which checks.
    assert_eq!(log_in_after(&proxy, &header(0, 0, &[])).tag, b'R');
    assert_eq!(log_in_after(&proxy, &header(0, 0x11, &[])).tag, b'R');
}

#[test]
fn a_network_may_be_written_as_ipv6_shows_it() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "::ffff:127.0.0.0/104");
    assert_eq!(log_in_after(&proxy, &header_for("127.0.0.5:4711")).tag, b'R');
}

#[test]
fn a_header_may_come_byte_by_byte_and_tls_follows_it() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "127.0.0.1");
    let mut raw = Raw::connect(proxy.port());
    for byte in [&header_for("127.0.0.5:1")[..], &SSL_REQUEST].concat() {
        raw.send(&[byte]);
    }
    assert_eq!(raw.byte(), b'S');
    let mut raw = start(sandbox, raw, None).unwrap();
    raw.send(&startup(3 << 16, STARTUP));
    raw.read_until(b'Z');
    proxy.wait_until_logged("server_name=\"localhost\"");
}

#[test]
fn without_its_header_a_connection_is_closed() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "127.0.0.1");
    let truncated = header(1, 0x11, &[1, 2, 3]);
    let text = b"PROXY TCP4 127.0.0.5 127.0.0.1 1 5432\r\n".to_vec();
    let tries = [
        // Shorter than a header: nobody waits for more.
        SSL_REQUEST.to_vec(),
        startup(3 << 16, STARTUP),
        truncated,
        text,
        header(3, 0x11, &[0; 12]),
    ];
    for bytes in &tries {
        let mut raw = Raw::connect(proxy.port());
        raw.send(bytes);
        assert!(raw.rest().is_empty(), "{bytes:?}");
    }
    let reason = "dbproxy_connections_closed_total{reason=\"proxy_header\"}";
    proxy.wait_for_metric(reason, tries.len() as f64);
    proxy.wait_until_logged("no valid PROXY protocol v2 header");
    // A check that only connects is no reason to log.
    drop(Raw::connect(proxy.port()));
    proxy.wait_for_metric("dbproxy_connections_closed_total{reason=\"probe\"}", 1.0);
}

#[test]
fn nobody_else_may_send_a_header() {
    let (sandbox, _turn) = Sandbox::shared();
    let other = proxy(sandbox, "10.0.0.0/8");
    let mut raw = Raw::connect(other.port());
    let _ = std::io::Write::write_all(&mut raw.stream, &header_for("127.0.0.5:1"));
    assert!(raw.is_closed());
    other.wait_for_metric("dbproxy_connections_closed_total{reason=\"proxy_header\"}", 1.0);
    // Where none is expected, it is garbage.
    let plain = Proxy::start(sandbox, &sandbox.target("orders", "db_users = [\"app_ro\"]"));
    let mut raw = Raw::connect(plain.port());
    raw.send(&header_for("127.0.0.5:1"));
    assert!(raw.is_closed());
    plain.wait_for_metric(
        "dbproxy_connections_closed_total{reason=\"protocol_violation\"}",
        1.0,
    );
}

/// Behind a balancer all connections come from one address; the client's own is what counts.
#[test]
fn connections_are_counted_by_the_clients_address() {
    let (sandbox, _turn) = Sandbox::shared();
    let users = "db_users = [\"app_ro\"]\nproxy_protocol_from = [\"127.0.0.1\"]";
    let target = sandbox.target("orders", users);
    let proxy = Proxy::start(sandbox, &format!("max_clients_per_source = 1\n{target}"));
    let mut first = Raw::connect(proxy.port());
    first.send(&header_for("127.0.0.5:1"));
    first.send(&startup(3 << 16, STARTUP));
    first.read_until(b'Z');
    let same = log_in_after(&proxy, &header_for("127.0.0.5:2"));
    assert_eq!(same.field(b'C'), "53300", "{same:?}");
    assert_eq!(log_in_after(&proxy, &header_for("127.0.0.6:1")).tag, b'R');
}
