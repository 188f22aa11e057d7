//! Tokens of an issuer as the password; the groups in them decide.

use super::by_driver::assert_drivers_log_in;
use super::client::{by_password, whoami, with_password};
use super::{assert_is, assert_not_proven, configuration, permit, psql_as, refusal};
use crate::support::issuer::{Issuer, Key, base64url, seconds, unsigned};
use crate::support::raw::SSL_REQUEST;
use crate::support::tls::{client_tls, start};
use crate::support::{Proxy, Raw, Sandbox, psql};
use serde_json::{Value, json};

fn cedar() -> String {
    permit("in Group::\"oidc:readers\"", "app_ro") + &permit("in Group::\"oidc:writers\"", "app_rw")
}

fn proxy(sandbox: &Sandbox, issuer: &Issuer, lines: &str) -> Proxy {
    let tables = issuer.table(lines);
    Proxy::start(
        sandbox,
        &configuration(sandbox, &["oidc"], &cedar(), ("", &tables)),
    )
}

/// A token of which nothing may ever be said.
fn kept(proxy: &mut Proxy, token: String) -> String {
    for part in token.split('.').skip(1).filter(|part| !part.is_empty()) {
        proxy.keep_secret(part);
    }
    token
}

#[test]
fn drivers_log_in_with_a_token_and_its_groups_decide() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let mut proxy = proxy(sandbox, &issuer, "");
    let reader = kept(
        &mut proxy,
        key.sign(&issuer.claims("jane", &["staff", "readers"])),
    );
    // Whatever name she gives, there is only one that she may be.
    assert_drivers_log_in(&proxy, "jane", || reader.clone(), "app_ro");
    assert_drivers_log_in(&proxy, "app_ro", || reader.clone(), "app_ro");
    proxy.wait_until_logged(&format!("caller=oidc:{}#jane", issuer.url));
    assert_eq!(issuer.requests(), 1, "keys are kept");

    let output = psql_as(&proxy, "app_rw", &reader, "select 1");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains("#jane may not connect as db user \"app_rw\""),
        "{error}"
    );
    assert!(error.contains("HINT:  You may connect as: app_ro."), "{error}");
    let [state, _, hint] = refusal(&by_password(proxy.port(), "app_rw", reader.as_bytes()));
    assert_eq!(
        (state.as_str(), hint.as_str()),
        ("42501", "You may connect as: app_ro.")
    );

    let both = kept(
        &mut proxy,
        key.sign(&issuer.claims("joe", &["readers", "writers"])),
    );
    assert_is(
        &proxy,
        &psql_as(&proxy, "app_rw", &both, "select current_user"),
        "app_rw",
    );
    let [state, _, hint] = refusal(&by_password(proxy.port(), "joe", both.as_bytes()));
    assert_eq!(
        (state.as_str(), hint.as_str()),
        ("42501", "You may connect as: app_ro, app_rw.")
    );

    // Names of groups are exact, and a group of the configuration is not one of a token.
    for groups in [&["Readers"][..], &["oidc:readers"], &["staff"], &[]] {
        let nobody = kept(&mut proxy, key.sign(&issuer.claims("eve", groups)));
        let [state, _, hint] = refusal(&by_password(proxy.port(), "app_ro", nobody.as_bytes()));
        assert_eq!(state, "42501");
        assert!(hint.contains("You may be none of the db users"), "{hint}");
    }
}

#[test]
fn keys_are_rotated() {
    let (sandbox, _turn) = Sandbox::shared();
    let (old, new) = (Key::new("old"), Key::new("new"));
    let issuer = Issuer::start(&[&old]);
    let proxy = proxy(sandbox, &issuer, "");
    let claims = issuer.claims("jane", &["readers"]);
    let log_in = |token: String| by_password(proxy.port(), "jane", token.as_bytes());
    assert_eq!(log_in(old.sign(&claims)).last().unwrap().tag, b'Z');
    issuer.publish(&[&new]);
    assert_eq!(
        log_in(new.sign(&claims)).last().unwrap().tag,
        b'Z',
        "known at once"
    );
    assert_not_proven(&proxy, &log_in(old.sign(&claims)), "the issuer has no key");
    assert_eq!(
        issuer.requests(),
        2,
        "strangers' keys are not asked for again at once"
    );
    // The known key goes on while the issuer is away.
    issuer.set_down(true);
    assert_eq!(log_in(new.sign(&claims)).last().unwrap().tag, b'Z');
}

