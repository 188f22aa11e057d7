//! Proofs of AWS identities, judged by the sandbox's STS.

mod request;

use super::by_driver::assert_drivers_log_in;
use super::client::by_password;
use super::{assert_is, assert_not_proven, configuration, permit, psql_as, refusal};
use crate::drivers::python;
use crate::support::issuer::base64url;
use crate::support::raw::Message;
use crate::support::{Proxy, Sandbox};
use aws_credential_types::Credentials;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dbproxy::domain::endpoint::Region;
use dbproxy::platform::aws::proof::{PREFIX, prove};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, SystemTime};

pub const AUDIENCE: &str = "dbproxy/it";

/// `[aws_iam]` with the sandbox in the place of STS.
pub fn table(sandbox: &Sandbox, lines: &str) -> String {
    format!(
        "[aws_iam]\naudience = \"{AUDIENCE}\"\nendpoint = \"{}\"\n{lines}\n",
        sandbox.text("/aws/endpoint_url")
    )
}

fn proxy(sandbox: &Sandbox, cedar: &str, lines: &str) -> Proxy {
    let tables = table(sandbox, lines);
    Proxy::start(
        sandbox,
        &configuration(sandbox, &["aws-iam"], cedar, ("", &tables)),
    )
}

/// Keys of a user of `state.json`.
pub fn keys(sandbox: &Sandbox, user: &str) -> Credentials {
    let key = |name: &str| sandbox.text(&format!("/aws/{user}/{name}"));
    Credentials::new(key("access_key_id"), key("secret_access_key"), None, None, "it")
}

fn proof_with(keys: &Credentials, region: &str, audience: &str, made: SystemTime) -> String {
    let region = Region::new(region).unwrap();
    let proof = prove(keys, &region, audience, made).unwrap();
    String::from_utf8(proof.expose().to_vec()).unwrap()
}

pub fn proof(keys: &Credentials) -> String {
    proof_with(keys, "us-east-1", AUDIENCE, SystemTime::now())
}

/// The proof with other fields.
fn altered(proof: &str, change: impl FnOnce(&mut Value)) -> String {
    let json = URL_SAFE_NO_PAD
        .decode(proof.strip_prefix(PREFIX).unwrap())
        .unwrap();
    let mut fields = serde_json::from_slice(&json).unwrap();
    change(&mut fields);
    format!("{PREFIX}{}", base64url(fields.to_string().as_bytes()))
}

/// What is secret about a proof: its session token and its signature come with it.
fn kept(proxy: &mut Proxy, proof: String) -> String {
    proxy.keep_secret(proof.strip_prefix(PREFIX).unwrap());
    let _ = altered(&proof, |fields| {
        for name in ["signature", "token"] {
            if let Some(text) = fields[name].as_str() {
                proxy.keep_secret(text);
            }
        }
    });
    proof
}

fn log_in(proxy: &Proxy, proof: &str) -> Vec<Message> {
    by_password(proxy.port(), "somebody", proof.as_bytes())
}

/// Proofs of the same keys differ by their second only.
fn another_moment() {
    std::thread::sleep(Duration::from_millis(1_100));
}

#[track_caller]
fn assert_in(messages: &[Message]) {
    assert_eq!(messages.last().unwrap().tag, b'Z', "{messages:?}");
}

/// A user below a path, with keys and the right to assume roles; a role like those of IAM Identity Center.
const MAKE: &str = r#"
import boto3, json, os, sys
name, sso, account = sys.argv[1:]
iam = boto3.client("iam")
everything = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "sts:*", "Resource": "*"}]})
user = iam.create_user(UserName=name, Path="/team/")["User"]["Arn"]
iam.put_user_policy(UserName=name, PolicyName="main", PolicyDocument=everything)
key = iam.create_access_key(UserName=name)["AccessKey"]
trust = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": user}, "Action": "sts:AssumeRole"}]})
role = iam.create_role(RoleName=sso, Path="/aws-reserved/sso.amazonaws.com/", AssumeRolePolicyDocument=trust)
print(json.dumps({"user": user, "id": key["AccessKeyId"], "secret": key["SecretAccessKey"], "role": role["Role"]["Arn"]}))
"#;

