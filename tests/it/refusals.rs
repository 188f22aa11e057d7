//! Every refusal reaches the client with SQLSTATE, cause and a hint that mends it.

use crate::support::raw::startup;
use crate::support::{Proxy, Raw, Sandbox};
use serde_json::json;
use std::net::TcpListener;

const USERS: &str = r#"db_users = ["app_ro", "app_rw", "app_denied", "app_nogrant"]"#;

/// SQLSTATE, message and hint of a refused connection.
fn refusal(proxy: &Proxy, user: &str, database: &str) -> [String; 3] {
    let mut raw = Raw::connect(proxy.port());
    raw.send(&startup(3 << 16, &[("user", user), ("database", database)]));
    let error = raw.message().expect("an ErrorResponse, not a bare close");
    assert_eq!(error.tag, b'E', "{error:?}");
    assert_eq!(error.field(b'S'), "FATAL");
    assert!(error.field(b'D').contains("dbproxy session "), "{error:?}");
    let session = error
        .field(b'D')
        .split("session ")
        .last()
        .unwrap()
        .trim_end_matches(')')
        .to_owned();
    proxy.wait_until_logged(&session);
    assert!(raw.is_closed(), "a refusal is final");
    [error.field(b'C'), error.field(b'M'), error.field(b'H')]
}

#[track_caller]
fn assert_refused(proxy: &Proxy, user: &str, state: &str, message: &str, hint: &str) {
    let [got_state, got_message, got_hint] = refusal(proxy, user, "app");
    assert_eq!(got_state, state, "{got_message} / {got_hint}");
    assert!(got_message.contains(message), "{got_message}");
    assert!(got_hint.contains(hint), "{got_hint}");
}

#[test]
fn what_policy_denies_says_what_is_allowed() {
    let (sandbox, _turn) = Sandbox::shared();
    let lines = "db_users = [\"app_ro\", \"app_rw\"]\ndatabases = [\"app\"]";
    let proxy = Proxy::start(sandbox, &sandbox.target("orders", lines));
    assert_refused(
        &proxy,
        "postgres",
        "42501",
        "you may be several",
        "You may connect as: app_ro, app_rw",
    );
    let [state, message, hint] = refusal(&proxy, "app_ro", "template1");
    assert_eq!(state, "3D000");
    assert!(
        message.contains("template1") && hint.contains("app"),
        "{message} {hint}"
    );
    // The database defaults to the user before the decision.
    let [_, message, _] = refusal(&proxy, "app_ro", "");
    assert!(message.contains("database \"app_ro\""), "{message}");
    assert_eq!(
        proxy.metric("dbproxy_dial_seconds_count"),
        0.0,
        "nothing was dialled"
    );
    assert_eq!(
        proxy.metric("dbproxy_tokens_total{event=\"minted\"}"),
        0.0,
        "nothing was minted"
    );
}

/// Somebody who asks for no db user of the target becomes the only one, and that is on record.
#[test]
fn who_may_be_one_db_user_only_becomes_that_one() {
    let (sandbox, _turn) = Sandbox::shared();
    let lines = "db_users = [\"app_ro\"]\ndatabases = [\"app\"]\ndefault_database = \"app\"";
    let proxy = Proxy::start(sandbox, &sandbox.target("orders", lines));
    assert_eq!(
        proxy.query("jane", "select current_user, current_database()"),
        "app_ro|app"
    );
    proxy.wait_until_logged("asked_user=\"jane\"");
}

#[test]
fn names_are_exact() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = Proxy::start(sandbox, &sandbox.target("orders", "db_users = [\"*\"]"));
    assert_refused(&proxy, &"x".repeat(64), "28000", "64 bytes", "");
    assert_refused(&proxy, "", "28000", "empty", "");
    let mut raw = Raw::connect(proxy.port());
    raw.send(&crate::support::raw::packet(b"\0\x03\0\0user\0app\xff\0\0"));
    let error = raw.message().unwrap();
    assert!(error.field(b'M').contains("UTF-8"), "{error:?}");
}

#[test]
fn the_links_of_an_iam_login_are_told_apart() {
    let sandbox = Sandbox::alone();
    let proxy = Proxy::start(&sandbox, &sandbox.target("orders", USERS));
    let arn = format!("dbuser:{}/app_denied", sandbox.text("/cluster/resource_id"));
    assert_refused(&proxy, "app_denied", "28000", "refused dbproxy's IAM token", &arn);
    assert_refused(
        &proxy,
        "app_denied",
        "28000",
        "refused",
        &sandbox.text("/aws/dbproxy/arn"),
    );
    // Before anything is known about this cluster, both causes are named ...
    assert_refused(
        &proxy,
        "app_nogrant",
        "28000",
        "asks for a SCRAM password",
        "Either IAM database authentication is off",
    );
    proxy.query("app_ro", "select 1");
    // ... and once IAM was seen to work, only one is left.
    assert_refused(
        &proxy,
        "app_nogrant",
        "28000",
        "asks for a SCRAM password",
        "GRANT rds_iam TO \"app_nogrant\"",
    );
    assert_refused(
        &proxy,
        "app_nogrant",
        "28000",
        "",
        "IAM works here for other db users",
    );

    sandbox.switch("iam-auth", &json!({"enabled": false}));
    let fresh = Proxy::start(&sandbox, &sandbox.target("orders", USERS));
    assert_refused(
        &fresh,
        "app_ro",
        "28000",
        "asks for a SCRAM password",
        "EnableIAMDatabaseAuthentication",
    );
    sandbox.switch("iam-auth", &json!({"enabled": true}));

    let key = sandbox.text("/aws/dbproxy/access_key_id");
    sandbox.switch("key", &json!({"access_key_id": key, "status": "Inactive"}));
    assert_refused(
        &proxy,
        "app_ro",
        "28000",
        "refused dbproxy's IAM token",
        "does not accept dbproxy's access key",
    );
    sandbox.switch("key", &json!({"access_key_id": key, "status": "Active"}));
    proxy.query("app_ro", "select 1");
}

