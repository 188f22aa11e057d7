//! OAUTHBEARER by libpq 18 itself, with an application behind it that has a token, or has none.
//!
//! What is not here is libpq's own device flow: it comes in a library of its own, libpq-oauth, which neither the
//! wheels of psycopg nor Debian 12 have. Up to where it would begin libpq is watched all the same.

use super::{NOT_PROVEN, configuration, permit};
use crate::drivers::python;
use crate::support::issuer::{Issuer, Key, seconds};
use crate::support::sandbox::root;
use crate::support::tls::client_tls;
use crate::support::{Proxy, Sandbox};
use serde_json::{Value, json};
use std::process::Command;

fn proxy(sandbox: &Sandbox, issuer: &Issuer) -> Proxy {
    proxy_with(sandbox, issuer, "")
}

/// libpq asks none but issuers over https.
fn proxy_with(sandbox: &Sandbox, issuer: &Issuer, tables: &str) -> Proxy {
    let head = format!("http_ca_file = \"{}\"", sandbox.text("/ca/proxy_ca"));
    let cedar = permit("is OidcUser", "app_ro");
    let tables = issuer.table("") + tables + &client_tls(sandbox, "");
    let config = configuration(sandbox, &["oauthbearer"], &cedar, (&head, &tables));
    Proxy::start(sandbox, &config)
}

/// How libpq fares with these parameters and this of the environment.
fn log_in(proxy: &Proxy, sandbox: &Sandbox, parameters: &str, environment: &[(&str, &str)]) -> Value {
    let connection = format!(
        "host=localhost port={} user=jane dbname=app sslmode=verify-full sslrootcert={} {parameters}",
        proxy.port(),
        sandbox.text("/ca/proxy_ca")
    );
    let output = Command::new(python())
        .arg(root().join("tests/drivers/oauth_libpq.py"))
        .arg(connection)
        .env("PGCONNECT_TIMEOUT", "30")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{told}"))
}

fn discovery(issuer: &Issuer) -> String {
    format!("{}/.well-known/openid-configuration", issuer.url)
}

fn client_of(issuer: &str) -> String {
    format!("oauth_issuer={issuer} oauth_client_id=reports")
}

fn refused(proxy: &Proxy) -> usize {
    proxy.log().matches("session refused").count()
}

#[test]
fn libpq_asks_whom_to_ask_and_then_logs_in() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start_with_tls(sandbox, &[&key]);
    let mut proxy = proxy(sandbox, &issuer);
    let token = key.sign(&issuer.claims("jane", &["readers"]));
    proxy.keep_secret(token.rsplit_once('.').unwrap().1);
    let environment = [("TOKEN", token.as_str())];
    let asked = json!([[discovery(&issuer), "openid"]]);
    let seen = log_in(&proxy, sandbox, &client_of(&issuer.url), &environment);
    assert_eq!(
        (&seen["user"], &seen["asked"]),
        (&json!("app_ro"), &asked),
        "{seen}"
    );
    proxy.wait_until_logged(&format!("caller=oidc:{}#jane ", issuer.url));
    // One connection asked, another one brought the token.
    proxy.wait_until_logged("because=\"the client has no token yet");
    assert_eq!(refused(&proxy), 1, "{}", proxy.log());

    // Told everything beforehand, and to be satisfied with nothing else, libpq asks nobody.
    let parameters = client_of(&discovery(&issuer)) + " oauth_scope=openid require_auth=oauth";
    let seen = log_in(&proxy, sandbox, &parameters, &environment);
    assert_eq!(
        (&seen["user"], &seen["asked"]),
        (&json!("app_ro"), &asked),
        "{seen}"
    );
    assert_eq!(refused(&proxy), 1, "{}", proxy.log());
}

#[test]
fn libpq_is_told_that_a_token_is_not_accepted() {
    let (sandbox, _turn) = Sandbox::shared();
    let (key, other) = (Key::new("one"), Key::new("one"));
    let issuer = Issuer::start_with_tls(sandbox, &[&key]);
    let mut proxy = proxy(sandbox, &issuer);
    let good = issuer.claims("jane", &["readers"]);
    let mut old = good.clone();
    old["exp"] = json!(seconds() - 1);
    for (token, because) in [
        (key.sign(&old), "the token has expired"),
        (other.sign(&good), "the token's signature is wrong"),
        ("nonsense".to_owned(), "the token is not a JWT"),
    ] {
        proxy.keep_secret(token.as_str());
        let parameters = client_of(&discovery(&issuer));
        let seen = log_in(&proxy, sandbox, &parameters, &[("TOKEN", &token)]);
        let error = seen["error"].as_str().expect("an error");
        assert!(error.contains(NOT_PROVEN) && error.contains("HINT:"), "{error}");
        proxy.wait_until_logged(because);
    }
    assert_eq!(refused(&proxy), 3, "none of them was tried again");
}

/// An application without a token is told where to get one; libpq itself would begin its device flow there.
#[test]
fn libpq_without_a_token_learns_the_issuer() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start_with_tls(sandbox, &[&key]);
    let proxy = proxy(sandbox, &issuer);
    let seen = log_in(&proxy, sandbox, &client_of(&issuer.url), &[]);
    assert_eq!(seen["asked"], json!([[discovery(&issuer), "openid"]]), "{seen}");
    let error = seen["error"].as_str().expect("an error");
    assert!(error.contains("user-defined OAuth flow failed"), "{error}");
    let seen = log_in(&proxy, sandbox, &client_of(&issuer.url), &[("HOOK", "none")]);
    let error = seen["error"].as_str().expect("an error");
    assert!(error.contains("no OAuth flows are available"), "{error}");
    // Of another issuer than it was told libpq gives nobody a token.
    let elsewhere = client_of("https://elsewhere.example");
    let seen = log_in(&proxy, sandbox, &elsewhere, &[("TOKEN", "never")]);
    let error = seen["error"].as_str().expect("an error");
    assert_eq!(seen["asked"], json!([]));
    assert!(error.contains(&discovery(&issuer)), "{error}");
    // Who is to prove itself in another way only gets no further.
    let seen = log_in(
        &proxy,
        sandbox,
        "require_auth=scram-sha-256",
        &[("PGPASSWORD", "a guess")],
    );
    let error = seen["error"].as_str().expect("an error");
    assert!(error.contains("server requested OAUTHBEARER"), "{error}");
}

/// With more issuers than one, only the first is named to who asks: who means another one says where it is.
#[test]
fn libpq_can_have_its_token_of_the_second_issuer() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuers = [0, 1].map(|_| Issuer::start_with_tls(sandbox, &[&key]));
    let [first, second] = &issuers;
    let proxy = proxy_with(
        sandbox,
        first,
        &second.table_named("second", "groups_prefix = \"second:\""),
    );
    let token = key.sign(&second.claims("jane", &["readers"]));
    let environment = [("TOKEN", token.as_str())];
    let seen = log_in(&proxy, sandbox, &client_of(&second.url), &environment);
    let error = seen["error"].as_str().expect("an error");
    assert!(error.contains(&discovery(first)), "{error}");
    let seen = log_in(&proxy, sandbox, &client_of(&discovery(second)), &environment);
    assert_eq!(seen["user"], json!("app_ro"), "{seen}");
    proxy.wait_until_logged(&format!("caller=oidc:{}#jane ", second.url));
}
