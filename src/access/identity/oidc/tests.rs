mod issuer;

use super::*;
use crate::error::Chain;
use issuer::{Server, base64, ed_jwk, p256_jwk, rsa_jwk, token};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

const START: u64 = 1_700_000_000;
const HOUR: u64 = 3_600;

/// An issuer, a clock that can be moved, and a verifier.
struct Bench {
    server: Server,
    now: Arc<Mutex<u64>>,
    oidc: Arc<Oidc>,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let server = Server::start();
        let mut settings = settings(&server.url);
        change(&mut settings);
        Self::of(server, vec![settings])
    }

    fn of(server: Server, settings: Vec<Settings>) -> Self {
        let now = Arc::new(Mutex::new(START));
        let clock = Clock::from_fn({
            let now = now.clone();
            move || UNIX_EPOCH + Duration::from_secs(*now.lock().unwrap())
        });
        let background = Background::new(tokio::runtime::Handle::current());
        let oidc = Oidc::new(settings, Http::new(None).unwrap(), clock, background);
        Self {
            server,
            now,
            oidc: Arc::new(oidc),
        }
    }

    fn pass(&self, seconds: u64) {
        *self.now.lock().unwrap() += seconds;
    }

    /// A token that is acceptable now.
    fn claims(&self) -> Value {
        let now = *self.now.lock().unwrap();
        json!({
            "iss": self.server.url, "aud": "dbproxy", "sub": "ada", "jti": "1",
            "iat": now, "exp": now + 300,
        })
    }

    async fn verify(&self, header: Value) -> Result<Proof, OidcError> {
        self.oidc.verify(&token(&header, &self.claims())).await
    }

    async fn verify_claims(&self, name: &str, value: Value) -> Result<Proof, OidcError> {
        let mut claims = self.claims();
        claims[name] = value;
        self.oidc.verify(&token(&rs256("rsa"), &claims)).await
    }
}

fn settings(issuer: &str) -> Settings {
    Settings {
        issuer: issuer.to_owned(),
        audience: "dbproxy".into(),
        jwks_uri: None,
        groups_claim: "groups".into(),
        max_lifetime: Duration::from_secs(HOUR),
        single_audience: false,
        once: false,
    }
}

fn rs256(kid: &str) -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": kid})
}

macro_rules! assert_refused {
    ($outcome:expr, $pattern:pat) => {
        let outcome = $outcome;
        assert!(matches!(outcome, Err($pattern)), "{outcome:?}");
    };
}

#[tokio::test]
async fn tokens_of_each_kind_of_key_are_verified() {
    let bench = Bench::new();
    bench
        .server
        .change(|script| script.keys = vec![rsa_jwk("rsa"), p256_jwk("ec"), ed_jwk("ed")]);
    for (algorithm, kid) in [
        ("RS256", "rsa"),
        ("PS384", "rsa"),
        ("ES256", "ec"),
        ("EdDSA", "ed"),
    ] {
        let proof = bench.verify(json!({"alg": algorithm, "kid": kid})).await.unwrap();
        assert_eq!(proof.subject, "ada");
        assert_eq!(proof.expires, UNIX_EPOCH + Duration::from_secs(START + 300));
    }
    assert_eq!(bench.server.key_requests(), 1);
}

#[tokio::test]
async fn the_key_decides_how_a_token_may_be_signed() {
    let bench = Bench::new();
    bench
        .server
        .change(|script| script.keys = vec![rsa_jwk("rsa"), p256_jwk("ec")]);
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "none", "kid": "rsa"}),
        json!({"alg": "HS256", "kid": "rsa"}),
        json!({"alg": "HS256"}),
        json!({"alg": "ES256", "kid": "rsa"}),
        json!({"alg": "RS256", "kid": "ec"}),
        json!({"alg": "ES512", "kid": "ec"}),
    ] {
        assert_refused!(bench.verify(header).await, OidcError::Algorithm);
    }
    assert_refused!(
        bench.verify(json!({"alg": "RS384", "kid": "rsa"})).await,
        OidcError::Signature
    );
    let elsewhere =
        json!({"alg": "RS256", "kid": "mine", "jwk": rsa_jwk("mine"), "jku": "http://127.0.0.1:1/"});
    assert_refused!(bench.verify(elsewhere).await, OidcError::UnknownKey);
}

#[tokio::test]
async fn a_changed_token_is_refused() {
    let bench = Bench::new();
    let good = token(&rs256("rsa"), &bench.claims());
    assert!(bench.oidc.verify(&good).await.is_ok());
    let [header, _, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts");
    };
    let mut claims = bench.claims();
    claims["sub"] = "root".into();
    let changed = format!("{header}.{}.{signature}", base64(claims.to_string()));
    assert_refused!(bench.oidc.verify(&changed).await, OidcError::Signature);
    for cut in [
        good.trim_end_matches(signature).to_owned(),
        good.chars().take(good.len() - 4).collect(),
    ] {
        assert_refused!(bench.oidc.verify(&cut).await, OidcError::Signature);
    }
}

