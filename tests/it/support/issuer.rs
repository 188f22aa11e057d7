//! An issuer of tokens on this machine: its discovery document, its keys, and what it signs.

use super::Sandbox;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

pub const AUDIENCE: &str = "dbproxy-it";

pub struct Issuer {
    pub url: String,
    keys: Arc<Mutex<Published>>,
}

struct Published {
    keys: Vec<Value>,
    requests: usize,
    is_down: bool,
}

/// A key pair with its name.
pub struct Key {
    id: String,
    pair: EcdsaKeyPair,
}

impl Key {
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        }
    }

    fn published(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id,
            "x": base64url(&point[1..33]), "y": base64url(&point[33..65]),
        })
    }

    /// A token as this key's holder makes it.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({"alg": "ES256", "kid": self.id, "typ": "JWT"}), claims)
    }

    /// Signed by this key, whatever the header says.
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", base64url(signature.as_ref()))
    }
}

/// The first two parts of a token.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    let (header, claims) = (header.to_string(), claims.to_string());
    format!(
        "{}.{}",
        base64url(header.as_bytes()),
        base64url(claims.as_bytes())
    )
}

pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Issuer {
    /// Publishes these keys.
    pub fn start(keys: &[&Key]) -> Self {
        Self::serve(keys, None)
    }

    /// The same over https, as `localhost`, with the certificate of dbproxy's client leg.
    pub fn start_with_tls(sandbox: &Sandbox, keys: &[&Key]) -> Self {
        let chain = CertificateDer::pem_file_iter(sandbox.text("/ca/proxy_cert")).unwrap();
        let key = PrivateKeyDer::from_pem_file(sandbox.text("/ca/proxy_key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.map(Result::unwrap).collect(), key);
        Self::serve(keys, Some(Arc::new(config.unwrap())))
    }

    fn serve(keys: &[&Key], tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let issuer = Self {
            url: match tls {
                Some(_) => format!("https://localhost:{port}"),
                None => format!("http://127.0.0.1:{port}"),
            },
            keys: Arc::new(Mutex::new(Published {
                keys: Vec::new(),
                requests: 0,
                is_down: false,
            })),
        };
        issuer.publish(keys);
        let (url, published) = (issuer.url.clone(), issuer.keys.clone());
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let _ = match tls.clone() {
                    Some(tls) => {
                        let session = ServerConnection::new(tls).unwrap();
                        answer(StreamOwned::new(session, stream), &url, &published)
                    }
                    None => answer(stream, &url, &published),
                };
            }
        });
        issuer
    }

    /// From now on these and no others.
    pub fn publish(&self, keys: &[&Key]) {
        self.keys.lock().unwrap().keys = keys.iter().map(|key| key.published()).collect();
    }

    /// Whoever asks is hung up on.
    pub fn set_down(&self, is_down: bool) {
        self.keys.lock().unwrap().is_down = is_down;
    }

    /// How often the keys were asked for.
    pub fn requests(&self) -> usize {
        self.keys.lock().unwrap().requests
    }

    /// What a good token says.
    pub fn claims(&self, subject: &str, groups: &[&str]) -> Value {
        let now = seconds();
        json!({
            "iss": self.url, "aud": AUDIENCE, "sub": subject, "groups": groups,
            "iat": now, "exp": now + 600,
        })
    }

    /// `[oidc.it]` for this issuer, with further lines.
    pub fn table(&self, lines: &str) -> String {
        self.table_named("it", lines)
    }

    pub fn table_named(&self, name: &str, lines: &str) -> String {
        format!(
            "[oidc.{name}]\nissuer = \"{}\"\naudience = \"{AUDIENCE}\"\n{lines}\n",
            self.url
        )
    }
}

fn answer(mut stream: impl Read + Write, url: &str, published: &Mutex<Published>) -> std::io::Result<()> {
    let mut lines = BufReader::new(&mut stream).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while lines
        .next()
        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
    {}
    drop(lines);
    let mut published = published.lock().unwrap();
    if published.is_down {
        return Ok(());
    }
    let body = if request.starts_with("GET /.well-known/openid-configuration ") {
        json!({"issuer": url, "jwks_uri": format!("{url}/keys")})
    } else {
        published.requests += 1;
        json!({"keys": published.keys})
    };
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.flush()
}
