//! A listener that other machines can reach: proofs cross the network inside TLS only.

use super::client::{challenged, connect_from, knock};
use super::{configuration, permit, scram};
use crate::support::raw::SSL_REQUEST;
use crate::support::tls::{client_tls, start};
use crate::support::{Proxy, Raw, Sandbox, psql};
use std::net::{IpAddr, UdpSocket};

/// An address of this machine that is not loopback; none where it has no network. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn proofs_cross_the_network_inside_tls_only() {
    let Some(address) = own_address() else {
        eprintln!("not tested: this machine has no network");
        return;
    };
    let (sandbox, _turn) = Sandbox::shared();
    let tables = scram::table(sandbox, &[("dashboard", scram::SECRET)]) + &client_tls(sandbox, "");
    let cedar = permit("== PasswordUser::\"dashboard\"", "app_ro").replace(
        ");",
        &format!(") when {{ context.tls && context has source && context.source == ip(\"{address}\") }};"),
    );
    let config = configuration(sandbox, &["scram"], &cedar, ("", &tables));
    let config = config.replace(
        "listen = [\"127.0.0.1:0\"]",
        &format!("listen = [\"{address}:0\"]"),
    );
    let proxy = Proxy::start(sandbox, &config);
    let connect = || connect_from(&address.to_string(), (address, proxy.port()));

    let refused = knock(&mut connect(), "dashboard");
    assert_eq!(refused.field(b'C'), "28000", "{refused:?}");
    assert!(refused.field(b'M').contains("inside TLS only"), "{refused:?}");
    assert!(refused.field(b'H').contains("sslmode=verify-full"), "{refused:?}");

    let mut raw = connect();
    raw.send(&SSL_REQUEST);
    assert_eq!(raw.byte(), b'S');
    let raw: Raw<_> = start(sandbox, raw, None).unwrap();
    let (outcome, _) = challenged(raw, "dashboard", scram::SECRET).finish();
    assert_eq!(outcome.last().unwrap().tag, b'Z', "{outcome:?}");

    // libpq that only prefers TLS comes again in clear when a password was wrong: both are told.
    let connection = format!("host={address} port={} user=dashboard dbname=app", proxy.port());
    let output = psql(&connection, &[("PGPASSWORD", "a guess")], "select 1");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains(super::NOT_PROVEN), "{told}");
    proxy.wait_until_logged("a proof would cross the network in clear");
    proxy.wait_for_metric("dbproxy_connections_closed_total{reason=\"not_identified\"}", 3.0);
    let output = psql(
        &connection,
        &[("PGPASSWORD", scram::SECRET)],
        "select current_user",
    );
    assert_eq!(output.stdout, b"app_ro\n");
}