#[test]
fn an_issuer_that_does_not_answer_is_no_guess_of_the_client() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    issuer.set_down(true);
    let tables = issuer.table("");
    let head = "login_failures_per_minute = 1";
    let proxy = Proxy::start(
        sandbox,
        &configuration(sandbox, &["oidc"], &cedar(), (head, &tables)),
    );
    let token = key.sign(&issuer.claims("jane", &["readers"]));
    for _ in 0..3 {
        let refused = by_password(proxy.port(), "jane", token.as_bytes());
        assert_not_proven(&proxy, &refused, "the issuer's keys are not available");
    }
    assert!(!proxy.log().contains("too many"), "{}", proxy.log());
}

/// Each of them is refused in the same words, and the log says why.
#[test]
fn tokens_that_prove_nothing() {
    let (sandbox, _turn) = Sandbox::shared();
    let (key, other) = (Key::new("one"), Key::new("one"));
    let issuer = Issuer::start(&[&key]);
    let mut proxy = proxy(sandbox, &issuer, "max_lifetime = \"1h\"");
    let good = issuer.claims("jane", &["readers"]);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let now = seconds();
    let hmac = {
        // The public key's text as a shared secret.
        let signed = unsigned(&json!({"alg": "HS256", "kid": "one"}), &good);
        let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"one");
        let signature = aws_lc_rs::hmac::sign(&secret, signed.as_bytes());
        format!("{signed}.{}", base64url(signature.as_ref()))
    };
    let altered = {
        let token = key.sign(&good);
        let (_, signature) = token.rsplit_once('.').unwrap();
        let header = json!({"alg": "ES256", "kid": "one", "typ": "JWT"});
        format!("{}.{signature}", unsigned(&header, &with("sub", json!("root"))))
    };
    let tokens = [
        (key.sign(&with("exp", json!(now - 1))), "the token has expired"),
        (key.sign(&with("iat", json!(now + 300))), "is not valid yet"),
        (key.sign(&with("exp", json!(now + 7200))), "claim `exp`"),
        (key.sign(&with("aud", json!("another"))), "another audience"),
        (key.sign(&with("aud", json!(["another", 1]))), "another audience"),
        (
            key.sign(&with("iss", json!("http://127.0.0.1:1"))),
            "an issuer that is not configured",
        ),
        (
            key.sign(&with("groups", json!({"readers": true}))),
            "claim `groups`",
        ),
        (
            format!("{}.", unsigned(&json!({"alg": "none"}), &good)),
            "a way that is not accepted",
        ),
        (hmac, "a way that is not accepted"),
        (
            key.sign_with(&json!({"alg": "RS256", "kid": "one"}), &good),
            "a way that is not accepted",
        ),
        (
            key.sign_with(&json!({"alg": "ES256", "kid": "two"}), &good),
            "the issuer has no key",
        ),
        (other.sign(&good), "the token's signature is wrong"),
        (altered, "the token's signature is wrong"),
    ];
    for (token, because) in tokens {
        let token = kept(&mut proxy, token);
        let refused = by_password(proxy.port(), "app_ro", token.as_bytes());
        assert_not_proven(&proxy, &refused, because);
    }
    assert_eq!(
        proxy.metric("dbproxy_dial_seconds_count"),
        0.0,
        "nothing was dialled"
    );
    let good = kept(&mut proxy, key.sign(&good));
    assert_is(
        &proxy,
        &psql_as(&proxy, "app_ro", &good, "select current_user"),
        "app_ro",
    );
}

