//! Certificates that the handshake refuses, and one that ends while its session is open.

use super::house::{House, dns, named};
use super::{WHO, anybody, assert_names_nobody};
use crate::callers::{assert_is, configuration, permit, scram};
use crate::support::authority::{Authority, List};
use crate::support::{Proxy, Sandbox};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, date_time_ymd};
use serde_json::Value;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, SystemTime};

/// The client was let in nowhere and told by TLS; the log says why.
#[track_caller]
pub fn assert_fails_in_tls(proxy: &Proxy, output: &Output, number: f64, because: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{told}");
    assert!(told.contains("alert") || told.contains("SSL"), "{told}");
    proxy.wait_for_metric("dbproxy_connections_closed_total{reason=\"client_tls\"}", number);
    let log = proxy.log();
    let line = log
        .lines()
        .rfind(|line| line.contains("TLS handshake with a client failed"));
    let line = line.unwrap_or_else(|| panic!("no failed handshake in {log}"));
    assert!(line.contains(because), "no `{because}` in {line}");
}

fn jane(serial: u64, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = named(serial, &[dns("jane.example.org")]);
    change(&mut params);
    params
}

#[test]
fn certificates_that_prove_nothing() {
    let (sandbox, _turn) = Sandbox::shared();
    let house = House::new(sandbox);
    house.revoke(&List::of(&[7]));
    let audit = house.directory.join("audit.jsonl");
    let lines = format!("{}\n[audit]\nfile = \"{}\"", house.crl_line(), audit.display());
    let proxy = house.proxy(sandbox, &anybody(), &lines);
    let expired = jane(1, |params| params.not_after = date_time_ymd(2021, 1, 1));
    let early = jane(2, |params| params.not_before = date_time_ymd(2098, 1, 1));
    let of_servers = jane(3, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    // The same name of an authority, but not its key.
    let impostor = Authority::new("client authority");
    let held = [
        (house.give("expired", &expired), "xpired"),
        (house.give("early", &early), "not valid"),
        (house.give("server", &of_servers), "usage"),
        (
            house.given_by(&impostor, "impostor", &jane(4, |_| {})),
            "BadSignature",
        ),
        (
            house.given_by(&Authority::new("other"), "other", &jane(5, |_| {})),
            "UnknownIssuer",
        ),
        (house.give("revoked", &jane(7, |_| {})), "Revoked"),
    ];
    for ((held, because), number) in held.iter().zip(1_u32..) {
        let output = house.psql(&proxy, Some(held), WHO);
        assert_fails_in_tls(&proxy, &output, f64::from(number), because);
    }
    // A handshake that fails without a certificate of the client's is counted and no more.
    let distrusts = crate::support::psql(
        &format!(
            "host=localhost port={} user=jane dbname=app sslmode=verify-full sslrootcert={}",
            proxy.port(),
            held[0].0.certificate.display()
        ),
        &[],
        WHO,
    );
    assert_fails_in_tls(&proxy, &distrusts, 7.0, "alert");
    are_on_record(&audit, &held.map(|(_, because)| because));
    assert_eq!(
        proxy.metric("dbproxy_dial_seconds_count"),
        0.0,
        "nothing was dialled"
    );
    // Without a key nobody has a certificate: here one of jane's with that of another.
    let mut swapped = house.give("jane", &jane(8, |_| {}));
    assert_is(&proxy, &house.psql(&proxy, Some(&swapped), WHO), "app_ro");
    swapped.key = house.give("joe", &jane(9, |_| {})).key;
    assert!(!house.psql(&proxy, Some(&swapped), WHO).status.success());
}

/// Nobody has sent a startup message, but each has offered a proof: one line each, and what the certificate says.
#[track_caller]
fn are_on_record(audit: &Path, because: &[&str]) {
    let text = std::fs::read_to_string(audit).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), because.len(), "{text}");
    for ((line, because), serial) in lines
        .iter()
        .zip(because)
        .zip(["01", "02", "03", "04", "05", "07"])
    {
        assert!(line["because"].as_str().unwrap().contains(because), "{line}");
        for (name, value) in [
            ("event", "session.refused"),
            ("reason", "client_tls"),
            ("decision", "deny"),
            ("certificate_serial", serial),
            ("certificate_subject", "CN=jane"),
        ] {
            assert_eq!(line[name], value, "{name} of {line}");
        }
        assert!(
            line["source"].as_str().unwrap().starts_with("127.0.0.1:"),
            "{line}"
        );
        assert!(line["db_user"].is_null() && line["sqlstate"].is_null(), "{line}");
    }
}

/// A bad certificate is a bad proof; whoever tries many has to wait like everybody who guesses.
#[test]
fn bad_certificates_count_as_guesses_of_their_address() {
    let (sandbox, _turn) = Sandbox::shared();
    let house = House::new(sandbox);
    let tables = scram::table(sandbox, &[("jane", scram::SECRET)]) + &house.tls(sandbox, "");
    let cedar = permit("is PasswordUser", "app_rw");
    let head = "login_failures_per_minute = 2";
    let proxy = Proxy::start(
        sandbox,
        &configuration(sandbox, &["mtls", "scram"], &cedar, (head, &tables)),
    );
    let expired = house.give(
        "expired",
        &jane(1, |params| params.not_after = date_time_ymd(2021, 1, 1)),
    );
    let with_password = || house.psql_with(&proxy, None, &[("PGPASSWORD", scram::SECRET)], WHO);
    assert_fails_in_tls(&proxy, &house.psql(&proxy, Some(&expired), WHO), 1.0, "xpired");
    assert_is(&proxy, &with_password(), "app_rw");
    assert_fails_in_tls(&proxy, &house.psql(&proxy, Some(&expired), WHO), 2.0, "xpired");
    assert_names_nobody(&proxy, &with_password(), "too many failures from this address");
}

/// An expired list says nothing any more about anybody of its issuer; others' certificates are as good as ever.
#[test]
fn an_expired_list_refuses_everybody_of_its_issuer() {
    let (sandbox, _turn) = Sandbox::shared();
    let house = House::new(sandbox);
    let other = Authority::new("other authority");
    house.trust(&[&house.ca, &other]);
    house.revoke(&List {
        until: 2021,
        ..List::of(&[7])
    });
    let proxy = house.proxy(sandbox, &anybody(), &house.crl_line());
    let jane_held = house.give("jane", &jane(1, |_| {}));
    let output = house.psql(&proxy, Some(&jane_held), WHO);
    assert_fails_in_tls(&proxy, &output, 1.0, "certificate revocation list expired");
    let joe = house.given_by(&other, "joe", &jane(1, |_| {}));
    assert_is(&proxy, &house.psql(&proxy, Some(&joe), WHO), "app_ro");
}

#[test]
fn a_session_ends_with_the_certificate_that_opened_it() {
    let (sandbox, _turn) = Sandbox::shared();
    let house = House::new(sandbox);
    let proxy = house.proxy(sandbox, &anybody(), "");
    // Time enough to log in on a busy machine.
    let end = SystemTime::now() + Duration::from_secs(8);
    let held = house.give("brief", &jane(1, |params| params.not_after = end.into()));
    let output = house.psql(&proxy, Some(&held), "select 'in'; select pg_sleep(60)");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("FATAL:  57P01"), "{told}\n{}", proxy.log());
    let output = house.psql(&proxy, Some(&held), WHO);
    assert_fails_in_tls(&proxy, &output, 1.0, "xpired");
}
