//! Handshakes with clients that present certificates, good and bad.

mod authority;

use super::*;
use crate::error::Chain;
use crate::platform::tls::stream::ClientStream;
use authority::{Authority, Identity, List, client, params, point};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, date_time_ymd};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The files of a server, in a folder of their own.
struct House {
    folder: PathBuf,
    server_ca: Authority,
    ca: Authority,
    crls: usize,
}

impl House {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("dbproxy-mtls-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let house = Self {
            folder,
            server_ca: Authority::new("server authority"),
            ca: Authority::new("client authority"),
            crls: 0,
        };
        house.write("ca.pem", house.ca.certificate.pem());
        house.renew();
        house
    }

    /// A new certificate and key for the server.
    fn renew(&self) {
        let mut params = params("dbproxy");
        params.subject_alt_names = CertificateParams::new(["localhost".to_owned()])
            .unwrap()
            .subject_alt_names;
        let identity = self.server_ca.sign(&params);
        self.write("cert.pem", identity.certificate.pem());
        self.write("key.pem", identity.key.serialize_pem());
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.folder.join(name), content).unwrap();
    }

    fn add_crl(&mut self, content: impl AsRef<[u8]>) {
        self.write(&format!("{}.crl", self.crls), content);
        self.crls += 1;
    }

    fn config(&self) -> Config {
        let path = |name: &str| self.folder.join(name);
        Config {
            cert_file: path("cert.pem"),
            key_file: path("key.pem"),
            client_ca: Some(ClientCa {
                ca_file: path("ca.pem"),
                crl_files: (0..self.crls).map(|crl| path(&format!("{crl}.crl"))).collect(),
            }),
        }
    }

    fn load(&self) -> Result<ServerIdentity, TlsError> {
        ServerIdentity::load(self.config())
    }

    fn client_config(
        &self,
        identity: Option<&Identity>,
        version: &'static SupportedProtocolVersion,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.server_ca.certificate.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        match identity {
            None => builder.with_no_client_auth(),
            // Unlike the usual way, this one takes a key that does not belong to the certificate.
            Some(identity) => {
                let key = provider().key_provider.load_private_key(identity.private_key());
                let certified = CertifiedKey::new(identity.chain.clone(), key.unwrap());
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
        }
    }

    /// What the server makes of a client.
    async fn meet(
        &self,
        server: &ServerIdentity,
        identity: Option<&Identity>,
    ) -> Result<ClientStream, String> {
        let mut config = self.client_config(identity, &TLS13);
        config.resumption = Resumption::disabled();
        meet(server, Arc::new(config)).await
    }

    /// The same with files as they are now.
    async fn judge(&self, identity: &Identity) -> Result<(), String> {
        let server = self.load().unwrap();
        let stream = self.meet(&server, Some(identity)).await?;
        assert_eq!(stream.peer_certificate(), Some(identity.leaf()));
        Ok(())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn meet(server: &ServerIdentity, client: Arc<ClientConfig>) -> Result<ClientStream, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    let current = server.current();
    let name = ServerName::try_from("localhost").unwrap();
    let (_client, accepted) = tokio::join!(
        TlsConnector::from(client).connect(name, near),
        TlsAcceptor::from(Arc::clone(&current.config)).accept(far),
    );
    match accepted {
        Ok(stream) => Ok(ClientStream::tls(stream, Arc::clone(&current.leaf))),
        Err(error) => Err(Chain(&error).to_string()),
    }
}

#[tokio::test]
async fn a_client_may_present_a_certificate_or_none() {
    let house = House::new();
    let server = house.load().unwrap();
    let jane = house.ca.sign(&client(1));
    for version in [&TLS12, &TLS13] {
        for identity in [None, Some(&jane)] {
            let stream = meet(&server, Arc::new(house.client_config(identity, version)))
                .await
                .unwrap();
            assert_eq!(stream.peer_certificate(), identity.map(Identity::leaf));
            let shown = CertificateDer::from_pem_file(house.folder.join("cert.pem")).unwrap();
            assert_eq!(stream.server_leaf(), Some(&*shown));
        }
    }
}

#[tokio::test]
async fn without_authorities_nobody_is_asked() {
    let house = House::new();
    let config = Config {
        client_ca: None,
        ..house.config()
    };
    let server = ServerIdentity::load(config).unwrap();
    let jane = house.ca.sign(&client(1));
    let stream = house.meet(&server, Some(&jane)).await.unwrap();
    assert_eq!(stream.peer_certificate(), None);
    assert!(stream.server_leaf().is_some());
}