#[test]
fn a_token_of_twenty_thousand_bytes_passes() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let mut proxy = proxy(sandbox, &issuer, "");
    let mut groups: Vec<String> = (0..180).map(|n| format!("{n:0>80}")).collect();
    groups.push("readers".to_owned());
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let token = kept(&mut proxy, key.sign(&issuer.claims("jane", &groups)));
    assert!(token.len() > 20_000, "{}", token.len());
    assert_drivers_log_in(&proxy, "jane", || token.clone(), "app_ro");
}

#[test]
fn a_token_may_be_good_for_one_login_only() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let proxy = proxy(sandbox, &issuer, "once = true");
    let mut claims = issuer.claims("jane", &["readers"]);
    let log_in = |claims: &Value| by_password(proxy.port(), "jane", key.sign(claims).as_bytes());
    assert_not_proven(&proxy, &log_in(&claims), "claim `jti`");
    claims["jti"] = json!("1");
    assert_eq!(log_in(&claims).last().unwrap().tag, b'Z');
    // Signed anew, it is the same token.
    assert_not_proven(&proxy, &log_in(&claims), "was presented before");
    claims["jti"] = json!("2");
    assert_eq!(log_in(&claims).last().unwrap().tag, b'Z');
}

/// `alg` of AWS's own issuer: the subject is a role, by the name that policies know it by.
#[test]
fn an_aws_accounts_own_issuer_names_roles() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let tables = issuer.table("aws = true");
    let cedar = permit("== IamRole::\"arn:aws:iam::111122223333:role/app\"", "app_ro");
    let proxy = Proxy::start(sandbox, &configuration(sandbox, &["oidc"], &cedar, ("", &tables)));
    let log_in = |claims: &Value| by_password(proxy.port(), "x", key.sign(claims).as_bytes());
    let mut claims = issuer.claims("arn:aws:iam::111122223333:role/team/app", &[]);
    assert_eq!(log_in(&claims).last().unwrap().tag, b'Z');
    proxy.wait_until_logged("caller=arn:aws:iam::111122223333:role/app ");
    claims["sub"] = json!("arn:aws:iam::444455556666:role/app");
    assert_eq!(refusal(&log_in(&claims))[0], "42501");
    claims["sub"] = json!("jane");
    assert_not_proven(
        &proxy,
        &log_in(&claims),
        "the subject of the token is no IAM principal",
    );
    claims["sub"] = json!("arn:aws:iam::111122223333:role/team/app");
    claims["aud"] = json!([crate::support::issuer::AUDIENCE, "another"]);
    assert_not_proven(&proxy, &log_in(&claims), "another audience");
}

#[test]
fn inside_tls_it_works_too_and_policy_may_ask_for_it() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let tables = issuer.table("") + &client_tls(sandbox, "");
    let cedar = permit("in Group::\"oidc:readers\"", "app_ro").replace(");", ") when { context.tls };");
    let proxy = Proxy::start(sandbox, &configuration(sandbox, &["oidc"], &cedar, ("", &tables)));
    let token = key.sign(&issuer.claims("jane", &["readers"]));
    let connection = format!(
        "host=localhost port={} user=jane dbname=app sslmode=verify-full sslrootcert={}",
        proxy.port(),
        sandbox.text("/ca/proxy_ca")
    );
    let output = psql(&connection, &[("PGPASSWORD", &token)], "select current_user");
    assert_is(&proxy, &output, "app_ro");
    let mut raw = Raw::connect(proxy.port());
    raw.send(&SSL_REQUEST);
    assert_eq!(raw.byte(), b'S');
    let mut raw = start(sandbox, raw, None).unwrap();
    with_password(&mut raw, "jane", token.as_bytes());
    assert_eq!(whoami(&mut raw), "app_ro");
    let [state, ..] = refusal(&by_password(proxy.port(), "jane", token.as_bytes()));
    assert_eq!(state, "42501", "loopback in clear is private, but not TLS");
}