#[test]
fn a_token_for_another_host_or_region_is_named_as_the_cause() {
    let (sandbox, _turn) = Sandbox::shared();
    let wrong_host = format!("{USERS}\ntoken_host = \"db.example.com\"");
    let proxy = Proxy::start(sandbox, &sandbox.target("orders", &wrong_host));
    assert_refused(
        &proxy,
        "app_ro",
        "28000",
        "refused",
        "signed for db.example.com:5432",
    );
    let wrong_region = format!("{USERS}\nregion = \"eu-west-1\"");
    let proxy = Proxy::start(sandbox, &sandbox.target("orders", &wrong_region));
    assert_refused(
        &proxy,
        "app_ro",
        "28000",
        "refused",
        "check `token_host` and `region`",
    );
}

#[test]
fn credentials_that_cannot_be_had_are_explained() {
    let sandbox = Sandbox::alone();
    let role = format!(
        "db_users = [\"app_ro\"]\ncredential = {{ assume_role = {{ role_arn = \"{}\" }} }}",
        sandbox.text("/aws/role_connect")
    );
    let config = sandbox.target("orders", &role);
    let denied = Proxy::start_as(&sandbox, "powerless", &config, &[]);
    assert_refused(
        &denied,
        "app_ro",
        "28000",
        "could not assume role arn:",
        "trust policy",
    );
    assert_eq!(
        denied.metric("dbproxy_dial_seconds_count"),
        0.0,
        "no server is dialled without a credential"
    );

    let down = Proxy::start(&sandbox, &config);
    sandbox.switch("fault", &json!({"service": "sts", "status": 503, "count": -1}));
    assert_refused(
        &down,
        "app_ro",
        "28000",
        "could not assume role",
        "The AWS API does not answer",
    );
    sandbox.switch("fault", &json!({"clear": true}));

    let keyless = Proxy::start_as(&sandbox, "nobody", &config, &[]);
    assert_refused(
        &keyless,
        "app_ro",
        "28000",
        "could not find AWS credentials",
        "AWS_PROFILE",
    );
}

#[test]
fn a_server_that_cannot_be_reached_or_trusted_is_refused() {
    let (sandbox, _turn) = Sandbox::shared();
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]");
    let address = format!(
        "{}:{}",
        sandbox.text("/cluster/writer/address"),
        sandbox.text("/cluster/writer/port")
    );
    let elsewhere = |at: &str| target.replace(&format!("dial = \"{address}\""), &format!("dial = \"{at}\""));

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::start(sandbox, &elsewhere(&nobody.to_string()));
    assert_refused(
        &proxy,
        "app_ro",
        "08001",
        "cannot reach the database",
        "security groups",
    );

    let proxy = Proxy::start(sandbox, &elsewhere("no-such-host.invalid:5432"));
    assert_refused(&proxy, "app_ro", "08001", "does not resolve", "DNS");

    let wrong_ca = target.replace(&sandbox.text("/ca/bundle"), &sandbox.text("/ca/wrong"));
    let proxy = Proxy::start(sandbox, &wrong_ca);
    assert_refused(&proxy, "app_ro", "08006", "does not trust", "`ca_file`");

    let wrong_name = format!("{target}tls_name = \"db.example.com\"\n");
    let proxy = Proxy::start(sandbox, &wrong_name);
    assert_refused(&proxy, "app_ro", "08006", "does not trust", "`tls_name`");
    assert!(!proxy.log().contains("login refused"), "no secret was sent");

    // Something that answers every SSLRequest with one byte.
    for (byte, state, message) in [(b'N', "08006", "refuses TLS"), (b'E', "08001", "does not speak")] {
        let fake = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = fake.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = fake.accept().unwrap();
            stream.read_exact(&mut [0; 8]).unwrap();
            stream.write_all(&[byte]).unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            assert!(
                rest.is_empty(),
                "not a byte more was sent to a server without TLS"
            );
        });
        let proxy = Proxy::start(sandbox, &elsewhere(&at));
        assert_refused(&proxy, "app_ro", state, message, "");
    }
}

#[test]
fn the_servers_own_refusals_keep_their_sqlstate() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = Proxy::start(sandbox, &sandbox.target("orders", USERS));
    let [state, message, hint] = refusal(&proxy, "app_ro", "nodb");
    assert_eq!(state, "3D000");
    assert_eq!(message, "database \"nodb\" does not exist");
    assert!(hint.contains("Name a database that exists"), "{hint}");
    let [_, _, hint] = refusal(&proxy, "app_ro", "app_ro");
    assert!(hint.contains("names no database"), "{hint}");
}

#[test]
fn more_clients_than_permitted_are_told_so() {
    let (sandbox, _turn) = Sandbox::shared();
    let config = format!("max_clients = 2\n{}", sandbox.target("orders", USERS));
    let proxy = Proxy::start(sandbox, &config);
    let first = Raw::log_in(proxy.port(), "app_ro");
    let _second = Raw::log_in(proxy.port(), "app_ro");
    assert_refused(
        &proxy,
        "app_ro",
        "53300",
        "limit of client connections",
        "max_clients",
    );
    assert!(proxy.admin_request("GET", "/readiness", "").0.contains("503"));
    drop(first);
    proxy.wait_for_metric("dbproxy_sessions_open", 1.0);
    assert!(proxy.admin_request("GET", "/readiness", "").0.contains("200"));
    proxy.query("app_ro", "select 1");
}
