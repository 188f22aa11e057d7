//! TLS towards the client: asked for or direct, in either order with GSS, never with bytes smuggled
//! in before it; certificates reloaded.

use crate::support::raw::{GSS_REQUEST, SSL_REQUEST, backend_key, cancel_request, startup};
use crate::support::tls::{client_tls, start};
use crate::support::{Proxy, Raw, Sandbox, psql};
use std::fs;

fn proxy(sandbox: &Sandbox, more: &str) -> Proxy {
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]");
    Proxy::start(sandbox, &format!("{target}{}", client_tls(sandbox, more)))
}

const STARTUP: &[(&str, &str)] = &[("user", "app_ro"), ("database", "app")];

#[test]
fn psql_verifies_the_certificate_and_sees_tls() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "");
    let ca = sandbox.text("/ca/proxy_ca");
    let verified = format!(
        "host=localhost port={} user=app_ro dbname=app sslmode=verify-full sslrootcert={ca}",
        proxy.port()
    );
    let output = psql(&verified, &[], "\\conninfo");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("SSL connection (protocol: TLSv1.3"), "{text}");
    // Without TLS it works too, unless TLS is required.
    proxy.query("app_ro", "select 1");
}

#[test]
fn tls_can_be_required() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "required = true");
    let plain = format!(
        "host=127.0.0.1 port={} user=app_ro dbname=app sslmode=disable",
        proxy.port()
    );
    let error = String::from_utf8_lossy(&psql(&plain, &[], "select 1").stderr).into_owned();
    assert!(
        error.contains("TLS connections only") && error.contains("sslmode=require"),
        "{error}"
    );
    let secure = plain.replace("disable", "require");
    assert_eq!(psql(&secure, &[], "select 1").stdout, b"1\n");
}

/// A unix socket needs no TLS, and libpq does not offer it there.
#[test]
fn required_tls_is_about_tcp() {
    let (sandbox, _turn) = Sandbox::shared();
    let dir = std::env::temp_dir().join(format!("dbproxy-it-tls-{}", std::process::id()));
    let listen = format!("listen = [\"127.0.0.1:0\", \"unix:{}\"]", dir.display());
    let target = sandbox
        .target("orders", "db_users = [\"app_ro\"]")
        .replace("listen = [\"127.0.0.1:0\"]", &listen);
    let proxy = Proxy::start(
        sandbox,
        &format!("{target}{}", client_tls(sandbox, "required = true")),
    );
    let connection = format!("host={} port=5432 user=app_ro dbname=app", dir.display());
    assert_eq!(psql(&connection, &[], "select 1").stdout, b"1\n");
    drop(proxy);
    let _ = fs::remove_dir_all(dir);
}

#[test]
fn encryption_requests_are_answered_in_either_order_each_once() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "");
    for requests in [&[SSL_REQUEST][..], &[GSS_REQUEST, SSL_REQUEST]] {
        let mut raw = Raw::connect(proxy.port());
        for request in requests {
            raw.send(request);
            let expected = if *request == SSL_REQUEST { b'S' } else { b'N' };
            assert_eq!(raw.byte(), expected);
        }
        let mut raw = start(sandbox, raw, None).unwrap();
        raw.send(&startup(3 << 16, STARTUP));
        raw.read_until(b'Z');
    }
    let mut raw = Raw::connect(proxy.port());
    raw.send(&GSS_REQUEST);
    assert_eq!(raw.byte(), b'N');
    raw.send(&GSS_REQUEST);
    assert_eq!(raw.message().unwrap().field(b'C'), "08P01");
    // Inside TLS there is nothing left to ask for.
    let mut raw = Raw::connect(proxy.port());
    raw.send(&SSL_REQUEST);
    raw.byte();
    let mut raw = start(sandbox, raw, None).unwrap();
    raw.send(&SSL_REQUEST);
    assert_eq!(raw.message().unwrap().field(b'C'), "08P01");
}

#[test]
fn without_a_certificate_tls_is_declined() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = Proxy::start(sandbox, &sandbox.target("orders", "db_users = [\"app_ro\"]"));
    let mut raw = Raw::connect(proxy.port());
    raw.send(&SSL_REQUEST);
    assert_eq!(raw.byte(), b'N');
    raw.send(&GSS_REQUEST);
    assert_eq!(raw.byte(), b'N');
    raw.send(&startup(3 << 16, STARTUP));
    raw.read_until(b'Z');
    // A handshake that nobody can answer is closed.
    let direct = start(sandbox, Raw::connect(proxy.port()), Some(b"postgresql"));
    assert!(direct.is_err());
}