#[tokio::test]
async fn what_does_not_verify_is_refused() {
    let house = House::new();
    let changed = |change: fn(&mut CertificateParams)| {
        let mut params = client(1);
        change(&mut params);
        house.ca.sign(&params)
    };
    let mut authority_as_client = client(1);
    authority_as_client.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    for (identity, fault) in [
        (
            changed(|client| client.not_after = date_time_ymd(2021, 1, 1)),
            "expired",
        ),
        (
            changed(|client| client.not_before = date_time_ymd(2098, 1, 1)),
            "not valid yet",
        ),
        (
            changed(|client| client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
            "extended key usage",
        ),
        (house.ca.sign(&authority_as_client), "CaUsedAsEndEntity"),
        (Authority::new("other").sign(&client(1)), "UnknownIssuer"),
        // another key under the same name
        (
            Authority::new("client authority").sign(&client(1)),
            "BadSignature",
        ),
        // somebody else's certificate
        (
            Identity {
                key: Authority::new("other").sign(&client(1)).key,
                ..house.ca.sign(&client(1))
            },
            "BadSignature",
        ),
    ] {
        let error = house.judge(&identity).await.unwrap_err();
        assert!(error.contains(fault), "{fault}: {error}");
    }
}

#[tokio::test]
async fn a_certificate_for_every_purpose_is_for_this_one_too() {
    let house = House::new();
    house.judge(&house.ca.sign(&params("jane"))).await.unwrap();
}

#[tokio::test]
async fn authorities_may_stand_below_others_and_be_revoked() {
    let mut house = House::new();
    let below = house.ca.below("below", 7);
    let mut jane = below.sign(&client(1));
    house.judge(&jane).await.unwrap_err();
    jane.chain.push(below.certificate.der().clone());
    house.judge(&jane).await.unwrap();
    house.add_crl(house.ca.crl(&List::of(&[7])));
    assert!(house.judge(&jane).await.unwrap_err().contains("Revoked"));
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_and_others_of_its_issuer_are_not() {
    let mut house = House::new();
    house.add_crl(house.ca.crl(&List::of(&[1, 3])));
    let error = house.judge(&house.ca.sign(&client(1))).await.unwrap_err();
    assert!(error.contains("Revoked"), "{error}");
    house.judge(&house.ca.sign(&client(2))).await.unwrap();
    let server = house.load().unwrap();
    assert!(house.meet(&server, None).await.is_ok());
}

#[tokio::test]
async fn a_list_of_another_issuer_says_nothing() {
    let mut house = House::new();
    house.add_crl(Authority::new("other").crl(&List::of(&[1])));
    house.judge(&house.ca.sign(&client(1))).await.unwrap();
}

#[tokio::test]
async fn a_list_that_has_expired_or_is_forged_lets_nobody_in() {
    let mut house = House::new();
    house.add_crl(house.ca.crl(&List {
        until: 2021,
        ..List::of(&[])
    }));
    let error = house.judge(&house.ca.sign(&client(1))).await.unwrap_err();
    assert!(error.contains("list expired"), "{error}");
    // Who presents none is not concerned.
    let server = house.load().unwrap();
    assert!(house.meet(&server, None).await.is_ok());

    let mut house = House::new();
    house.add_crl(Authority::new("client authority").crl(&List::of(&[])));
    let error = house.judge(&house.ca.sign(&client(1))).await.unwrap_err();
    assert!(error.contains("BadSignature"), "{error}");
}

#[tokio::test]
async fn the_newest_of_several_lists_decides() {
    for newest_first in [false, true] {
        let mut house = House::new();
        let old = house.ca.crl(&List::of(&[]));
        let new = house.ca.crl(&List {
            since: 2021,
            ..List::of(&[1])
        });
        let (first, second) = if newest_first { (new, old) } else { (old, new) };
        house.add_crl(first);
        house.add_crl(second);
        let error = house.judge(&house.ca.sign(&client(1))).await.unwrap_err();
        assert!(error.contains("Revoked"), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_that_none_of_its_issuers_partial_lists_speaks_of_is_refused() {
    let mut house = House::new();
    let other = Authority::new("other");
    let both = [&house.ca, &other].map(|ca| ca.certificate.pem()).concat();
    house.write("ca.pem", both);
    house.add_crl(house.ca.crl(&List {
        part: Some("http://crl.test/1"),
        ..List::of(&[1])
    }));
    let listed = |serial, uri| {
        let mut params = client(serial);
        params.crl_distribution_points = vec![point(uri)];
        house.ca.sign(&params)
    };
    house.judge(&listed(2, "http://crl.test/1")).await.unwrap();
    let error = house.judge(&listed(1, "http://crl.test/1")).await.unwrap_err();
    assert!(error.contains("Revoked"), "{error}");
    let error = house.judge(&listed(2, "http://crl.test/2")).await.unwrap_err();
    assert!(error.contains("UnknownRevocationStatus"), "{error}");
    house.judge(&other.sign(&client(1))).await.unwrap();
    let server = house.load().unwrap();
    assert!(house.meet(&server, None).await.is_ok());
}

#[tokio::test]
async fn a_certificate_that_names_no_list_is_looked_for_in_all_of_its_issuers() {
    let mut house = House::new();
    for (part, revoked) in [("http://crl.test/1", 1), ("http://crl.test/2", 2)] {
        house.add_crl(house.ca.crl(&List {
            part: Some(part),
            ..List::of(&[revoked])
        }));
        // An older one of the same part says nothing any more, although it has expired.
        house.add_crl(house.ca.crl(&List {
            part: Some(part),
            since: 2019,
            until: 2020,
            ..List::of(&[3])
        }));
    }
    for serial in [1, 2] {
        let error = house.judge(&house.ca.sign(&client(serial))).await.unwrap_err();
        assert!(error.contains("Revoked"), "{error}");
    }
    house.judge(&house.ca.sign(&client(3))).await.unwrap();
}

#[tokio::test]
async fn lists_may_be_in_der_and_several_in_one_file() {
    let mut house = House::new();
    let list = house.ca.crl(&List::of(&[1]));
    let der = rustls::pki_types::CertificateRevocationListDer::from_pem_slice(list.as_bytes()).unwrap();
    house.add_crl(&der);
    assert!(house.judge(&house.ca.sign(&client(1))).await.is_err());

    let mut house = House::new();
    let others = Authority::new("other").crl(&List::of(&[2]));
    house.add_crl(format!("{others}{}", house.ca.crl(&List::of(&[1]))));
    assert!(house.judge(&house.ca.sign(&client(1))).await.is_err());
    house.judge(&house.ca.sign(&client(2))).await.unwrap();
}

#[test]
fn what_is_no_list_is_an_error_that_names_the_file() {
    let house = House::new();
    let whole = house.ca.crl(&List::of(&[1]));
    let der = rustls::pki_types::CertificateRevocationListDer::from_pem_slice(whole.as_bytes()).unwrap();
    let certificate = house.ca.certificate.pem();
    for content in [
        b"".as_slice(),
        b"nothing",
        certificate.as_bytes(),
        house.ca.certificate.der(),
        &der[..der.len() - 1],
        &der[..3],
        &[0x30, 0x80, 0, 0],
        b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n",
        b"-----BEGIN X509 CRL-----\n",
    ] {
        let mut house = House::new();
        house.add_crl(content);
        let error = house.load().unwrap_err();
        assert!(error.to_string().contains("0.crl"), "{error}");
    }
    let mut config = house.config();
    config.client_ca.as_mut().unwrap().crl_files = vec![PathBuf::from("/nowhere")];
    let error = ServerIdentity::load(config).unwrap_err();
    assert!(matches!(error, TlsError::Read { .. }), "{error}");
}

#[tokio::test]
async fn files_are_read_again_together_or_not_at_all() {
    let mut house = House::new();
    house.add_crl(house.ca.crl(&List::of(&[])));
    let server = house.load().unwrap();
    let jane = house.ca.sign(&client(1));
    let before = house.meet(&server, Some(&jane)).await.unwrap();

    let present = server.current();
    house.renew();
    for file in ["cert.pem", "key.pem", "ca.pem", "0.crl"] {
        let whole = std::fs::read(house.folder.join(file)).unwrap();
        house.write(file, "broken");
        server.reload().unwrap_err();
        assert!(Arc::ptr_eq(&present, &server.current()), "{file}");
        std::fs::remove_file(house.folder.join(file)).unwrap();
        server.reload().unwrap_err();
        house.write(file, whole);
    }
    let other_key = Authority::new("other").sign(&params("dbproxy")).key;
    let key = std::fs::read(house.folder.join("key.pem")).unwrap();
    house.write("key.pem", other_key.serialize_pem());
    server.reload().unwrap_err();
    house.write("key.pem", key);
    let still = house.meet(&server, Some(&jane)).await.unwrap();
    assert_eq!(before.server_leaf(), still.server_leaf());

    house.write("0.crl", house.ca.crl(&List::of(&[1])));
    server.reload().unwrap();
    assert!(house.meet(&server, Some(&jane)).await.is_err());
    let after = house.meet(&server, None).await.unwrap();
    assert_ne!(before.server_leaf(), after.server_leaf());
    assert_eq!(still.peer_certificate(), Some(jane.leaf()));
}

#[tokio::test]
async fn sessions_are_not_resumed_past_the_judgement() {
    let house = House::new();
    let server = house.load().unwrap();
    let jane = house.ca.sign(&client(1));
    for version in [&TLS12, &TLS13] {
        let config = Arc::new(house.client_config(Some(&jane), version));
        for _ in 0..2 {
            let stream = meet(&server, Arc::clone(&config)).await.unwrap();
            assert_eq!(stream.handshake_kind(), Some(HandshakeKind::Full));
        }
    }
}

#[tokio::test]
async fn more_authorities_than_a_handshake_can_name_still_work() {
    let house = House::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let many: String = (0..700)
        .map(|number| {
            let mut params = params(&format!("authority {number} {}", "x".repeat(60)));
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params.self_signed(&key).unwrap().pem()
        })
        .collect();
    house.write("ca.pem", many + &house.ca.certificate.pem());
    house.judge(&house.ca.sign(&client(1))).await.unwrap();
}
