use super::*;
use aws_lc_rs::{digest, hmac};
use proptest::prelude::*;

pub(crate) const KEY_ID: &str = "ASIAEXAMPLE234567ABC";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub(crate) const TOKEN: &str = "FwoGZXIvYXdz/SESSION+TOKEN==";
const AUDIENCE: &str = "dbproxy/prod";
const AGE: Duration = Duration::from_secs(120);

/// 2026-11-22T00:00:00Z
pub(crate) fn signing_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_305_600)
}

fn credentials(token: Option<&str>) -> Credentials {
    Credentials::new(KEY_ID, SECRET, token.map(str::to_owned), None, "test")
}

pub(crate) fn proof_for(region: &str, audience: &str, token: Option<&str>) -> Vec<u8> {
    let region = Region::new(region).unwrap();
    let proof = prove(&credentials(token), &region, audience, signing_time()).unwrap();
    proof.expose().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Signature Version 4 of a GET without a body, from the standard's own description (IAM User Guide,
/// "Create a signed AWS API request"): the query is as it was received, without its signature.
pub(crate) fn signature(secret: &str, query: &str, headers: &[(&str, &str)]) -> String {
    let mut pairs: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.starts_with("X-Amz-Signature="))
        .collect();
    pairs.sort_unstable();
    let value = |name: &str| {
        let pair = pairs.iter().find_map(|pair| pair.strip_prefix(name)).unwrap();
        pair.strip_prefix('=').unwrap().replace("%2F", "/")
    };
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let canonical = format!(
        "GET\n/\n{}\n{lines}\n{}\n{}",
        pairs.join("&"),
        names.join(";"),
        hex(digest::digest(&digest::SHA256, b"").as_ref())
    );
    let credential = value("X-Amz-Credential");
    let scope = credential.split_once('/').unwrap().1;
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
        value("X-Amz-Date"),
        hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
    );
    let mac = |key: &[u8], text: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
    };
    let first = format!("AWS4{secret}").into_bytes();
    let key = scope.split('/').fold(first, |key, part| mac(&key, part));
    hex(&mac(&key, &to_sign))
}

fn query_of(url: &str) -> &str {
    url.split_once("/?").unwrap().1
}

/// Made with botocore for the same request without the audience.
#[test]
fn the_tests_own_signer_agrees_with_an_independent_one() {
    let query = "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIDEXAMPLE%2F20261122%2Fus-east-1%2Fsts%2Faws4_request\
        &X-Amz-Date=20261122T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host";
    assert_eq!(
        signature(SECRET, query, &[("host", "sts.us-east-1.amazonaws.com")]),
        "91723f7e2e7b69c1f5294f12b122d42a33a3c3dbe24fadfec53ef96e30ff45bb"
    );
}

/// The same, with it.
#[test]
fn rebuilt_urls_are_those_of_an_independent_implementation() {
    let common = "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256";
    for (region, token, url) in [
        (
            "us-east-1",
            None,
            format!(
                "https://sts.us-east-1.amazonaws.com/?{common}\
                &X-Amz-Credential=ASIAEXAMPLE234567ABC%2F20261122%2Fus-east-1%2Fsts%2Faws4_request\
                &X-Amz-Date=20261122T000000Z&X-Amz-Expires=60\
                &X-Amz-SignedHeaders=host%3Bx-dbproxy-audience\
                &X-Amz-Signature=f21c0c4e4f3c8f3b0ef22877b3526f678b72e96d2df1bae3a8b9fb9a239ef5d9"
            ),
        ),
        (
            "cn-north-1",
            Some(TOKEN),
            format!(
                "https://sts.cn-north-1.amazonaws.com.cn/?{common}\
                &X-Amz-Credential=ASIAEXAMPLE234567ABC%2F20261122%2Fcn-north-1%2Fsts%2Faws4_request\
                &X-Amz-Date=20261122T000000Z&X-Amz-Expires=60\
                &X-Amz-SignedHeaders=host%3Bx-dbproxy-audience\
                &X-Amz-Security-Token=FwoGZXIvYXdz%2FSESSION%2BTOKEN%3D%3D\
                &X-Amz-Signature=e42996c5bd81c27becd522a33739c18dea35673b5eae1e6d3d17e1d4243f2905"
            ),
        ),
    ] {
        let proof = proof_for(region, AUDIENCE, token);
        let rebuilt = rebuild(&proof, AUDIENCE, signing_time(), AGE).unwrap();
        assert_eq!(rebuilt.url, url);
    }
}

