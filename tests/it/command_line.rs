//! The commands beside serving, and what a mistake is answered with.

mod connect;
mod flags;

use crate::support::Sandbox;
use crate::support::proxy::{config_file, dbproxy};
use std::process::Output;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(arguments: &[&str]) -> Output {
    dbproxy(&[]).args(arguments).output().unwrap()
}

#[test]
fn all_mistakes_are_told_before_anything_listens() {
    let (sandbox, _turn) = Sandbox::shared();
    let config = "lisen = 1\nmax_clients = -1\n[targets.a]\nendpoint = \"a b\"\n";
    let path = config_file(sandbox, config);
    let output = run(&["--config", path.to_str().unwrap(), "--listen", "0.0.0.0:1"]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    for part in [
        "mistakes:",
        "lisen: unknown key; did you mean `listen`?",
        "max_clients: -1",
        "targets.a.endpoint: `a b`",
    ] {
        assert!(error.contains(part), "{part}\n{error}");
    }
    let output = run(&["--config", "/nonexistent.toml"]);
    assert!(text(&output.stderr).contains("/nonexistent.toml"));
    let output = run(&["--listen", "0.0.0.0:5432", "db.abc.us-east-1.rds.amazonaws.com"]);
    assert!(text(&output.stderr).contains("can be reached from other machines"));
    let output = run(&["db.internal"]);
    assert!(
        text(&output.stderr).contains("does not say its region"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_port_that_is_taken_is_named() {
    let (sandbox, _turn) = Sandbox::shared();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let path = config_file(sandbox, &sandbox.target("orders", "db_users = [\"app_ro\"]"));
    let output = run(&["--config", path.to_str().unwrap(), "--listen", &port]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains(&format!("cannot listen on 127.0.0.1:{port}")),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn an_endpoint_alone_is_enough_to_serve() {
    let (sandbox, _turn) = Sandbox::shared();
    let host = sandbox.text("/cluster/writer/host");
    let output = dbproxy(&sandbox.aws_env("dbproxy"))
        .args(["token", &host, "--db-user", "app_ro", "-o", "json"])
        .output()
        .unwrap();
    let answer: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    let token = answer["token"].as_str().unwrap();
    assert!(
        token.starts_with(&format!("{host}:5432/?Action=connect&DBUser=app_ro&X-Amz-")),
        "{token}"
    );
    assert!(answer["expires_at"].as_str().unwrap().ends_with('Z'));
}

/// A token printed by dbproxy is one that the database accepts from anybody's psql.
#[test]
fn a_printed_token_logs_in() {
    let (sandbox, _turn) = Sandbox::shared();
    let path = config_file(sandbox, &sandbox.target("orders", "db_users = [\"app_ro\"]"));
    let config = path.to_str().unwrap();
    let environment = sandbox.aws_env("dbproxy");
    let output = dbproxy(&environment)
        .args(["token", "orders", "--db-user", "app_ro", "--config", config])
        .output()
        .unwrap();
    let token = text(&output.stdout);
    let connection = format!(
        "host={} hostaddr={} port={} user=app_ro dbname=app sslmode=verify-full sslrootcert={}",
        sandbox.text("/cluster/writer/host"),
        sandbox.text("/cluster/writer/address"),
        sandbox.text("/cluster/writer/port"),
        sandbox.text("/ca/bundle"),
    );
    let output = crate::support::psql(
        &connection,
        &[("PGPASSWORD", token.trim())],
        "select current_user",
    );
    assert_eq!(output.stdout, b"app_ro\n", "{}", text(&output.stderr));
    let denied = dbproxy(&environment)
        .args(["token", "orders", "--db-user", "postgres", "--config", config])
        .output()
        .unwrap();
    assert_eq!(denied.status.code(), Some(2));
    assert!(
        text(&denied.stderr).contains("hint: You may connect as: app_ro"),
        "{}",
        text(&denied.stderr)
    );
}

/// Tokens are signed once more by an implementation that nobody here wrote.
#[test]
fn botocore_signs_the_same_token() {
    let (sandbox, _turn) = Sandbox::shared();
    let (host, port) = (
        sandbox.text("/cluster/writer/host"),
        sandbox.text("/cluster/writer/port"),
    );
    let users = ["app_ro", "jane.doe@corp/ops+1 ~_-é", "a&b=c#d%20\"x\""];
    let listed = users.map(|user| format!("{user:?}")).join(", ");
    let path = config_file(
        sandbox,
        &sandbox.target("orders", &format!("db_users = [{listed}]")),
    );
    let environment = sandbox.aws_env("dbproxy");
    for user in users {
        let token = dbproxy(&environment)
            .args(["token", "orders", "--db-user", user, "--config"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(token.status.success(), "{}", text(&token.stderr));
        let mut judge = std::process::Command::new(crate::drivers::python())
            .arg(crate::support::sandbox::root().join("tests/drivers/token_judge.py"))
            .args([&host, &port, "us-east-1", user])
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut judge.stdin.take().unwrap(), &token.stdout).unwrap();
        let verdict = judge.wait_with_output().unwrap();
        assert!(
            text(&verdict.stdout).contains("all steps passed"),
            "{user}: {}",
            text(&verdict.stderr)
        );
    }
}

#[test]
fn ls_lists_what_may_be_reached() {
    let (sandbox, _turn) = Sandbox::shared();
    let path = config_file(
        sandbox,
        &sandbox.target("orders", "db_users = [\"app_ro\", \"app_rw\"]"),
    );
    let config = path.to_str().unwrap();
    let table = text(&run(&["ls", "--config", config]).stdout);
    assert!(
        table.contains("orders") && table.contains("app_ro app_rw"),
        "{table}"
    );
    assert!(table.contains("DATABASES") && table.contains("any"), "{table}");
    let json: serde_json::Value =
        serde_json::from_slice(&run(&["ls", "-o", "json", "--config", config]).stdout).unwrap();
    assert_eq!(json[0]["db_users"][1], "app_rw");
}

#[test]
fn version_and_completion_need_no_configuration() {
    assert_eq!(
        text(&run(&["version"]).stdout),
        format!("dbproxy {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert!(text(&run(&["completion", "bash"]).stdout).contains("_dbproxy"));
}
