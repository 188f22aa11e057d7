//! An issuer on this machine: keys, tokens, and an HTTP server that can misbehave.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA384,
    RsaKeyPair,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

/// Made once: it takes a while.
pub(super) static RSA: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
pub(super) static P256: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
pub(super) static ED: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

pub(super) fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The public key as DER, which those who mistake it for a shared secret use.
pub(super) fn rsa_der() -> Vec<u8> {
    RSA.public_key().as_der().unwrap().as_ref().to_vec()
}

pub(super) fn rsa_jwk(kid: &str) -> Value {
    // RSAPublicKey of 2048 bits: the modulus follows nine bytes, three bytes of exponent are the last.
    let der = RSA.public_key().as_ref();
    json!({
        "kty": "RSA", "use": "sig", "kid": kid,
        "n": base64(&der[9..265]), "e": base64(&der[der.len() - 3..]),
    })
}

pub(super) fn p256_jwk(kid: &str) -> Value {
    let point = P256.public_key().as_ref();
    json!({
        "kty": "EC", "crv": "P-256", "kid": kid,
        "x": base64(&point[1..33]), "y": base64(&point[33..65]),
    })
}

pub(super) fn ed_jwk(kid: &str) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": base64(ED.public_key().as_ref())})
}

/// Signs as the header says; `HS256` with the RSA public key as the secret.
pub(super) fn token(header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
    let random = SystemRandom::new();
    let rsa = |encoding| {
        let mut signature = vec![0; RSA.public_modulus_len()];
        RSA.sign(encoding, &random, signed.as_bytes(), &mut signature)
            .unwrap();
        signature
    };
    let signature = match header["alg"].as_str().unwrap() {
        "RS256" => rsa(&RSA_PKCS1_SHA256),
        "PS384" => rsa(&RSA_PSS_SHA384),
        "ES256" => P256.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
        "EdDSA" => ED.sign(signed.as_bytes()).as_ref().to_vec(),
        "HS256" => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &rsa_der());
            hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
        }
        "none" => Vec::new(),
        other => digest::digest(&digest::SHA256, other.as_bytes())
            .as_ref()
            .to_vec(),
    };
    format!("{signed}.{}", base64(signature))
}

/// What the issuer answers, and how often it was asked.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) keys: Vec<Value>,
    /// Instead of the keys.
    pub(super) body: Option<String>,
    pub(super) status: u16,
    pub(super) max_age: Option<u64>,
    /// What the discovery document says instead of the truth.
    pub(super) discovery: Option<Value>,
    /// Closes connections without an answer.
    pub(super) is_down: bool,
    pub(super) delay: Duration,
    pub(super) key_requests: usize,
    pub(super) discoveries: usize,
}

#[derive(Clone)]
pub(super) struct Server {
    pub(super) url: String,
    pub(super) script: Arc<Mutex<Script>>,
}

impl Server {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            script: Arc::new(Mutex::new(Script {
                keys: vec![rsa_jwk("rsa")],
                body: None,
                status: 200,
                max_age: None,
                discovery: None,
                is_down: false,
                delay: Duration::ZERO,
                key_requests: 0,
                discoveries: 0,
            })),
        };
        let this = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = this.answer(stream.unwrap());
            }
        });
        server
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }

    pub(super) fn key_requests(&self) -> usize {
        self.script.lock().unwrap().key_requests
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            request.push(byte[0]);
        }
        let is_discovery = request.starts_with(b"GET /.well-known/openid-configuration ");
        let script = {
            let mut script = self.script.lock().unwrap();
            match is_discovery {
                true => script.discoveries += 1,
                false => script.key_requests += 1,
            }
            script.clone()
        };
        std::thread::sleep(script.delay);
        if script.is_down {
            return Ok(());
        }
        let url = &self.url;
        let body = match is_discovery {
            true => script
                .discovery
                .unwrap_or(json!({"issuer": url, "jwks_uri": format!("{url}/keys")}))
                .to_string(),
            false => script
                .body
                .unwrap_or_else(|| json!({"keys": script.keys}).to_string()),
        };
        let age = script
            .max_age
            .map(|age| format!("cache-control: public, max-age={age}\r\n"));
        write!(
            stream,
            "HTTP/1.1 {} X\r\n{}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            script.status,
            age.unwrap_or_default(),
            body.len()
        )
    }
}