/// Keys of a session, by the AWS SDK for Python.
const ASSUME: &str = r#"
import boto3, json, sys
answer = boto3.client("sts").assume_role(RoleArn=sys.argv[1], RoleSessionName=sys.argv[2])["Credentials"]
print(json.dumps({"id": answer["AccessKeyId"], "secret": answer["SecretAccessKey"], "token": answer["SessionToken"]}))
"#;

fn boto(sandbox: &Sandbox, (id, secret): (&str, &str), script: &str, arguments: &[&str]) -> Value {
    let output = Command::new(python())
        .args(["-c", script])
        .args(arguments)
        .env("AWS_ENDPOINT_URL", sandbox.text("/aws/endpoint_url"))
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ACCESS_KEY_ID", id)
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn assume(sandbox: &Sandbox, keys: &Credentials, role: &str, session: &str) -> Credentials {
    let own = (keys.access_key_id(), keys.secret_access_key());
    let made = boto(sandbox, own, ASSUME, &[role, session]);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    Credentials::new(text("id"), text("secret"), Some(text("token")), None, "it")
}

#[test]
fn a_user_is_proven_once_by_each_proof() {
    let (sandbox, _turn) = Sandbox::shared();
    let arn = sandbox.text("/aws/dbproxy/arn");
    let cedar = permit(&format!("== IamUser::\"{arn}\""), "app_ro");
    let mut proxy = proxy(sandbox, &cedar, "");
    let keys = keys(sandbox, "dbproxy");
    let first = kept(&mut proxy, proof(&keys));
    assert_is(
        &proxy,
        &psql_as(&proxy, "jane", &first, "select current_user"),
        "app_ro",
    );
    proxy.wait_until_logged(&format!("caller={arn} "));
    assert_not_proven(&proxy, &log_in(&proxy, &first), "was used before");
    // Spelled differently, it is the same one.
    let again = altered(&first, |_| ());
    assert_not_proven(&proxy, &log_in(&proxy, &again), "was used before");
    another_moment();
    let second = kept(&mut proxy, proof(&keys));
    assert_in(&log_in(&proxy, &second));
}

/// Of many connections at once with one proof, one gets in.
#[test]
fn a_proof_that_comes_many_times_at_once_is_good_once() {
    let (sandbox, _turn) = Sandbox::shared();
    let arn = sandbox.text("/aws/dbproxy/arn");
    let proxy = proxy(sandbox, &permit(&format!("== IamUser::\"{arn}\""), "app_ro"), "");
    let proof = proof(&keys(sandbox, "dbproxy"));
    let outcomes: Vec<u8> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| log_in(&proxy, &proof).last().unwrap().tag))
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(
        outcomes.iter().filter(|tag| **tag == b'Z').count(),
        1,
        "{outcomes:?}"
    );
}

#[test]
fn roles_have_the_name_that_iam_knows_whatever_their_session() {
    let (sandbox, _turn) = Sandbox::shared();
    let role = sandbox.text("/aws/role_connect");
    let account = sandbox.text("/aws/accounts/a");
    let set = format!("arn:aws:iam::{account}:role/AWSReservedSSO_Data");
    let cedar = permit(&format!("== IamRole::\"{role}\""), "app_ro")
        + &permit("is IamRole", "app_rw").replace(
            ");",
            ") when { principal has permission_set && principal.permission_set == \"Data\" };",
        );
    let mut proxy = proxy(sandbox, &cedar, "");

    let session = assume(sandbox, &keys(sandbox, "dbproxy"), &role, "jane@example.com");
    let proven = kept(&mut proxy, proof(&session));
    assert_is(
        &proxy,
        &psql_as(&proxy, "jane", &proven, "select current_user"),
        "app_ro",
    );
    proxy.wait_until_logged(&format!("caller={role} "));

    let root = (account.as_str(), sandbox.text("/aws/root_a/secret_access_key"));
    let number = std::process::id();
    let names = [
        format!("jane-{number}"),
        format!("AWSReservedSSO_Data_{number:016x}"),
    ];
    let made = boto(
        sandbox,
        (root.0, &root.1),
        MAKE,
        &[&names[0], &names[1], &account],
    );
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let jane = Credentials::new(text("id"), text("secret"), None, None, "it");
    let session = assume(sandbox, &jane, &text("role"), "jane@example.com");
    let proven = kept(&mut proxy, proof(&session));
    assert_is(
        &proxy,
        &psql_as(&proxy, "jane", &proven, "select current_user"),
        "app_rw",
    );
    proxy.wait_until_logged(&format!("caller={set} "));
    assert!(
        !proxy.log().contains(&names[1]),
        "the end of the name is none of policy's affair"
    );

    // A user's path belongs to the name; no policy speaks of her.
    let refused = by_password(proxy.port(), "app_ro", proof(&jane).as_bytes());
    let [state, message, _] = refusal(&refused);
    assert_eq!(state, "42501");
    let arn = format!("arn:aws:iam::{account}:user/team/{}", names[0]);
    assert!(
        message.starts_with(&format!("{arn} may not connect")),
        "{message}"
    );
}

