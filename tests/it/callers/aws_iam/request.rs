//! What STS is asked is dbproxy's to say: what else a prover has signed, or would like to be asked, opens nothing.

use super::{AUDIENCE, altered, assert_in, kept, keys, log_in, proof, table};
use crate::callers::{assert_not_proven, configuration, permit};
use crate::support::{Proxy, Sandbox};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use dbproxy::platform::aws::proof::{AUDIENCE_HEADER, EXPIRES, NONCE_HEADER};
use serde_json::json;
use std::time::{Duration, SystemTime};

const HOST: &str = "sts.us-east-1.amazonaws.com";
const CALL: &str = "/?Action=GetCallerIdentity&Version=2011-06-15";

/// Without a limit to failures.
fn proxy(sandbox: &Sandbox) -> Proxy {
    let arn = sandbox.text("/aws/dbproxy/arn");
    let cedar = permit(&format!("== IamUser::\"{arn}\""), "app_ro");
    let (head, tables) = ("login_failures_per_minute = 0", table(sandbox, ""));
    let config = configuration(sandbox, &["aws-iam"], &cedar, (head, &tables));
    Proxy::start(sandbox, &config)
}

/// A request as somebody else may sign it.
struct Request {
    host: &'static str,
    call: String,
    headers: Vec<(&'static str, String)>,
    expires: Duration,
}

/// The same request as dbproxy's, but for a change: as a proof, which can say only who signed, when, and the signature.
fn proof_of(keys: &Credentials, change: impl FnOnce(&mut Request)) -> String {
    let mut nonce = String::new();
    let genuine = altered(&proof(keys), |fields| {
        fields["nonce"].as_str().unwrap().clone_into(&mut nonce);
    });
    let mut request = Request {
        host: HOST,
        call: CALL.to_owned(),
        headers: vec![(AUDIENCE_HEADER, AUDIENCE.to_owned()), (NONCE_HEADER, nonce)],
        expires: EXPIRES,
    };
    change(&mut request);
    let mut settings = SigningSettings::default();
    settings.expires_in = Some(request.expires);
    settings.signature_location = SignatureLocation::QueryParams;
    settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
    let identity = keys.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("sts")
        .time(SystemTime::now())
        .settings(settings);
    let parameters = parameters.build().unwrap().into();
    let url = format!("https://{}{}", request.host, request.call);
    let headers = request
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()));
    let signable = SignableRequest::new("GET", &url, headers, SignableBody::Bytes(&[])).unwrap();
    let (signed, _) = sign(signable, &parameters).unwrap().into_parts();
    let signed = signed.into_parts().1;
    altered(&genuine, |fields| {
        let names = [
            ("credential", "X-Amz-Credential"),
            ("date", "X-Amz-Date"),
            ("signature", "X-Amz-Signature"),
        ];
        for (field, parameter) in names {
            let (_, value) = signed.iter().find(|(name, _)| *name == parameter).unwrap();
            fields[field] = json!(value);
        }
    })
}

#[test]
fn whatever_else_was_signed_is_another_request() {
    let (sandbox, _turn) = Sandbox::shared();
    let mut proxy = proxy(sandbox);
    let keys = keys(sandbox, "dbproxy");
    let changes: [fn(&mut Request); 9] = [
        |request| request.host = "sts.eu-west-1.amazonaws.com",
        |request| request.host = "sts.amazonaws.com",
        |request| request.host = "sts.us-east-1.amazonaws.com.evil.example",
        |request| request.call += "&DurationSeconds=900",
        |request| request.call = CALL.replace("GetCallerIdentity", "GetSessionToken"),
        |request| request.call = CALL.replacen('/', "/other", 1),
        |request| request.expires = Duration::from_secs(900),
        |request| request.headers.push(("x-more", "of it".to_owned())),
        |request| drop(request.headers.remove(0)),
    ];
    for change in changes {
        let proof = kept(&mut proxy, proof_of(&keys, change));
        assert_not_proven(&proxy, &log_in(&proxy, &proof), "SignatureDoesNotMatch");
    }
    // Without a change it is a good one.
    let proof = kept(&mut proxy, proof_of(&keys, |_| {}));
    assert_in(&log_in(&proxy, &proof));
}

/// There is no place in a proof for another host, call or header, neither beside its fields nor inside of them.
#[test]
fn a_proof_cannot_add_to_the_request() {
    let (sandbox, _turn) = Sandbox::shared();
    let mut proxy = proxy(sandbox);
    let keys = keys(sandbox, "dbproxy");
    let good = kept(&mut proxy, proof(&keys));
    for (field, value) in [
        ("host", json!("evil.example")),
        ("url", json!("https://evil.example/")),
        ("endpoint", json!("https://evil.example/")),
        ("action", json!("AssumeRole")),
        ("query", json!({"Action": "AssumeRole"})),
        ("headers", json!({"host": "evil.example"})),
        ("audience", json!(AUDIENCE)),
        ("token", json!(null)),
        ("token", json!("a token\r\nhost: evil.example")),
    ] {
        let proof = altered(&good, |fields| fields[field] = value);
        assert_not_proven(&proxy, &log_in(&proxy, &proof), "malformed");
    }
    for field in ["credential", "date", "nonce", "signature"] {
        for end in [
            "&Action=AssumeRole",
            "#",
            "\r\nhost: evil.example",
            "%26",
            "@evil.example",
        ] {
            let proof = altered(&good, |fields| {
                fields[field] = json!(format!("{}{end}", fields[field].as_str().unwrap()));
            });
            assert_not_proven(&proxy, &log_in(&proxy, &proof), "malformed");
        }
    }
    // What a session token may hold stays one parameter, whatever it looks like.
    let token = altered(&good, |fields| fields["token"] = json!("x&Action=AssumeRole#%26"));
    assert_not_proven(&proxy, &log_in(&proxy, &token), "AWS STS refuses the proof");
    assert_in(&log_in(&proxy, &good));
}
