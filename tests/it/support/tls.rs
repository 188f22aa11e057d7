//! A TLS client around the raw one.

use super::{Raw, Sandbox};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::TcpStream;
use std::sync::Arc;

pub type TlsRaw = Raw<StreamOwned<ClientConnection, TcpStream>>;

/// Trusts the authority of dbproxy's certificate.
pub fn client_config(sandbox: &Sandbox, alpn: Option<&[u8]>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(sandbox.text("/ca/proxy_ca")).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols.extend(alpn.map(<[u8]>::to_vec));
    Arc::new(config)
}

/// Begins TLS on a connection where the server has agreed to it (or for direct TLS).
pub fn start(sandbox: &Sandbox, raw: Raw, alpn: Option<&[u8]>) -> Result<TlsRaw, std::io::Error> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(client_config(sandbox, alpn), name).unwrap();
    let mut stream = raw.stream;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(Raw {
        stream: StreamOwned::new(session, stream),
    })
}

/// The lines of a configuration that switch TLS on for clients.
pub fn client_tls(sandbox: &Sandbox, more: &str) -> String {
    format!(
        "[client_tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n{more}\n",
        sandbox.text("/ca/proxy_cert"),
        sandbox.text("/ca/proxy_key")
    )
}
