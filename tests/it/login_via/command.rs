//! `dbproxy login`, and the other commands in front of a broker.

use super::{AUDIENCE, CALLER, PROOF, broker, configured, text};
use crate::support::proxy::{Proxy, config_file, dbproxy};
use crate::support::{Sandbox, psql};
use serde_json::Value;
use std::path::Path;
use std::process::Output;

/// Straight to the broker, with a proof for a password.
fn psql_at(sandbox: &Sandbox, broker: &Proxy, proof: &str) -> Output {
    let connection = format!(
        "host=localhost port={} user=app_ro dbname=app sslmode=verify-full sslrootcert={}",
        broker.port(),
        sandbox.text("/ca/proxy_ca")
    );
    psql(&connection, &[("PGPASSWORD", proof)], "select current_user")
}

fn login(sandbox: &Sandbox, user: &str, arguments: &[&str]) -> Output {
    let mut command = dbproxy(&sandbox.aws_env(user));
    command.arg("login").args(arguments).output().unwrap()
}

#[test]
fn a_printed_proof_is_a_password_for_one_connection() {
    let (sandbox, _turn) = Sandbox::shared();
    let broker = broker(sandbox);
    let output = login(sandbox, CALLER, &["--audience", AUDIENCE]);
    assert_eq!(text(&output.stderr), "");
    let printed = text(&output.stdout);
    let proof = printed.strip_suffix('\n').unwrap();
    assert!(proof.starts_with(PROOF) && !proof.contains('\n'), "one line");
    let output = psql_at(sandbox, &broker, proof);
    assert_eq!(output.stdout, b"app_ro\n", "{}", text(&output.stderr));
    let error = text(&psql_at(sandbox, &broker, proof).stderr);
    assert!(error.contains("who you are was not proven"), "{error}");
    broker.wait_until_logged("was used before");
}