#[tokio::test]
async fn what_is_no_token_is_refused_without_asking_anybody() {
    let bench = Bench::new();
    let long = format!("eyJ{}.e30.c2ln", "A".repeat(65_536));
    let no_map = format!("{}.{}.", base64(rs256("rsa").to_string()), base64("[]"));
    for text in [
        "",
        "secret",
        "eyJhbGciOiJSUzI1NiJ9.e30",
        "eyJh.e30.c2ln",
        &long,
        &no_map,
    ] {
        assert_refused!(bench.oidc.verify(text).await, OidcError::Malformed);
    }
    for (part, value) in [("crit", json!(["b64"])), ("typ", json!("logout+jwt"))] {
        let mut header = rs256("rsa");
        header[part] = value;
        assert_refused!(bench.verify(header).await, OidcError::Claim(_));
    }
    assert_eq!(bench.server.key_requests(), 0);
}

#[tokio::test]
async fn claims_are_checked() {
    let bench = Bench::new();
    for (name, value) in [
        ("aud", json!(["x", "dbproxy"])),
        ("nbf", json!(START + 60)),
        ("iat", json!(START + 60)),
        ("groups", json!(["dba"])),
    ] {
        assert!(bench.verify_claims(name, value).await.is_ok(), "{name}");
    }
    assert_refused!(bench.verify_claims("aud", json!("x")).await, OidcError::Audience);
    assert_refused!(bench.verify_claims("exp", json!(START)).await, OidcError::Expired);
    assert_refused!(
        bench.verify_claims("iat", json!(START + 61)).await,
        OidcError::NotYet
    );
    assert_refused!(
        bench.verify_claims("nbf", json!(START + 61)).await,
        OidcError::NotYet
    );
    assert_refused!(
        bench.verify_claims("exp", json!(START + HOUR + 1)).await,
        OidcError::Claim("exp")
    );
    assert_refused!(
        bench.verify_claims("iss", json!(7)).await,
        OidcError::Claim("iss")
    );
    let with_slash = json!(format!("{}/", bench.server.url));
    assert_refused!(
        bench.verify_claims("iss", with_slash).await,
        OidcError::UnknownIssuer
    );
}

#[tokio::test]
async fn an_issuer_may_serve_several_audiences() {
    let server = Server::start();
    let other = Settings {
        audience: "other".into(),
        single_audience: true,
        groups_claim: "roles".into(),
        ..settings(&server.url)
    };
    let bench = Bench::of(server.clone(), vec![settings(&server.url), other]);
    let mut claims = bench.claims();
    claims["aud"] = "other".into();
    claims["roles"] = json!(["dba"]);
    let proof = bench.oidc.verify(&token(&rs256("rsa"), &claims)).await;
    assert_eq!(proof.unwrap().groups, ["dba"]);
    claims["aud"] = json!(["other", "third"]);
    assert_refused!(
        bench.oidc.verify(&token(&rs256("rsa"), &claims)).await,
        OidcError::Audience
    );
}

#[tokio::test]
async fn a_token_without_a_keys_name_needs_a_single_key() {
    let bench = Bench::new();
    assert!(bench.verify(json!({"alg": "RS256"})).await.is_ok());
    bench
        .server
        .change(|script| script.keys = vec![rsa_jwk("a"), rsa_jwk("b")]);
    bench.pass(HOUR);
    assert_refused!(bench.verify(json!({"alg": "RS256"})).await, OidcError::UnknownKey);
}

#[tokio::test]
async fn a_token_is_accepted_once() {
    let bench = Bench::with(|settings| settings.once = true);
    assert!(bench.verify(rs256("rsa")).await.is_ok());
    assert_refused!(bench.verify(rs256("rsa")).await, OidcError::Replayed);
    assert!(bench.verify_claims("jti", json!("2")).await.is_ok());
    assert_refused!(
        bench.verify_claims("jti", Value::Null).await,
        OidcError::Claim("jti")
    );
    // A forged token takes nobody's turn.
    let forged = token(&json!({"alg": "RS384", "kid": "rsa"}), &{
        let mut claims = bench.claims();
        claims["jti"] = "3".into();
        claims
    });
    assert_refused!(bench.oidc.verify(&forged).await, OidcError::Signature);
    assert!(bench.verify_claims("jti", json!("3")).await.is_ok());
    // After its end the number may come again.
    bench.pass(301);
    assert!(bench.verify(rs256("rsa")).await.is_ok());
}

#[tokio::test]
async fn fifty_at_once_cause_one_fetch() {
    let bench = Arc::new(Bench::new());
    bench
        .server
        .change(|script| script.delay = Duration::from_millis(50));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let bench = bench.clone();
        tasks.spawn(async move { bench.verify(rs256("rsa")).await.is_ok() });
    }
    assert_eq!(
        tasks.join_all().await.into_iter().filter(|is_ok| *is_ok).count(),
        50
    );
    assert_eq!(bench.server.key_requests(), 1);
    assert_eq!(bench.server.script.lock().unwrap().discoveries, 1);
}