/// Anybody has an AWS account; policy is not asked about those of others.
#[test]
fn callers_of_accounts_that_are_not_listed_are_not_proven() {
    let (sandbox, _turn) = Sandbox::shared();
    let arn = sandbox.text("/aws/dbproxy/arn");
    let cedar = permit(&format!("== IamUser::\"{arn}\""), "app_ro");
    let account = sandbox.text("/aws/accounts/a");
    let keys = keys(sandbox, "dbproxy");
    let other = proxy(sandbox, &cedar, "accounts = [\"999999999999\"]");
    let because = format!("callers of the AWS account {account} are not accepted");
    assert_not_proven(&other, &log_in(&other, &proof(&keys)), &because);
    let lines = format!("accounts = [\"999999999999\", \"{account}\"]");
    assert_in(&log_in(&proxy(sandbox, &cedar, &lines), &proof(&keys)));
}

/// What STS cannot say, the configuration does: who belongs together.
#[test]
fn principals_have_groups_of_the_configuration() {
    let (sandbox, _turn) = Sandbox::shared();
    let arn = sandbox.text("/aws/dbproxy/arn");
    let cedar = permit("in Group::\"oncall\"", "app_ro");
    let groups = format!("[groups]\noncall = ['IamUser::\"{arn}\"']\n");
    let proxy = proxy(sandbox, &cedar, &groups);
    assert_in(&log_in(&proxy, &proof(&keys(sandbox, "dbproxy"))));
    let other = by_password(
        proxy.port(),
        "app_ro",
        proof(&keys(sandbox, "powerless")).as_bytes(),
    );
    let [state, message, _] = refusal(&other);
    assert_eq!(state, "42501");
    let other = sandbox.text("/aws/powerless/arn");
    assert!(message.starts_with(&other), "{message}");
}

