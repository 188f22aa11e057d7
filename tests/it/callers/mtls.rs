//! Client certificates, presented by psql to the real binary.

use super::client::{SASL, code, knock};
use super::{NOT_PROVEN, configuration, directory, permit, scram};
use crate::support::raw::SSL_REQUEST;
use crate::support::tls::{client_tls, start};
use crate::support::{Proxy, Raw, Sandbox, psql};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    date_time_ymd,
};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime};

const CDC: &str = "spiffe://example.org/cdc";

struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(folder: PathBuf) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.join("ca.pem"), certificate.pem()).unwrap();
        Self {
            folder,
            issuer: Issuer::new(params, key),
        }
    }

    /// Writes certificate and key; returns what libpq is told of them.
    fn client(&self, name: &str, uris: &[&str], lives: Duration) -> String {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let mut params = CertificateParams::default();
        let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
        params.subject_alt_names = uris.collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(1970, 1, 1) + since + lives;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |end: &str| self.folder.join(format!("{name}.{end}"));
        std::fs::write(path("crt"), certificate.pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        std::fs::set_permissions(path("key"), std::fs::Permissions::from_mode(0o600)).unwrap();
        format!(
            "sslcert={} sslkey={}",
            path("crt").display(),
            path("key").display()
        )
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

fn proxy(sandbox: &Sandbox, folder: &Path, authenticators: &[&str], head: &str) -> Proxy {
    let ca = format!(
        "client_ca_file = \"{}\"\nclient_name = \"uri\"",
        folder.join("ca.pem").display()
    );
    let tables = client_tls(sandbox, &ca) + &scram::table(sandbox, &[("dashboard", scram::SECRET)]);
    let cedar = permit(&format!("== Certificate::\"uri:{CDC}\""), "app_ro");
    Proxy::start(
        sandbox,
        &configuration(sandbox, authenticators, &cedar, (head, &tables)),
    )
}

fn with(proxy: &Proxy, certificate: &str, sql: &str) -> Output {
    let connection = format!(
        "host=localhost hostaddr=127.0.0.1 port={} sslmode=require user=app_ro dbname=app {certificate}",
        proxy.port()
    );
    psql(&connection, &[], sql)
}

fn error(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_certificate_proves_the_one_it_names() {
    let (sandbox, _turn) = Sandbox::shared();
    let authority = Authority::new(directory(sandbox));
    let proxy = proxy(sandbox, &authority.folder, &["mtls"], "");
    let good = authority.client("good", &[CDC], HOUR);
    let output = with(&proxy, &good, "select current_user");
    assert_eq!(output.stdout, b"app_ro\n", "{output:?}\n{}", proxy.log());
    proxy.wait_until_logged(&format!("caller=cert:uri:{CDC}"));

    let other = authority.client("other", &["spiffe://example.org/other"], HOUR);
    let told = error(&with(&proxy, &other, "select 1"));
    assert!(told.contains("may not connect as db user"), "{told}");
    for (name, uris) in [("two", &[CDC, "spiffe://example.org/cdc2"][..]), ("none", &[])] {
        let certificate = authority.client(name, uris, HOUR);
        let told = error(&with(&proxy, &certificate, "select 1"));
        assert!(told.contains(NOT_PROVEN), "{name}: {told}");
    }
    let told = error(&with(&proxy, "sslcert=/nonexistent", "select 1"));
    assert!(told.contains(NOT_PROVEN), "{told}");

    let stranger = Authority::new(directory(sandbox)).client("stranger", &[CDC], HOUR);
    let told = error(&with(&proxy, &stranger, "select 1"));
    assert!(!told.contains("FATAL"), "it does not get through TLS: {told}");
    proxy.wait_for_metric("dbproxy_connections_closed_total{reason=\"client_tls\"}", 1.0);
}

/// Who has none is asked by the authenticator behind it.
#[test]
fn who_has_no_certificate_may_be_asked_for_something_else() {
    let (sandbox, _turn) = Sandbox::shared();
    let authority = Authority::new(directory(sandbox));
    let proxy = proxy(sandbox, &authority.folder, &["mtls", "scram"], "");
    let good = authority.client("good", &[CDC], HOUR);
    assert_eq!(with(&proxy, &good, "select current_user").stdout, b"app_ro\n");
    let mut raw = Raw::connect(proxy.port());
    raw.send(&SSL_REQUEST);
    assert_eq!(raw.byte(), b'S');
    let mut raw = start(sandbox, raw, None).unwrap();
    assert_eq!(code(&knock(&mut raw, "dashboard")), SASL);
}

#[test]
fn a_session_ends_with_the_certificate_that_opened_it() {
    let (sandbox, _turn) = Sandbox::shared();
    let authority = Authority::new(directory(sandbox));
    let proxy = proxy(sandbox, &authority.folder, &["mtls"], "session_grace = \"1s\"\n");
    let brief = authority.client("brief", &[CDC], Duration::from_secs(5));
    let told = error(&with(&proxy, &brief, "select pg_sleep(60)"));
    assert!(
        told.contains("57P01") && told.contains("proof of who you are has expired"),
        "{told}"
    );
    proxy.wait_for_metric("dbproxy_connections_closed_total{reason=\"proof_expired\"}", 1.0);
}