#[test]
fn json_says_until_when_and_whose() {
    let (sandbox, _turn) = Sandbox::shared();
    let broker = broker(sandbox);
    let config = configured(sandbox, &broker);
    let config = config.to_str().unwrap();
    let json = |arguments: &[&str]| -> Value {
        let output = login(sandbox, CALLER, &[arguments, &["-o", "json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
    };
    // A target of the configuration says what the broker is called; any other name is the broker's own.
    for arguments in [
        &["--broker", "orders", "--config", config][..],
        &["--broker", AUDIENCE, "--config", config],
    ] {
        let answer = json(arguments);
        assert_eq!(answer["audience"], AUDIENCE);
        assert_eq!(
            (&answer["authenticator"], &answer["principal"]),
            (&"aws-iam".into(), &"iam-user".into())
        );
        assert!(answer["expires_at"].as_str().unwrap().ends_with('Z'));
        let output = psql_at(sandbox, &broker, answer["proof"].as_str().unwrap());
        assert_eq!(output.stdout, b"app_ro\n", "{}", text(&output.stderr));
    }
}

#[test]
fn tokens_of_files_and_commands_are_printed_as_they_are() {
    let (sandbox, _turn) = Sandbox::shared();
    // {"exp":1795305600}
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjE3OTUzMDU2MDB9.c2ln";
    let file = sandbox.dir.join("login.token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let file = file.to_str().unwrap();
    for source in [
        &["--token-file", file][..],
        &["--token-command", "head", "-n", "1", file],
    ] {
        let output = login(sandbox, "nobody", source);
        assert_eq!(
            text(&output.stdout),
            format!("{token}\n"),
            "{}",
            text(&output.stderr)
        );
        let output = login(sandbox, "nobody", &[&["-o", "json"], source].concat());
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["proof"], token);
        assert_eq!(answer["expires_at"], "2026-11-22T00:00:00Z");
        assert_eq!(answer["authenticator"], "oidc");
    }
    std::fs::write(file, "not-a-token\n").unwrap();
    for source in [
        &["--token-file", file][..],
        &["--token-file", "/nonexistent"],
        &["--token-command", "cat", file],
        &["--token-command", "false"],
        &["--token-command", "/nonexistent"],
    ] {
        let output = login(sandbox, "nobody", source);
        assert_eq!(output.status.code(), Some(4), "{source:?}");
        assert!(output.stdout.is_empty());
        assert!(
            !text(&output.stderr).contains("not-a-token"),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn what_login_cannot_do_is_told() {
    let (sandbox, _turn) = Sandbox::shared();
    for (user, arguments, code, part) in [
        ("nobody", &["--audience", "x"][..], 4, "credentials"),
        (CALLER, &[], 1, "required"),
        (CALLER, &["--audience", "two words"], 1, "printable ASCII"),
        (
            CALLER,
            &["--audience", "x", "--region", "nowhere"],
            1,
            "is not an AWS region",
        ),
        (
            CALLER,
            &["--audience", "x", "--region", "moon-dark-side-1"],
            1,
            "no STS endpoint",
        ),
    ] {
        let output = login(sandbox, user, arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?} {}",
            text(&output.stderr)
        );
        assert!(output.stdout.is_empty());
        assert!(
            text(&output.stderr).contains(part),
            "{part}\n{}",
            text(&output.stderr)
        );
    }
    let config = config_file(sandbox, &sandbox.target("orders", "db_users = [\"app_ro\"]"));
    let output = login(
        sandbox,
        CALLER,
        &["--broker", "orders", "--config", config.to_str().unwrap()],
    );
    assert!(
        text(&output.stderr).contains("`orders` is no broker"),
        "{}",
        text(&output.stderr)
    );
}

fn run(sandbox: &Sandbox, config: &Path, before: &[&str], after: &[&str]) -> Output {
    let mut command = dbproxy(&sandbox.aws_env(CALLER));
    command
        .args(before)
        .arg("--config")
        .arg(config)
        .args(after)
        .output()
        .unwrap()
}

#[test]
fn connect_and_doctor_go_through_a_broker() {
    let (sandbox, _turn) = Sandbox::shared();
    let broker = broker(sandbox);
    let config = configured(sandbox, &broker);
    let client = ["--", "psql", "-XAtc", "select current_user, current_database()"];
    let output = run(
        sandbox,
        &config,
        &["connect", "orders", "--db-user", "app_ro"],
        &client,
    );
    assert_eq!(text(&output.stdout), "app_ro|app\n", "{}", text(&output.stderr));

    let examine = |user: &str| {
        let output = run(
            sandbox,
            &config,
            &["doctor", "orders", "--db-user", user, "-o", "json"],
            &[],
        );
        let links: Value = serde_json::from_slice(&output.stdout).unwrap();
        let links = links.as_array().unwrap().iter();
        let links = links.map(|link| format!("{} {}: {}", link["link"], link["state"], link["finding"]));
        (output.status.code(), links.collect::<Vec<_>>().join("\n"))
    };
    let (code, links) = examine("app_ro");
    assert_eq!(code, Some(0), "{links}");
    for part in [
        "\"AWS credentials\" \"ok\": \"arn:aws:iam::",
        "\"proof\" \"ok\": \"for the broker \\\"orders-broker\\\"\"",
        "\"TLS\" \"ok\"",
        "\"login\" \"ok\"",
        "the broker's affair",
    ] {
        assert!(links.contains(part), "{part}\n{links}");
    }
    let (code, links) = examine("app_rw");
    assert_eq!(code, Some(4), "{links}");
    assert!(links.contains("\"login\" \"broken\""), "{links}");

    let output = run(sandbox, &config, &["token", "orders", "--db-user", "app_ro"], &[]);
    let error = text(&output.stderr);
    assert!(
        error.contains("`broker+aws_iam`") && error.contains("dbproxy login --broker orders"),
        "{error}"
    );
}

#[test]
fn flags_of_a_broker_are_judged() {
    let (sandbox, _turn) = Sandbox::shared();
    for (arguments, part) in [
        (&["--via", "a b"][..], "--via: `a b`"),
        (&["--via", "broker.example:0"], "--via:"),
        (
            &["--via", "broker.example", "--audience", "two words"],
            "printable ASCII",
        ),
        (&["--audience", "x"], "goes with `--via`"),
    ] {
        let output = dbproxy(&sandbox.aws_env(CALLER))
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(
            text(&output.stderr).contains(part),
            "{part}\n{}",
            text(&output.stderr)
        );
    }
}