#[test]
fn what_is_rebuilt_is_what_was_signed() {
    for (region, host) in [
        ("us-east-1", "sts.us-east-1.amazonaws.com"),
        ("ap-southeast-7", "sts.ap-southeast-7.amazonaws.com"),
        ("mx-central-1", "sts.mx-central-1.amazonaws.com"),
        ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
        ("cn-northwest-1", "sts.cn-northwest-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu"),
        ("us-iso-east-1", "sts.us-iso-east-1.c2s.ic.gov"),
        ("us-isob-east-1", "sts.us-isob-east-1.sc2s.sgov.gov"),
        ("eu-isoe-west-1", "sts.eu-isoe-west-1.cloud.adc-e.uk"),
        ("us-isof-south-1", "sts.us-isof-south-1.csp.hci.ic.gov"),
    ] {
        for token in [None, Some(TOKEN)] {
            let proof = proof_for(region, AUDIENCE, token);
            assert!(looks_like_proof(&proof));
            let rebuilt = rebuild(&proof, AUDIENCE, signing_time(), AGE).unwrap();
            let headers = [("host", host), (AUDIENCE_HEADER, AUDIENCE)];
            assert_eq!(
                rebuilt.signature,
                signature(SECRET, query_of(&rebuilt.url), &headers),
                "{region}"
            );
            assert!(rebuilt.url.starts_with(&format!(
                "https://{host}/?Action=GetCallerIdentity&Version=2011-06-15&"
            )));
            assert!(rebuilt.url.contains("&X-Amz-Expires=60&"));
            assert_eq!(rebuilt.url, format!("https://{host}{}", rebuilt.target()));
            assert_eq!(
                (rebuilt.host.as_str(), rebuilt.key_id.as_str(), rebuilt.signed_at),
                (host, KEY_ID, signing_time())
            );
            let other = signature(
                SECRET,
                query_of(&rebuilt.url),
                &[("host", host), (AUDIENCE_HEADER, "another")],
            );
            assert_ne!(rebuilt.signature, other);
        }
    }
}

#[test]
fn a_proof_names_neither_host_nor_audience_and_is_small() {
    let proof = proof_for("us-east-1", "the-broker", Some(TOKEN));
    let json = URL_SAFE_NO_PAD.decode(&proof[PREFIX.len()..]).unwrap();
    let json: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&json).unwrap();
    let mut names: Vec<&str> = json.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["credential", "date", "region", "signature", "token"]);
    assert!(!format!("{json:?}").contains("the-broker"));
    let debug = format!(
        "{:?}",
        rebuild(&proof, "the-broker", signing_time(), AGE).unwrap()
    );
    assert!(
        !debug.contains("SESSION") && !debug.contains("Signature"),
        "{debug}"
    );
}

#[test]
fn what_cannot_be_verified_is_not_made() {
    let region = Region::new("us-east-1").unwrap();
    let with = |credentials: &Credentials, region: &Region, audience: &str| {
        prove(credentials, region, audience, signing_time()).unwrap_err()
    };
    let sound = credentials(None);
    let nowhere = Region::new("moon-dark-side-1").unwrap();
    assert!(matches!(with(&sound, &nowhere, AUDIENCE), ProveError::Region(_)));
    for audience in ["", "two words", " led", "caf\u{e9}", "a\nb", &"a".repeat(256)] {
        assert!(
            matches!(with(&sound, &region, audience), ProveError::Audience),
            "{audience}"
        );
    }
    let short = Credentials::new("AKIA", SECRET, None, None, "test");
    assert!(matches!(with(&short, &region, AUDIENCE), ProveError::KeyId));
    assert!(matches!(
        with(&credentials(Some("a b")), &region, AUDIENCE),
        ProveError::Token
    ));
    let long = credentials(Some(&"t".repeat(13_000)));
    assert!(matches!(with(&long, &region, AUDIENCE), ProveError::TooLong));
    assert_eq!(
        rebuild(
            &proof_for("us-east-1", AUDIENCE, None),
            "two words",
            signing_time(),
            AGE
        ),
        Err(ProofError::Audience)
    );
}

