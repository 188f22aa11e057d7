//! Certificates whose names are those of others in another form, or that nobody who counts has signed.

use super::{ANY_USER, NOBODY_ELSE, assert_untouched, opening};
use crate::callers::client::{outcome, whoami};
use crate::callers::{configuration, directory, permit, refusal};
use crate::support::raw::{Message, SSL_REQUEST};
use crate::support::tls::client_tls;
use crate::support::{Proxy, Raw, Sandbox};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::TcpStream;
use std::sync::Arc;

/// Whom policy permits, as an e-mail address.
const OPS: &str = "ops@example.org";

struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let (mut params, key) = (params(name, &[]), KeyPair::generate().unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self {
            certificate: params.self_signed(&key).unwrap(),
            issuer: Issuer::new(params, key),
        }
    }

    fn sign(&self, common_name: &str, names: &[SanType]) -> (CertificateDer<'static>, KeyPair) {
        let (mut params, key) = (params(common_name, names), KeyPair::generate().unwrap());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), key)
    }
}

fn params(common_name: &str, names: &[SanType]) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.subject_alt_names = names.to_vec();
    params
}

fn email(text: &str) -> SanType {
    SanType::Rfc822Name(text.try_into().unwrap())
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

fn start(sandbox: &Sandbox, authority: &Authority) -> Proxy {
    let file = directory(sandbox).join("authority.pem");
    std::fs::write(&file, authority.certificate.pem()).unwrap();
    let cedar = permit(&format!("== Certificate::\"email:{OPS}\""), "app_ro");
    let tables = client_tls(sandbox, &format!("client_ca_file = \"{}\"", file.display()));
    let config = configuration(sandbox, &["mtls"], &cedar, ("", &tables));
    Proxy::start(sandbox, &config.replace(crate::callers::USERS, ANY_USER))
}

type Tls = Raw<StreamOwned<ClientConnection, TcpStream>>;

/// A connection as app_ro that shows this certificate; nothing: none.
fn show(
    sandbox: &Sandbox,
    proxy: &Proxy,
    shown: Option<&(CertificateDer<'static>, KeyPair)>,
) -> (Vec<Message>, Tls) {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(sandbox.text("/ca/proxy_ca")).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match shown {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            config
                .with_client_auth_cert(vec![certificate.clone()], key)
                .unwrap()
        }
    };
    let mut raw = Raw::connect(proxy.port());
    raw.send(&SSL_REQUEST);
    assert_eq!(raw.byte(), b'S');
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut raw = Raw {
        stream: StreamOwned::new(session, raw.stream),
    };
    // A certificate that is not accepted ends the connection, at a moment of the server's choice.
    let opening = opening(&[("user", b"app_ro"), ("database", b"app")]);
    let _ = std::io::Write::write_all(&mut raw.stream, &opening);
    (outcome(&mut raw), raw)
}

#[test]
fn a_name_of_one_kind_is_none_of_another() {
    let (sandbox, _turn) = Sandbox::shared();
    let authority = Authority::new("authority");
    let proxy = start(sandbox, &authority);
    for (common_name, names, caller) in [
        (OPS, &[][..], format!("cert:cn:{OPS}")),
        (
            "email:ops@example.org",
            &[],
            "cert:cn:email:ops@example.org".to_owned(),
        ),
        (
            "ops",
            &[uri("email:ops@example.org")],
            "cert:uri:email:ops@example.org".to_owned(),
        ),
        (
            "ops",
            &[uri("mailto:ops@example.org")],
            "cert:uri:mailto:ops@example.org".to_owned(),
        ),
        (
            "ops",
            &[dns("ops.example.org")],
            "cert:dns:ops.example.org".to_owned(),
        ),
        (
            "ops",
            &[email("Ops@example.org")],
            "cert:email:Ops@example.org".to_owned(),
        ),
        (
            "ops",
            &[email("ops@example.org.test")],
            "cert:email:ops@example.org.test".to_owned(),
        ),
        // An address like any other to policies: only `like` knows wildcards, and it those of the policy.
        (
            "ops",
            &[email("*@example.org")],
            "cert:email:*@example.org".to_owned(),
        ),
        // The first kind that there is counts, not the one that somebody would be let in by.
        (
            "ops",
            &[email(OPS), uri("spiffe://example.org/x")],
            "cert:uri:spiffe://example.org/x".to_owned(),
        ),
    ] {
        let shown = authority.sign(common_name, names);
        let message =
            format!("{caller} may not connect as db user \"app_ro\" on target \"orders\", database \"app\"");
        let (answer, _) = show(sandbox, &proxy, Some(&shown));
        assert_eq!(refusal(&answer), ["42501", &message, NOBODY_ELSE]);
    }
    assert_untouched(&proxy);
    let (answer, mut raw) = show(sandbox, &proxy, Some(&authority.sign("x", &[email(OPS)])));
    assert_eq!(answer.last().unwrap().tag, b'Z', "{answer:?}");
    assert_eq!(whoami(&mut raw), "app_ro");
}

/// What is no name, or more than one, proves nobody.
#[test]
fn names_that_two_readers_would_read_differently_prove_nobody() {
    let (sandbox, _turn) = Sandbox::shared();
    let authority = Authority::new("authority");
    let proxy = start(sandbox, &authority);
    for names in [
        &[email(OPS), email("other@example.org")][..],
        &[email("ops@example.org\0.test")],
        &[email("ops@example.org ")],
        &[email("ops@example.org,ops@example.org")],
    ] {
        let shown = authority.sign("ops", names);
        let (answer, _) = show(sandbox, &proxy, Some(&shown));
        assert_eq!(refusal(&answer)[..2], ["28P01", "who you are was not proven"]);
    }
    let (answer, _) = show(sandbox, &proxy, None);
    assert_eq!(refusal(&answer)[..2], ["28P01", "who you are was not proven"]);
    assert_untouched(&proxy);
}

/// An authority of the same name with another key, and one that signs itself.
#[test]
fn who_has_signed_a_certificate_counts_and_not_what_it_says() {
    let (sandbox, _turn) = Sandbox::shared();
    let (authority, impostor) = (Authority::new("authority"), Authority::new("authority"));
    let proxy = start(sandbox, &authority);
    let key = KeyPair::generate().unwrap();
    let own = params("ops", &[email(OPS)]).self_signed(&key).unwrap();
    for shown in [impostor.sign("ops", &[email(OPS)]), (own.der().clone(), key)] {
        let (answer, _) = show(sandbox, &proxy, Some(&shown));
        assert!(answer.is_empty(), "{answer:?}");
    }
    proxy.wait_for_metric("dbproxy_connections_closed_total{reason=\"client_tls\"}", 2.0);
    assert_untouched(&proxy);
}