#[test]
fn direct_tls_must_say_postgresql() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "");
    let mut raw = start(sandbox, Raw::connect(proxy.port()), Some(b"postgresql")).unwrap();
    raw.send(&startup(3 << 16, STARTUP));
    raw.read_until(b'Z');
    let mut silent = start(sandbox, Raw::connect(proxy.port()), None).unwrap();
    assert!(silent.rest().is_empty(), "closed without a word");
    assert!(start(sandbox, Raw::connect(proxy.port()), Some(b"http/1.1")).is_err());
}

/// The class of CVE-2021-23214: bytes behind the SSLRequest must never count as sent inside TLS.
#[test]
fn bytes_sent_before_tls_are_not_taken_for_bytes_inside_it() {
    let (sandbox, _turn) = Sandbox::shared();
    let with_tls = proxy(sandbox, "");
    let without = Proxy::start(sandbox, &sandbox.target("orders", "db_users = [\"app_ro\"]"));
    for proxy in [&with_tls, &without] {
        for request in [SSL_REQUEST, GSS_REQUEST] {
            let mut raw = Raw::connect(proxy.port());
            raw.send(&[&request[..], &startup(3 << 16, STARTUP)].concat());
            let error = raw.message().expect("an ErrorResponse instead of the answer");
            assert_eq!(error.field(b'C'), "08P01");
            assert!(error.field(b'M').contains("unencrypted data"), "{error:?}");
            assert!(raw.is_closed());
        }
        assert_eq!(
            proxy.metric("dbproxy_policy_decisions_total{decision=\"allow\"}"),
            0.0
        );
    }
    // Those that come after the answer are the beginning of a handshake, and none.
    let mut raw = Raw::connect(with_tls.port());
    raw.send(&SSL_REQUEST);
    assert_eq!(raw.byte(), b'S');
    raw.send(&startup(3 << 16, STARTUP));
    assert!(start(sandbox, raw, None).is_err(), "the handshake fails");
    with_tls.wait_for_metric("dbproxy_connections_closed_total{reason=\"client_tls\"}", 1.0);
}

#[test]
fn a_cancel_inside_tls_works() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "");
    let (mut raw, greeting) = Raw::log_in(proxy.port(), "app_ro");
    raw.begin_long_query();
    let mut canceller = Raw::connect(proxy.port());
    canceller.send(&SSL_REQUEST);
    canceller.byte();
    let mut canceller = start(sandbox, canceller, None).unwrap();
    canceller.send(&cancel_request(&backend_key(&greeting)));
    assert!(canceller.rest().is_empty());
    let answer = raw.read_until(b'Z');
    let error = answer.iter().find(|m| m.tag == b'E').expect("an error");
    assert_eq!(error.field(b'C'), "57014");
}

#[test]
fn a_new_certificate_is_taken_on_sighup_and_a_broken_one_is_not() {
    let (sandbox, _turn) = Sandbox::shared();
    let (cert, key) = (sandbox.dir.join("reload.crt"), sandbox.dir.join("reload.key"));
    let put = |from: [&str; 2]| {
        fs::copy(sandbox.text(from[0]), &cert).unwrap();
        fs::copy(sandbox.text(from[1]), &key).unwrap();
    };
    put(["/ca/expired_cert", "/ca/expired_key"]);
    let tls = format!(
        "[client_tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
        cert.display(),
        key.display()
    );
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]");
    let mut proxy = Proxy::start(sandbox, &format!("{target}{tls}"));
    let connects = |proxy: &Proxy| {
        let mut raw = Raw::connect(proxy.port());
        raw.send(&SSL_REQUEST);
        raw.byte();
        start(sandbox, raw, None).is_ok()
    };
    assert!(
        !connects(&proxy),
        "the first certificate is not one the client trusts"
    );
    put(["/ca/proxy_cert", "/ca/proxy_key"]);
    proxy.signal("HUP");
    proxy.wait_for_log("certificate read again");
    assert!(connects(&proxy));
    fs::write(&cert, "broken").unwrap();
    proxy.signal("HUP");
    proxy.wait_for_log("the present certificate stays");
    assert!(connects(&proxy));
}
