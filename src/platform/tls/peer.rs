//! Between replicas: TLS 1.3 with raw public keys (RFC 7250) on both sides. The key pair is derived from
//! a secret that all replicas share, so each side accepts exactly one key: its own. No certificates
//! to issue or to renew.

use super::provider;
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::signature::Ed25519KeyPair;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::aws_lc_rs::sign::any_eddsa_type;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Shortest secret that is taken: as strong as the key that is derived from it.
pub const SECRET_BYTES_MIN: usize = 32;

const ALPN: &[u8] = b"dbproxy-peer/1";
const SALT: &[u8] = b"dbproxy peers v1";

/// The two sides of a connection between replicas.
#[derive(Debug, Clone)]
pub struct PeerTls {
    pub client: Arc<ClientConfig>,
    pub server: Arc<ServerConfig>,
}

impl PeerTls {
    pub fn from_secret(secret: &[u8]) -> Result<Self, Error> {
        let key = signing_key(secret)?;
        let only = Arc::new(OnlyKey {
            spki: key.end_entity_cert()?.clone().into_owned(),
            algorithms: provider().signature_verification_algorithms,
        });
        let mut client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(only.clone())
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key.clone())));
        client.alpn_protocols = vec![ALPN.to_vec()];
        client.resumption = Resumption::disabled();
        // The key decides who a peer is, not a name.
        client.enable_sni = false;
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(only)
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key)));
        server.alpn_protocols = vec![ALPN.to_vec()];
        server.send_tls13_tickets = 0;
        Ok(Self {
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }
}

/// A key for one purpose, from the shared secret (HKDF, RFC 5869).
pub fn derive(secret: &[u8], purpose: &[u8]) -> Result<Zeroizing<[u8; 32]>, Error> {
    let extracted: Prk = Salt::new(HKDF_SHA256, SALT).extract(secret);
    let mut key = Zeroizing::new([0; 32]);
    extracted
        .expand(&[purpose], HKDF_SHA256)
        .and_then(|expanded| expanded.fill(key.as_mut()))
        .map_err(|_| Error::General("the peers' key cannot be derived".to_owned()))?;
    Ok(key)
}

fn signing_key(secret: &[u8]) -> Result<Arc<CertifiedKey>, Error> {
    let unusable = |_| Error::General("the peers' key is not usable".to_owned());
    let seed = derive(secret, b"identity")?;
    let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).map_err(|_| unusable(()))?;
    let document = pair.to_pkcs8v1().map_err(|_| unusable(()))?;
    let key = any_eddsa_type(&PrivatePkcs8KeyDer::from(document.as_ref()))?;
    let spki = key.public_key().ok_or_else(|| unusable(()))?;
    let entity = CertificateDer::from(spki.as_ref().to_vec());
    Ok(Arc::new(CertifiedKey::new(vec![entity], key)))
}

/// Accepts one public key, whatever name or time.
#[derive(Debug)]
struct OnlyKey {
    spki: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl OnlyKey {
    fn check(&self, presented: &CertificateDer<'_>) -> Result<(), Error> {
        match presented.as_ref() == self.spki.as_ref() {
            true => Ok(()),
            false => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn signature(
        &self,
        message: &[u8],
        presented: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(presented.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms)
    }
}

fn tls12() -> Error {
    Error::General("peers speak TLS 1.3 only".to_owned())
}

impl ServerCertVerifier for OnlyKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for OnlyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    /// What the server reads, or why one of the two refused.
    async fn meet(client: &[u8], server: &[u8]) -> Result<Vec<u8>, String> {
        let (near, far) = duplex(4096);
        let connector = TlsConnector::from(PeerTls::from_secret(client).unwrap().client);
        let acceptor = TlsAcceptor::from(PeerTls::from_secret(server).unwrap().server);
        let name = ServerName::try_from("peer").unwrap();
        let client = async {
            let mut stream = connector.connect(name, near).await?;
            stream.write_all(b"hello").await?;
            stream.shutdown().await
        };
        let server = async {
            let mut stream = acceptor.accept(far).await?;
            let mut read = Vec::new();
            stream.read_to_end(&mut read).await?;
            Ok::<_, std::io::Error>(read)
        };
        let (sent, read) = tokio::join!(client, server);
        sent.map_err(|error| error.to_string())?;
        read.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn replicas_with_one_secret_know_each_other() {
        let secret = [7; SECRET_BYTES_MIN];
        assert_eq!(meet(&secret, &secret).await.unwrap(), b"hello");
    }

    #[tokio::test]
    async fn another_secret_is_refused() {
        let error = meet(&[7; 32], &[8; 32]).await.unwrap_err();
        assert!(error.contains("UnknownIssuer"), "{error}");
    }

    #[tokio::test]
    async fn a_client_without_a_key_is_refused() {
        let server = PeerTls::from_secret(&[7; 32]).unwrap();
        let anonymous = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(OnlyKey {
                spki: signing_key(&[7; 32]).unwrap().cert[0].clone(),
                algorithms: provider().signature_verification_algorithms,
            }))
            .with_no_client_auth();
        let (near, far) = duplex(4096);
        let name = ServerName::try_from("peer").unwrap();
        let (_client, accepted) = tokio::join!(
            TlsConnector::from(Arc::new(anonymous)).connect(name, near),
            TlsAcceptor::from(server.server).accept(far),
        );
        assert!(accepted.is_err());
    }

    #[test]
    fn keys_differ_by_purpose_and_by_secret() {
        let key = |secret: &[u8], purpose: &[u8]| *derive(secret, purpose).unwrap();
        assert_eq!(key(b"a", b"x"), key(b"a", b"x"));
        assert_ne!(key(b"a", b"x"), key(b"a", b"y"));
        assert_ne!(key(b"a", b"x"), key(b"b", b"x"));
    }
}