/// One refusal for all of them; the log tells them apart.
#[test]
fn proofs_that_prove_nothing() {
    let (sandbox, _turn) = Sandbox::shared();
    let arn = sandbox.text("/aws/dbproxy/arn");
    let cedar = permit(&format!("== IamUser::\"{arn}\""), "app_ro");
    let mut proxy = proxy(
        sandbox,
        &cedar,
        "regions = [\"us-east-1\", \"eu-west-1\"]\nmax_age = \"90s\"",
    );
    let keys = keys(sandbox, "dbproxy");
    let now = SystemTime::now();
    let at = |made: SystemTime| proof_with(&keys, "us-east-1", AUDIENCE, made);
    let good = proof(&keys);
    let flipped = altered(&good, |fields| {
        let signature = fields["signature"].as_str().unwrap();
        let last = if signature.ends_with('0') { "1" } else { "0" };
        fields["signature"] = json!(format!("{}{last}", &signature[..63]));
    });
    let other_key = altered(&good, |fields| {
        let scope = fields["credential"].as_str().unwrap();
        let powerless = sandbox.text("/aws/powerless/access_key_id");
        fields["credential"] = json!(scope.replace(keys.access_key_id(), &powerless));
    });
    let younger = altered(&at(now - Duration::from_secs(60)), |fields| {
        let young = altered_date(&good);
        fields["date"] = json!(young);
    });
    let unknown = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "it");
    let proofs = [
        (flipped, "SignatureDoesNotMatch"),
        (other_key, "SignatureDoesNotMatch"),
        (younger, "SignatureDoesNotMatch"),
        (
            proof_with(&keys, "us-east-1", "dbproxy/other", now),
            "SignatureDoesNotMatch",
        ),
        (
            proof_with(&unknown, "us-east-1", AUDIENCE, now),
            "AWS STS refuses the proof",
        ),
        (at(now - Duration::from_secs(91)), "is too old"),
        (at(now + Duration::from_secs(90)), "is dated in the future"),
        (
            proof_with(&keys, "us-east-2", AUDIENCE, now),
            "of this AWS region are not accepted",
        ),
        (
            altered(&good, |fields| fields["host"] = json!("evil.example")),
            "is malformed",
        ),
        (
            altered(&good, |fields| fields["region"] = json!("evil.example/")),
            "of this AWS region are not accepted",
        ),
        (format!("{PREFIX}x"), "is malformed"),
        (format!("{PREFIX}{}", "A".repeat(20_000)), "is malformed"),
    ];
    for (proof, because) in proofs {
        proxy.keep_secret(
            proof
                .strip_prefix(PREFIX)
                .unwrap()
                .get(..64)
                .unwrap_or("no secret so short"),
        );
        assert_not_proven(&proxy, &log_in(&proxy, &proof), because);
    }
    // What others have made of it has not used it up.
    let good = kept(&mut proxy, good);
    assert_in(&log_in(&proxy, &good));
    let session = assume(sandbox, &keys, &sandbox.text("/aws/role_connect"), "it");
    let stolen = Credentials::new(
        session.access_key_id(),
        session.secret_access_key(),
        None,
        None,
        "it",
    );
    assert_not_proven(
        &proxy,
        &log_in(&proxy, &proof(&stolen)),
        "AWS STS refuses the proof",
    );
}

fn altered_date(proof: &str) -> String {
    let mut date = String::new();
    let _ = altered(proof, |fields| {
        fields["date"].as_str().unwrap().clone_into(&mut date);
    });
    date
}

#[test]
fn every_driver_can_present_a_proof_of_a_session() {
    let (sandbox, _turn) = Sandbox::shared();
    let role = sandbox.text("/aws/role_connect");
    let cedar = permit(&format!("== IamRole::\"{role}\""), "app_ro");
    let proxy = proxy(sandbox, &cedar, "");
    let session = assume(sandbox, &keys(sandbox, "dbproxy"), &role, "it");
    let another = || {
        another_moment();
        proof(&session)
    };
    assert_drivers_log_in(&proxy, "jane", another, "app_ro");
}

/// While STS is away nobody is proven, but nobody is taken for a guesser, and the proof is not used up.
#[test]
fn an_sts_that_does_not_answer_is_no_guess_of_the_client() {
    let sandbox = Sandbox::alone();
    let arn = sandbox.text("/aws/dbproxy/arn");
    let cedar = permit(&format!("== IamUser::\"{arn}\""), "app_ro");
    let tables = table(&sandbox, "");
    let head = "login_failures_per_minute = 1";
    let proxy = Proxy::start(
        &sandbox,
        &configuration(&sandbox, &["aws-iam"], &cedar, (head, &tables)),
    );
    let proof = proof(&keys(&sandbox, "dbproxy"));
    for (status, because) in [(503, "its status is 503"), (400, "AWS STS is asked too often")] {
        let fault = json!({"service": "sts", "action": "GetCallerIdentity", "status": status, "count": 1});
        sandbox.switch("fault", &fault);
        assert_not_proven(&proxy, &log_in(&proxy, &proof), because);
    }
    assert_in(&log_in(&proxy, &proof));
    // A key that was switched off proves nothing from that moment on.
    let id = sandbox.text("/aws/dbproxy/access_key_id");
    another_moment();
    sandbox.switch("key", &json!({"access_key_id": id, "status": "Inactive"}));
    let off = self::proof(&keys(&sandbox, "dbproxy"));
    assert_not_proven(&proxy, &log_in(&proxy, &off), "AWS STS refuses the proof");
}
