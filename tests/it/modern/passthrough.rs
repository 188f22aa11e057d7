//! The client's own SCRAM exchange with the server, through dbproxy: the server negotiates the protocol before
//! it, and channel binding ends at dbproxy.

use super::{STARTUP, V3_0, V3_2, is_cancelled};
use crate::support::modern::Modern;
use crate::support::raw::{backend_key, cancel_request, startup};
use crate::support::tls::client_tls;
use crate::support::{Proxy, Raw, Sandbox, psql};
use bytes::BytesMut;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::message::frontend;

const PASSTHROUGH: &str = "{ kind = \"passthrough\" }";

/// Sends what `write` makes.
fn put(raw: &mut Raw, write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) {
    let mut out = BytesMut::new();
    write(&mut out).unwrap();
    raw.send(&out);
}

#[test]
fn the_protocol_is_negotiated_before_the_clients_own_exchange() {
    let (sandbox, _turn) = Sandbox::shared();
    let modern = Modern::start(sandbox);
    let proxy = Proxy::start(sandbox, &modern.target_with(PASSTHROUGH));
    let mut raw = Raw::connect(proxy.port());
    let grease = [("_pq_.test_protocol_negotiation", "")];
    raw.send(&startup(V3_0 | 9999, &[STARTUP, &grease].concat()));

    let negotiated = raw.message().unwrap();
    assert_eq!(negotiated.tag, b'v', "{negotiated:?}");
    assert_eq!(negotiated.body[..4], V3_2.to_be_bytes());
    let offer = raw.message().unwrap();
    // AuthenticationSASL with one mechanism: the other is for those whose TLS reaches the server.
    assert_eq!(
        (offer.tag, &offer.body[..]),
        (b'R', &b"\0\0\0\x0aSCRAM-SHA-256\0\0"[..])
    );

    let mut scram = ScramSha256::new(modern.password.as_bytes(), ChannelBinding::unsupported());
    put(&mut raw, |out| {
        frontend::sasl_initial_response("SCRAM-SHA-256", scram.message(), out)
    });
    scram.update(&raw.message().unwrap().body[4..]).unwrap();
    put(&mut raw, |out| frontend::sasl_response(scram.message(), out));
    // The proof that the server knows the password too arrives unharmed.
    scram.finish(&raw.message().unwrap().body[4..]).unwrap();

    let greeting = raw.read_until(b'Z');
    assert!(greeting.iter().all(|m| m.tag != b'v'), "told once");
    let key = backend_key(&greeting);
    assert_eq!(key.len(), 36);
    raw.begin_long_query();
    let mut canceller = Raw::connect(proxy.port());
    canceller.send(&cancel_request(&key));
    assert!(canceller.rest().is_empty());
    is_cancelled(&mut raw);
}

/// What libpq does of itself inside TLS is what a server takes for somebody who hides its offer.
#[test]
fn channel_binding_inside_the_clients_tls_is_refused_with_its_remedy() {
    let (sandbox, _turn) = Sandbox::shared();
    let modern = Modern::start(sandbox);
    let config = modern.target_with(PASSTHROUGH) + &client_tls(sandbox, "");
    let proxy = Proxy::start(sandbox, &config);
    let at = format!(
        "host=127.0.0.1 port={} user=app dbname=app sslmode=require",
        proxy.port()
    );
    let password = [("PGPASSWORD", modern.password.as_str())];
    let output = psql(&at, &password, "select 1");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(error.contains("channel_binding=disable"), "{error}");
    let output = psql(&format!("{at} channel_binding=disable"), &password, "select 1");
    assert_eq!(output.stdout, b"1\n", "{output:?}");
    assert!(!proxy.log().contains(&modern.password));
}