fn encoded(json: &str) -> Vec<u8> {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json)).into_bytes()
}

/// A good proof as JSON with one text in it replaced.
fn changed(from: &str, to: &str) -> Vec<u8> {
    let signature = "0123456789abcdef".repeat(4);
    let json = format!(
        r#"{{"region":"us-east-1","credential":"{KEY_ID}/20261122/us-east-1/sts/aws4_request","date":"20261122T000000Z","token":"abc","signature":"{signature}"}}"#
    );
    assert!(json.contains(from), "{from}");
    encoded(&json.replacen(from, to, 1))
}

fn refusal(proof: &[u8]) -> Option<ProofError> {
    rebuild(proof, AUDIENCE, signing_time(), AGE).err()
}

#[test]
fn every_field_has_one_shape() {
    use ProofError::{Field, Json};
    assert_eq!(refusal(&changed("abc", "abc")), None);
    assert_eq!(refusal(&changed(r#""token":"abc","#, "")), None);
    let long = "A".repeat(129);
    for (from, to, error) in [
        ("20261122T", "20261122t", Field("date")),
        ("20261122T000000Z", "20261122T000000", Field("date")),
        ("20261122T000000Z", "20261122T000000Z ", Field("date")),
        ("20261122T000000Z", " 20261122T000000Z", Field("date")),
        ("20261122T000000Z", "2026-11-22T00:00:00Z", Field("date")),
        ("20261122T000000Z", "20261121T235960Z", Field("date")),
        ("20261122T000000Z", "20261132T000000Z", Field("date")),
        ("20261122T000000Z", "20261122T0000000Z", Field("date")),
        ("20261122T000000Z", "+20261122T000000Z", Field("date")),
        ("20261122T000000Z", "", Field("date")),
        ("/20261122/", "/20261121/", Field("credential")),
        ("/us-east-1/sts", "/us-east-2/sts", Field("credential")),
        ("/sts/", "/iam/", Field("credential")),
        ("aws4_request\"", "aws4_request/\"", Field("credential")),
        ("aws4_request\"", "aws4_request&X=1\"", Field("credential")),
        (KEY_ID, "", Field("credential")),
        (KEY_ID, "AKIASHORT", Field("credential")),
        (KEY_ID, &long, Field("credential")),
        (KEY_ID, "akiaexample234567abc", Field("credential")),
        (KEY_ID, "AKIAEXAMPLE23456 7ABC", Field("credential")),
        (KEY_ID, "AKIAEXAMPLE234567&ABC", Field("credential")),
        ("\"abc\"", "\"\"", Field("token")),
        ("\"abc\"", "\"a b\"", Field("token")),
        ("\"abc\"", "\"a\\nb\"", Field("token")),
        ("\"abc\"", "\"\u{e9}\"", Field("token")),
        ("\"abc\"", "null", Json),
        ("\"abc\"", "1", Json),
        ("\"abc\"", "[\"abc\"]", Json),
        ("cdef\"", "cdeF\"", Field("signature")),
        ("cdef\"", "cde\"", Field("signature")),
        ("cdef\"", "cdef0\"", Field("signature")),
        ("cdef\"", "cdeg\"", Field("signature")),
        ("\"token\"", "\"host\"", Json),
        ("\"token\":", "\"region\":\"us-east-1\",\"token\":", Json),
        ("\"token\":", "\"token\":\"x\",\"token\":", Json),
        ("\"region\":\"us-east-1\",", "", Json),
        ("{", "[{", Json),
        ("{", " {", Json),
        ("}", "}{}", Json),
    ] {
        assert_eq!(refusal(&changed(from, to)), Some(error), "{from} -> {to}");
    }
    let array = format!(r#"["us-east-1","a","b","c","{}"]"#, "0".repeat(64));
    assert_eq!(refusal(&encoded(&array)), Some(Json));
}

#[test]
fn a_region_cannot_lead_elsewhere() {
    for region in [
        "",
        "us-east-1.evil.com/",
        "us-east-1.evil.com",
        "us-east-1/",
        "us-east-1#",
        "us-east-1?x=",
        "us-east-1@evil.com",
        "evil.com/us-east-1",
        "us-east-1:443",
        "us-east-1 ",
        "us-east-1\\r\\n",
        "US-EAST-1",
        "us-east-01",
        "us-east-100",
        "us-east-1a",
        "us-evil-1",
        "usa-east-1",
        "us-west-2-lax-1",
        "us-east-east-1",
        "us-gov-1",
        "global",
        "aws-global",
        "\u{ff55}s-east-1",
        "us--east-1",
        "us-east-",
    ] {
        let proof = changed("\"region\":\"us-east-1\"", &format!("\"region\":\"{region}\""));
        assert_eq!(refusal(&proof), Some(ProofError::Region), "{region}");
    }
}

#[test]
fn the_envelope_is_strict() {
    let good = changed("abc", "abc");
    let padded = [&good[..], b"="].concat();
    assert_eq!(refusal(&padded), Some(ProofError::Encoding));
    assert_eq!(refusal(&[&good[..], b"\n"].concat()), Some(ProofError::Encoding));
    assert_eq!(refusal(&good[1..]), Some(ProofError::NotAProof));
    assert_eq!(refusal(b""), Some(ProofError::NotAProof));
    assert_eq!(refusal(b"dbproxy-aws-v1."), Some(ProofError::Json));
    assert_eq!(refusal(b"dbproxy-aws-v2.e30"), Some(ProofError::NotAProof));
    let long = changed("\"abc\"", &format!("\"{}\"", "a".repeat(13_000)));
    assert_eq!(refusal(&long), Some(ProofError::TooLong));
    let fits = changed("\"abc\"", &format!("\"{}\"", "a".repeat(11_000)));
    assert_eq!(refusal(&fits), None);
}

#[test]
fn a_proof_has_its_time() {
    let proof = changed("abc", "abc");
    let at = |now: SystemTime| rebuild(&proof, AUDIENCE, now, AGE).err();
    let moment = Duration::from_millis(1);
    assert_eq!(at(signing_time() + AGE), None);
    assert_eq!(at(signing_time() + AGE + moment), Some(ProofError::Expired));
    assert_eq!(at(signing_time() - SKEW), None);
    assert_eq!(at(signing_time() - SKEW - moment), Some(ProofError::Future));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), json in ".{0,300}") {
        let _ = refusal(&bytes);
        let _ = refusal(&[PREFIX.as_bytes(), &bytes].concat());
        let _ = refusal(&encoded(&json));
    }

    /// Whatever the fields say: only a host of AWS is asked, by one call, with nothing added.
    #[test]
    fn no_field_changes_the_request(
        region in "[a-z]{2,4}(-[a-z./]{1,9}){1,3}-[0-9]{1,3}|us-east-1|cn-north-1",
        token in "[!-~]{1,60}",
    ) {
        let token = token.replace(['"', '\\'], "&");
        let signature = "a".repeat(64);
        let json = format!(
            r#"{{"region":"{region}","credential":"{KEY_ID}/20261122/{region}/sts/aws4_request","date":"20261122T000000Z","token":"{token}","signature":"{signature}"}}"#
        );
        if let Ok(rebuilt) = rebuild(&encoded(&json), AUDIENCE, signing_time(), AGE) {
            let uri: http::Uri = rebuilt.url.parse().unwrap();
            prop_assert_eq!(uri.host(), Some(rebuilt.host.as_str()));
            prop_assert_eq!(uri.authority().unwrap().as_str(), rebuilt.host.as_str());
            prop_assert_eq!(uri.path(), "/");
            prop_assert_eq!(uri.query().unwrap().split('&').count(), 9);
            let start = format!("sts.{region}.");
            prop_assert!(rebuilt.host.starts_with(&start));
        }
    }
}
