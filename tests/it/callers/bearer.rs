//! OAUTHBEARER (RFC 7628), as libpq 18 speaks it.

use super::client::{SASL, SASL_CONTINUE, code, knock, outcome, sasl_initial, whoami};
use super::{NOT_PROVEN, assert_not_proven, configuration, permit, refusal};
use crate::support::issuer::{Issuer, Key};
use crate::support::raw::{Message, message};
use crate::support::{Proxy, Raw, Sandbox};
use serde_json::{Value, json};

fn proxy(sandbox: &Sandbox, issuer: &Issuer, head: &str) -> Proxy {
    let cedar = permit("in Group::\"oidc:readers\"", "app_ro");
    let config = configuration(sandbox, &["oauthbearer"], &cedar, (head, &issuer.table("")));
    Proxy::start(sandbox, &config)
}

/// A connection that has presented this; the answer to it.
fn present(proxy: &Proxy, auth: &str) -> (Raw, Message) {
    let mut raw = Raw::connect(proxy.port());
    let asked = knock(&mut raw, "jane");
    assert_eq!(code(&asked), SASL);
    assert_eq!(asked.body[4..], *b"OAUTHBEARER\0\0");
    let first = format!("n,,\u{1}auth={auth}\u{1}\u{1}");
    raw.send(&sasl_initial("OAUTHBEARER", first.as_bytes()));
    let answer = raw.message().expect("an answer");
    (raw, answer)
}

/// The client is told whom to ask for a token, says that it has read it, and is refused.
#[track_caller]
fn assert_sent_to_the_issuer(issuer: &Issuer, (mut raw, told): (Raw, Message)) -> Vec<Message> {
    assert_eq!(code(&told), SASL_CONTINUE);
    let told: Value = serde_json::from_slice(&told.body[4..]).expect("JSON");
    let discovery = format!("{}/.well-known/openid-configuration", issuer.url);
    assert_eq!(told["status"], json!("invalid_token"));
    assert_eq!(told["openid-configuration"], json!(discovery));
    raw.send(&message(b'p', b"\x01"));
    let refused = outcome(&mut raw);
    assert_eq!(refusal(&refused)[..2], ["28P01", NOT_PROVEN]);
    assert!(raw.is_closed());
    refused
}

#[test]
fn a_good_token_opens_a_session() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let mut proxy = proxy(sandbox, &issuer, "");
    let token = key.sign(&issuer.claims("jane", &["readers"]));
    proxy.keep_secret(token.rsplit_once('.').unwrap().1);
    let (mut raw, answer) = present(&proxy, &format!("Bearer {token}"));
    assert_eq!(
        code(&answer),
        0,
        "AuthenticationOk follows, without a last word of SASL"
    );
    raw.read_until(b'Z');
    assert_eq!(whoami(&mut raw), "app_ro");
    proxy.wait_until_logged(&format!("caller=oidc:{}#jane", issuer.url));
}

#[test]
fn a_client_without_a_token_learns_whom_to_ask() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let proxy = proxy(sandbox, &issuer, "");
    let refused = assert_sent_to_the_issuer(&issuer, present(&proxy, ""));
    assert_not_proven(&proxy, &refused, "was told whom to ask for one");
    let expired = {
        let mut claims = issuer.claims("jane", &["readers"]);
        claims["exp"] = json!(crate::support::issuer::seconds() - 1);
        key.sign(&claims)
    };
    let refused = assert_sent_to_the_issuer(&issuer, present(&proxy, &format!("Bearer {expired}")));
    assert_not_proven(&proxy, &refused, "the token has expired");
    let refused = assert_sent_to_the_issuer(&issuer, present(&proxy, "Bearer nonsense"));
    assert_not_proven(&proxy, &refused, "the token is not a JWT");
}

/// libpq asks so before every login for which it has no token yet: that is no guess.
#[test]
fn asking_whom_to_ask_locks_nobody_out() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let proxy = proxy(sandbox, &issuer, "login_failures_per_minute = 2");
    for _ in 0..4 {
        assert_sent_to_the_issuer(&issuer, present(&proxy, ""));
    }
    let token = key.sign(&issuer.claims("jane", &["readers"]));
    let (_, answer) = present(&proxy, &format!("Bearer {token}"));
    assert_eq!(code(&answer), 0);
}

#[test]
fn what_is_no_oauthbearer_is_a_violation() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let proxy = proxy(sandbox, &issuer, "");
    let answers = |bytes: &[u8]| {
        let mut raw = Raw::connect(proxy.port());
        knock(&mut raw, "jane");
        raw.send(bytes);
        outcome(&mut raw)
    };
    for bytes in [
        sasl_initial("SCRAM-SHA-256", b"n,,n=,r=abc"),
        sasl_initial("OAUTHBEARER", b"n,,"),
        sasl_initial("OAUTHBEARER", b"p=tls-server-end-point,,\x01auth=\x01\x01"),
        message(b'p', b"a password\0"),
        message(b'Q', b"select 1\0"),
    ] {
        let [state, message, _] = refusal(&answers(&bytes));
        assert_eq!(state, "08P01", "{message}");
    }
    // Nothing but the dummy may follow the refusal.
    let (mut raw, _) = present(&proxy, "");
    raw.send(&message(b'p', b"n,,\x01auth=Bearer x\x01\x01"));
    assert_eq!(refusal(&outcome(&mut raw))[0], "08P01");
}
