//! What callers send to prove who they are, and what issuers publish.

use crate::identity::mtls::{self, NameKind};
use crate::oidc::{self, Settings};
use crate::platform::aws::proof;
use crate::platform::wire::auth;
use crate::platform::wire::scram::{Exchange, Verifier, end_point};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// When the seeds were made.
const NOW: Duration = Duration::from_secs(1_800_000_000);
const DAY: Duration = Duration::from_secs(86_400);

fn now() -> SystemTime {
    UNIX_EPOCH + NOW
}

/// A PasswordMessage, a SASLInitialResponse, OAUTHBEARER's first data: whatever is taken out of them was
/// in them.
pub fn sasl(input: &[u8]) {
    if let Some(password) = auth::parse_password(input) {
        assert_eq!(password.len() + 1, input.len());
        assert!(!password.contains(&0));
    }
    if let Some((mechanism, data)) = auth::parse_sasl_initial(input) {
        let written = [
            mechanism.as_bytes(),
            &[0],
            &(data.len() as u32).to_be_bytes(),
            data,
        ]
        .concat();
        assert_eq!(written, input);
        bearer(data);
    }
    bearer(input);
}

fn bearer(data: &[u8]) {
    let Some(token) = auth::parse_bearer(data) else {
        return;
    };
    assert!(!token.contains(&1) && token.trim_ascii() == token);
    let written = match token {
        [] => b"n,,\x01auth=\x01\x01".to_vec(),
        token => [b"n,,\x01auth=Bearer ", token, b"\x01\x01"].concat(),
    };
    assert_eq!(auth::parse_bearer(&written), Some(token));
}

/// Both messages of a client, parted by a byte that is in no text. The first byte chooses mechanism and channel.
/// Nobody knows of what the stored key would be the hash, so no proof may be accepted.
pub fn scram(input: &[u8]) {
    let Some((choice, messages)) = input.split_first() else {
        return;
    };
    let mut messages = messages.splitn(2, |byte| *byte == 0xff);
    let (first, last) = (
        messages.next().unwrap_or_default(),
        messages.next().unwrap_or_default(),
    );
    let mechanism = match choice & 1 {
        0 => auth::SCRAM_SHA_256,
        _ => auth::SCRAM_SHA_256_PLUS,
    };
    let channel = (choice & 2 != 0).then_some(&[1u8; 32][..]);
    let verifier = Verifier::mock("jane", &[7; 32]);
    let Ok((answer, exchange)) = Exchange::begin(&verifier, mechanism, first, channel, [7; 18]) else {
        return;
    };
    let answer = String::from_utf8(answer).unwrap();
    let (nonce, _) = answer.strip_prefix("r=").unwrap().split_once(',').unwrap();
    let (nonce, _) = nonce.split_at(nonce.len() - 24);
    let asked = std::str::from_utf8(first).unwrap();
    assert!(!nonce.is_empty() && asked.contains(&format!("r={nonce}")));
    assert!(exchange.finish(last).is_err());
}

/// As it is, and as the inside of a proof.
pub fn aws_proof(input: &[u8]) {
    rebuild(input);
    rebuild(
        [proof::PREFIX, &URL_SAFE_NO_PAD.encode(input)]
            .concat()
            .as_bytes(),
    );
}

fn rebuild(input: &[u8]) {
    let Ok(rebuilt) = proof::rebuild(input, "broker", now(), 36_500 * DAY) else {
        return;
    };
    assert!(proof::looks_like_proof(input));
    assert_eq!(
        proof::sts_host(&rebuilt.region).as_deref(),
        Some(rebuilt.host.as_str())
    );
    let call = "/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&";
    assert!(rebuilt.target().starts_with(call), "{}", rebuilt.url);
    // Nothing that ends the query, begins another request or repeats what is ours.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/?&=-_.~%".contains(&byte);
    assert!(rebuilt.target().bytes().all(allowed), "{}", rebuilt.url);
    for once in [
        "Action=",
        "Version=",
        "X-Amz-Credential=",
        "X-Amz-Signature=",
        "?",
    ] {
        assert_eq!(rebuilt.target().matches(once).count(), 1, "{}", rebuilt.url);
    }
    assert!(rebuilt.nonce.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(rebuilt.signed_at <= now() + proof::SKEW);
}

/// As it is, and with header and claims in two lines.
pub fn jwt(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        token(text);
    }
    let mut lines = input.splitn(2, |byte| *byte == b'\n');
    let mut part = || URL_SAFE_NO_PAD.encode(lines.next().unwrap_or_default());
    token(&format!("{}.{}.c2ln", part(), part()));
}

fn token(text: &str) {
    let settings = Settings {
        issuer: "https://issuer.test".to_owned(),
        audience: "dbproxy".to_owned(),
        jwks_uri: None,
        groups_claim: "groups".to_owned(),
        max_lifetime: DAY,
        single_audience: false,
        once: true,
    };
    let Some((algorithm, proof)) = oidc::read(text, &settings, now()) else {
        return;
    };
    assert!(oidc::looks_like_jwt(text.as_bytes()));
    assert!(!SHARED_SECRETS.contains(&algorithm));
    assert!(proof.expires > now() && proof.expires <= now() + Duration::from_secs(60) + DAY);
    let names = proof.groups.iter().chain(&proof.email).chain([&proof.subject]);
    for name in names.chain(proof.claims.keys()) {
        assert!((1..=255).contains(&name.len()) && !name.contains(char::is_control));
    }
    assert!(proof.groups.len() <= 200 && proof.claims.len() <= 64);
    assert!(!proof.claims.values().any(|text| text.contains(char::is_control)));
}

const SHARED_SECRETS: [Algorithm; 3] = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];

/// No set of keys makes a public key a shared secret.
pub fn jwks(input: &[u8]) {
    for kid in [None, Some("k")] {
        assert!(!oidc::has_keys(input, kid, &SHARED_SECRETS).contains(&true));
        let _ = oidc::has_keys(
            input,
            kid,
            &[Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
        );
    }
}

/// A name is one line of visible text with its kind, and is one of those that can be asked for by kind.
pub fn certificate(input: &[u8]) {
    let _ = (mtls::not_after(input), end_point(input));
    let kinds = [NameKind::Uri, NameKind::Email, NameKind::Dns, NameKind::Cn];
    let names = kinds.map(|kind| mtls::name_of(input, kind));
    let kinds = ["uri:", "email:", "dns:", "cn:"];
    for (name, kind) in names.iter().zip(kinds) {
        let Ok(name) = name else { continue };
        let text = name.strip_prefix(kind).expect("its kind");
        assert!((1..=1_024).contains(&text.len()) && text.trim() == text);
        assert!(!text.contains(char::is_control));
    }
    if let Ok(first) = mtls::name_of(input, NameKind::First) {
        let found = names.iter().flatten().find(|name| **name == first);
        assert!(found.is_some(), "{first}");
    }
}