#[tokio::test]
async fn fifty_at_once_learn_of_one_failure() {
    let bench = Arc::new(Bench::with(|settings| {
        settings.jwks_uri = Some(format!("{}/keys", settings.issuer));
    }));
    bench.server.change(|script| {
        script.delay = Duration::from_millis(50);
        script.status = 503;
    });
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let bench = bench.clone();
        tasks.spawn(async move { bench.verify(rs256("rsa")).await });
    }
    for outcome in tasks.join_all().await {
        assert_refused!(outcome, OidcError::KeysUnavailable(_));
    }
    assert_eq!(bench.server.key_requests(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_by_one_more_fetch() {
    let bench = Bench::new();
    assert!(bench.verify(rs256("rsa")).await.is_ok());
    bench.server.change(|script| script.keys = vec![rsa_jwk("next")]);
    assert!(bench.verify(rs256("next")).await.is_ok());
    assert_refused!(bench.verify(rs256("rsa")).await, OidcError::UnknownKey);
    assert_eq!(bench.server.key_requests(), 2);
    // The next only after a while, however many unknown names come.
    bench.server.change(|script| script.keys = vec![rsa_jwk("third")]);
    bench.pass(29);
    for _ in 0..5 {
        assert_refused!(bench.verify(rs256("third")).await, OidcError::UnknownKey);
    }
    assert_eq!(bench.server.key_requests(), 2);
    bench.pass(1);
    assert!(bench.verify(rs256("third")).await.is_ok());
    assert_eq!(bench.server.key_requests(), 3);
}

#[tokio::test]
async fn keys_are_kept_as_long_as_the_issuer_says_within_bounds() {
    for (max_age, kept) in [
        (None, 300),
        (Some(0), 300),
        (Some(900), 900),
        (Some(u64::MAX), 24 * HOUR),
    ] {
        let bench = Bench::new();
        bench.server.change(|script| script.max_age = max_age);
        for (wait, requests) in [(0, 1), (kept - 1, 1), (1, 2)] {
            bench.pass(wait);
            assert!(bench.verify(rs256("rsa")).await.is_ok());
            assert_eq!(bench.server.key_requests(), requests, "{max_age:?} {wait}");
        }
    }
}

#[tokio::test]
async fn old_keys_do_while_the_issuer_is_down() {
    let bench = Bench::new();
    assert!(bench.verify(rs256("rsa")).await.is_ok());
    bench.server.change(|script| script.is_down = true);
    bench.pass(301);
    assert!(bench.verify(rs256("rsa")).await.is_ok());
    assert_refused!(bench.verify(rs256("new")).await, OidcError::KeysUnavailable(_));
    bench.pass(24 * HOUR - 302);
    assert!(bench.verify(rs256("rsa")).await.is_ok());
    bench.pass(1);
    assert_refused!(bench.verify(rs256("rsa")).await, OidcError::KeysUnavailable(_));
    bench.server.change(|script| script.is_down = false);
    // Not at once, but soon.
    assert_refused!(bench.verify(rs256("rsa")).await, OidcError::KeysUnavailable(_));
    bench.pass(31);
    assert!(bench.verify(rs256("rsa")).await.is_ok());
}

#[tokio::test]
async fn a_clock_that_is_set_back_locks_nobody_out() {
    let bench = Bench::new();
    assert!(bench.verify(rs256("rsa")).await.is_ok());
    assert_refused!(bench.verify(rs256("new")).await, OidcError::UnknownKey);
    *bench.now.lock().unwrap() -= 48 * HOUR;
    bench.server.change(|script| script.keys = vec![rsa_jwk("new")]);
    assert!(bench.verify(rs256("new")).await.is_ok());
}

#[tokio::test]
async fn a_fetch_outlives_the_client_that_caused_it() {
    let bench = Bench::new();
    bench
        .server
        .change(|script| script.delay = Duration::from_millis(100));
    let gone = tokio::time::timeout(Duration::from_millis(20), bench.verify(rs256("rsa"))).await;
    assert!(gone.is_err());
    assert!(bench.verify(rs256("rsa")).await.is_ok());
    assert_eq!(bench.server.key_requests(), 1);
}

#[tokio::test]
async fn answers_that_are_not_acceptable_say_why() {
    type Change = fn(&mut issuer::Script);
    let cases: [(Change, &str); 7] = [
        (|script| script.status = 500, "status 500"),
        (
            |script| script.body = Some(format!("{{\"keys\":[]}}{}", " ".repeat(262_144))),
            "larger than 262144 bytes",
        ),
        (|script| script.body = Some("<html>".into()), "not the JSON"),
        (|script| script.keys = vec![json!({}); 101], "101 keys"),
        (
            |script| script.discovery = Some(json!({"issuer": "https://x", "jwks_uri": "https://x"})),
            "another issuer's",
        ),
        (|script| script.discovery = Some(json!({})), "not the JSON"),
        (|script| script.is_down = true, "did not come"),
    ];
    for (change, reason) in cases {
        let bench = Bench::new();
        bench.server.change(change);
        let error = bench.verify(rs256("rsa")).await.unwrap_err();
        assert!(matches!(error, OidcError::KeysUnavailable(_)), "{error:?}");
        let told = Chain(&error).to_string();
        assert!(
            told.contains(reason) && told.contains(&bench.server.url),
            "{told}"
        );
    }
}
