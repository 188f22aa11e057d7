//! `dbproxy doctor` names the link that breaks, and its exit code says what kind of link it is.

use crate::support::Sandbox;
use crate::support::proxy::{config_file, dbproxy};
use serde_json::Value;

/// Exit code, and the state of each link by name.
fn examine(sandbox: &Sandbox, user: &str, config: &str, db_user: &str) -> (Option<i32>, Value) {
    let path = config_file(sandbox, config);
    let output = dbproxy(&sandbox.aws_env(user))
        .args([
            "doctor",
            "orders",
            "--db-user",
            db_user,
            "--database",
            "app",
            "-o",
            "json",
            "--config",
        ])
        .arg(path)
        .output()
        .unwrap();
    let links = serde_json::from_slice(&output.stdout);
    let links = links.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), links)
}

#[track_caller]
fn link<'a>(links: &'a Value, name: &str) -> &'a Value {
    let all = links.as_array().unwrap();
    all.iter()
        .find(|link| link["link"] == name)
        .unwrap_or_else(|| panic!("no link {name}: {links}"))
}

fn target(sandbox: &Sandbox) -> String {
    let role = sandbox.text("/aws/role_connect");
    let lines = format!(
        "db_users = [\"app_ro\", \"app_denied\"]\ncredential = {{ assume_role = {{ role_arn = \"{role}\" }} }}"
    );
    sandbox.target("orders", &lines)
}

#[test]
fn a_whole_chain_is_found_whole() {
    let (sandbox, _turn) = Sandbox::shared();
    let (code, links) = examine(sandbox, "dbproxy", &target(sandbox), "app_ro");
    assert_eq!(code, Some(0), "{links}");
    for name in [
        "AWS credentials",
        "AssumeRole",
        "token",
        "DNS",
        "TCP",
        "TLS",
        "login",
        "rds_iam",
    ] {
        assert_eq!(link(&links, name)["state"], "ok", "{links}");
    }
    assert!(
        link(&links, "rds_iam")["finding"]
            .as_str()
            .unwrap()
            .starts_with("a member")
    );
}

#[test]
fn the_broken_link_is_named_with_what_mends_it() {
    let (sandbox, _turn) = Sandbox::shared();
    let direct = sandbox.target("orders", "db_users = [\"app_ro\", \"app_denied\"]");
    let (code, links) = examine(sandbox, "dbproxy", &direct, "app_denied");
    assert_eq!(code, Some(4), "{links}");
    assert_eq!(link(&links, "TLS")["state"], "ok");
    assert_eq!(link(&links, "login")["state"], "broken");
    assert!(
        link(&links, "login")["hint"]
            .as_str()
            .unwrap()
            .contains("rds-db:connect")
    );

    let (code, links) = examine(sandbox, "powerless", &target(sandbox), "app_ro");
    assert_eq!(
        (code, &link(&links, "AssumeRole")["state"]),
        (Some(4), &Value::from("broken"))
    );
    assert_eq!(
        link(&links, "TLS")["state"],
        "ok",
        "the network is examined all the same"
    );

    let wrong = direct.replace(&sandbox.text("/ca/bundle"), &sandbox.text("/ca/wrong"));
    let (code, links) = examine(sandbox, "dbproxy", &wrong, "app_ro");
    assert_eq!(
        (code, &link(&links, "TLS")["state"]),
        (Some(3), &Value::from("broken"))
    );
    assert_eq!(link(&links, "TCP")["state"], "ok");
    assert_eq!(link(&links, "login")["state"], "not reached");
}