/// An issuer may call its subjects what it likes; a line of the log still says who it was and nothing else.
#[test]
fn a_subject_cannot_write_other_fields_of_the_log() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let proxy = proxy(sandbox, &issuer, "");
    let subject = "jane policy=\"admin\" db_user=\"boss\"";
    let token = key.sign(&issuer.claims(subject, &["readers"]));
    let outcome = by_password(proxy.port(), "jane", token.as_bytes());
    assert_eq!(outcome.last().unwrap().tag, b'Z', "{outcome:?}");
    proxy.wait_until_logged(r#"#jane policy=\"admin\" db_user=\"boss\"" source="#);
    let second_line = key.sign(&issuer.claims("jane\nWARN audit: session opened", &["readers"]));
    let refused = by_password(proxy.port(), "jane", second_line.as_bytes());
    assert_not_proven(&proxy, &refused, "claim `sub`");
}

/// For when permits are watched: the token was good for so long, and so is what it opened.
#[test]
fn a_session_ends_with_the_token_that_opened_it() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let proxy = proxy(sandbox, &issuer, "");
    let mut claims = issuer.claims("jane", &["readers"]);
    claims["exp"] = json!(seconds() + 3);
    let mut raw = Raw::connect(proxy.port());
    let outcome = with_password(&mut raw, "jane", key.sign(&claims).as_bytes());
    assert_eq!(outcome.last().unwrap().tag, b'Z', "{outcome:?}");
    let ended = raw.message().expect("last words, while the session is idle");
    assert_eq!(ended.field(b'C'), "57P01", "{ended:?}");
}

/// One issuer, two audiences: each token is judged by the settings of its own.
#[test]
fn a_session_outlives_its_token_where_the_issuers_settings_say_so() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let tables = issuer.table("")
        + &format!(
            "[oidc.long]\nissuer = \"{}\"\naudience = \"long\"\ngroups_prefix = \"long:\"\n\
             sessions_outlive_token = true\n",
            issuer.url
        );
    let cedar = cedar()
        + "@id(\"view\") permit (principal is LocalUser, action == Action::\"view\", resource);"
        + "@id(\"long\") @max_session(\"8h\") permit (principal in Group::\"long:readers\", action, resource == \
           DbUser::\"orders/app_ro\");";
    let audit = sandbox
        .dir
        .join(format!("oidc-long-{}.jsonl", std::process::id()));
    let _ = std::fs::remove_file(&audit);
    let tables = format!("{tables}[audit]\nfile = \"{}\"\n", audit.display());
    let mut proxy = Proxy::start(sandbox, &configuration(sandbox, &["oidc"], &cedar, ("", &tables)));
    let mut claims = issuer.claims("jane", &["readers"]);
    claims["exp"] = json!(seconds() + 8);
    let log_in = |claims: &Value| {
        let mut raw = Raw::connect(proxy.port());
        let outcome = with_password(&mut raw, "jane", key.sign(claims).as_bytes());
        assert_eq!(outcome.last().unwrap().tag, b'Z', "{outcome:?}");
        raw
    };
    let mut short = log_in(&claims);
    claims["aud"] = json!("long");
    let mut long = log_in(&claims);
    let output = crate::support::proxy::dbproxy(&[])
        .args(["sessions", "-o", "json", "--admin", &proxy.admin()])
        .output()
        .unwrap();
    let sessions: Value = serde_json::from_slice(&output.stdout).unwrap();
    let reasons: Vec<_> = sessions
        .as_array()
        .unwrap()
        .iter()
        .map(|session| &session["expires_reason"])
        .collect();
    assert_eq!(
        reasons,
        [&json!("proof_expired"), &json!("permit_expired")],
        "{sessions}"
    );
    assert_eq!(short.message().expect("last words").field(b'C'), "57P01");
    long.query("select 1");
    long.read_until(b'Z');
    drop(long);
    proxy.wait_for_metric("dbproxy_connections_open", 0.0);
    proxy.signal("TERM");
    proxy.wait_for_exit();
    let lines = std::fs::read_to_string(&audit).unwrap();
    let ends: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["event"] == "session.closed")
        .map(|line| line["reason"].clone())
        .collect();
    assert_eq!(ends, [json!("proof_expired"), json!("client_closed")]);
}
