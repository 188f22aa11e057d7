use super::*;
use serde_json::json;

const NOW: u64 = 1_000_000;

fn settings() -> Settings {
    Settings {
        issuer: "https://issuer.example".into(),
        audience: "dbproxy".into(),
        jwks_uri: None,
        groups_claim: "groups".into(),
        max_lifetime: Duration::from_secs(3_600),
        single_audience: false,
        once: false,
    }
}

/// Acceptable claims with these in addition or instead; `null` takes one away.
fn claims(changes: Value) -> Claims {
    let claims = json!({
        "iss": "https://issuer.example", "aud": "dbproxy", "sub": "ada",
        "iat": NOW - 10, "exp": NOW + 600,
    });
    let mut claims = claims.as_object().unwrap().clone();
    let Value::Object(changes) = changes else {
        panic!("changes are a map");
    };
    for (name, value) in changes {
        if value.is_null() {
            claims.remove(&name);
        } else {
            claims.insert(name, value);
        }
    }
    Claims::new(claims)
}

fn proof(changes: Value) -> Result<Proof, OidcError> {
    claims(changes).proof(&settings(), UNIX_EPOCH + Duration::from_secs(NOW))
}

/// The error in short.
fn refusal(changes: Value) -> String {
    format!("{:?}", proof(changes).unwrap_err())
}

#[test]
fn what_is_acceptable_is_handed_on() {
    let said = json!({
        "email": "ada@example.org", "email_verified": true, "groups": ["dba", "on call"],
        AWS: {"aws_account": "123456789012", "principal_tags": {"team": "x"}, "org_id": "o-1"},
    });
    let proof = proof(said).unwrap();
    assert_eq!(proof.issuer, "https://issuer.example");
    assert_eq!(proof.subject, "ada");
    assert_eq!(proof.email.as_deref(), Some("ada@example.org"));
    assert_eq!(proof.groups, ["dba", "on call"]);
    assert_eq!(proof.expires, UNIX_EPOCH + Duration::from_secs(NOW + 600));
    let said: Vec<_> = proof
        .claims
        .iter()
        .map(|(name, text)| format!("{name}={text}"))
        .collect();
    assert_eq!(said, ["aws_account=123456789012", "org_id=o-1"]);
}

#[test]
fn the_audience_must_be_named() {
    let single = Settings {
        single_audience: true,
        ..settings()
    };
    for (audience, is_accepted, is_accepted_alone) in [
        (json!("dbproxy"), true, true),
        (json!(["dbproxy"]), true, true),
        (json!(["other", "dbproxy"]), true, false),
        (json!(["dbproxy", "dbproxy"]), true, false),
        (json!(["dbproxy", 7]), false, false),
        (json!("dbproxy2"), false, false),
        (json!("DBPROXY"), false, false),
        (json!("other dbproxy"), false, false),
        (json!([]), false, false),
        (json!({"dbproxy": true}), false, false),
        (json!(null), false, false),
    ] {
        let claims = claims(json!({ "aud": audience }));
        assert_eq!(claims.is_for(&settings()), is_accepted, "{audience}");
        assert_eq!(claims.is_for(&single), is_accepted_alone, "{audience}");
    }
}

#[test]
fn a_token_is_valid_between_its_times() {
    for changes in [
        json!({"exp": NOW + 1}),
        json!({"exp": NOW as f64 + 0.5}),
        json!({"iat": NOW + 60, "nbf": NOW + 60}),
        json!({"iat": NOW - 3_000}),
        json!({"iat": NOW, "exp": NOW + 3_600}),
    ] {
        assert!(proof(changes.clone()).is_ok(), "{changes}");
    }
    for (changes, expected) in [
        (json!({"exp": NOW}), "Expired"),
        (json!({"exp": 0}), "Expired"),
        (json!({"iat": NOW + 61}), "NotYet"),
        (json!({"nbf": NOW + 61}), "NotYet"),
        (json!({"iat": NOW, "exp": NOW + 3_601}), "Claim(\"exp\")"),
        (json!({"iat": NOW + 50, "exp": NOW + 40}), "Claim(\"exp\")"),
        (json!({"exp": null}), "Claim(\"exp\")"),
        (json!({"iat": null}), "Claim(\"iat\")"),
        (json!({"exp": "2000000"}), "Claim(\"exp\")"),
        (json!({"exp": -1}), "Claim(\"exp\")"),
        (json!({"exp": u64::MAX}), "Claim(\"exp\")"),
        (json!({"exp": 1e300}), "Claim(\"exp\")"),
        (json!({"iat": -0.5}), "Claim(\"iat\")"),
        (json!({"nbf": true}), "Claim(\"nbf\")"),
    ] {
        assert_eq!(refusal(changes.clone()), expected, "{changes}");
    }
}

#[test]
fn names_are_plain_and_of_bounded_length() {
    assert!(proof(json!({"sub": "a".repeat(255)})).is_ok());
    for sub in [
        json!(null),
        json!(""),
        json!(7),
        json!("a".repeat(256)),
        json!("a\nb"),
        json!("a\0"),
        json!("a\u{85}"),
    ] {
        assert_eq!(refusal(json!({"sub": sub})), "Claim(\"sub\")", "{sub}");
    }
    assert_eq!(claims(json!({"jti": "1"})).id().unwrap(), "1");
    for jti in [json!(null), json!(""), json!(1), json!("a".repeat(256))] {
        assert!(claims(json!({ "jti": jti })).id().is_err(), "{jti}");
    }
}

#[test]
fn an_address_counts_unless_the_issuer_doubts_it() {
    for (verified, is_kept) in [
        (json!(null), true),
        (json!(true), true),
        (json!("true"), true),
        (json!(false), false),
        (json!("false"), false),
        (json!(0), false),
    ] {
        let proof = proof(json!({"email": "a@b", "email_verified": verified})).unwrap();
        assert_eq!(proof.email.is_some(), is_kept, "{verified}");
    }
    assert_eq!(refusal(json!({"email": ["a@b"]})), "Claim(\"email\")");
    assert_eq!(refusal(json!({"email": "a@b\r\nc"})), "Claim(\"email\")");
}

#[test]
fn groups_are_few_short_texts() {
    let many = |count: usize| vec!["g"; count];
    assert_eq!(proof(json!({"groups": many(200)})).unwrap().groups.len(), 200);
    assert_eq!(proof(json!({"groups": "dba"})).unwrap().groups, ["dba"]);
    assert!(proof(json!({"groups": ["g".repeat(128)]})).is_ok());
    assert!(proof(json!({})).unwrap().groups.is_empty());
    for groups in [
        json!(many(201)),
        json!(["g".repeat(129)]),
        json!(["dba", 7]),
        json!(["dba", null]),
        json!([["dba"]]),
        json!([""]),
        json!(["a\nb"]),
        json!({"dba": true}),
        json!(true),
    ] {
        assert_eq!(
            refusal(json!({ "groups": groups })),
            "Claim(\"groups\")",
            "{groups}"
        );
    }
    let elsewhere = json!({"_claim_names": {"groups": "src1"}});
    assert_eq!(refusal(elsewhere), "Claim(\"groups\")");
}

#[test]
fn what_aws_says_is_bounded() {
    let refused = format!("Claim({AWS:?})");
    let many: Map<String, Value> = (0..65).map(|n| (n.to_string(), json!("x"))).collect();
    for said in [
        json!(many),
        json!({"a": "x".repeat(2_049)}),
        json!({"a": "\u{7}"}),
        json!({"": "x"}),
    ] {
        assert_eq!(refusal(json!({ AWS: said })), refused);
    }
    assert!(proof(json!({ AWS: "text" })).unwrap().claims.is_empty());
}
