//! Generated documents are what the program says. `UPDATE_DOCS=1` writes them anew.

mod audit;
mod drift;
mod house;
mod iam;
pub mod papers;

use crate::support::proxy::dbproxy;
use crate::support::sandbox::root;

fn compare(file: &str, generated: &str) {
    let path = root().join(file);
    if std::env::var("UPDATE_DOCS").is_ok() {
        std::fs::write(&path, generated).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == generated, "{file} is out of date: run `make docs`");
}

#[test]
fn the_configuration_reference_is_current() {
    compare("docs/configuration.md", &dbproxy::config::reference::markdown());
}

#[test]
fn the_command_reference_is_current() {
    let mut text =
        String::from("# Command reference\n\nGenerated from the help texts; `tests/it/docs.rs` compares.\n");
    let commands = [
        "",
        "token",
        "login",
        "doctor",
        "ls",
        "connect",
        "policy check",
        "policy explain",
        "policy matrix",
        "policy test",
        "policy schema",
        "bootstrap",
        "plan",
        "apply",
        "drift",
        "grant",
        "revoke",
        "grants",
        "iam-policy",
        "verify isolation",
        "wait",
        "healthcheck",
        "sessions",
        "reload",
        "audit",
        "shutdown",
        "completion",
    ];
    for command in commands {
        let words = command.split_whitespace().chain(["--help"]);
        let output = dbproxy(&[]).args(words).env("COLUMNS", "100").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let help: Vec<_> = help.lines().map(str::trim_end).collect();
        text.push_str(&format!(
            "\n## `{}`\n\n```text\n{}\n```\n",
            format!("dbproxy {command}").trim(),
            help.join("\n")
        ));
    }
    compare("docs/cli.md", &text);
}

/// The example that people start from is one that dbproxy takes.
#[test]
fn the_example_configuration_is_valid() {
    let example = root().join("deploy/examples/dbproxy.toml");
    let output = dbproxy(&[])
        .args(["ls", "--config"])
        .arg(example)
        .output()
        .unwrap();
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        table.contains("unix:/run/user/1000/dbproxy:5432") && table.contains("legacy"),
        "{table}"
    );
}

/// So is the shared broker's, with certificates, policies and a secret where it says they are.
#[test]
fn the_example_of_a_shared_broker_is_valid() {
    let text = std::fs::read_to_string(root().join("deploy/examples/shared-broker.toml")).unwrap();
    let (ok, told) = house::House::new().ls(&text);
    assert!(ok, "{told}");
    assert!(
        told.contains("0.0.0.0:5432") && told.contains("0.0.0.0:5433"),
        "{told}"
    );
    // It is whole: without any of these it would not start.
    for part in ["[policy]", "[client_tls]", "[aws_iam]"] {
        let broken = text.replace(part, "[defaults]");
        assert!(!house::House::new().ls(&broken).0, "{part}");
    }
}

/// Every key that the reader asks for is in the reference, and the other way round.
#[test]
fn the_reference_names_every_key() {
    let sources = readers(&root().join("src/config"));
    let asked: std::collections::BTreeSet<&str> = [
        "string(",
        "strings(",
        "integer(",
        "integers(",
        "boolean(",
        "section(",
        "sections(",
        "parsed(",
        "required(",
        "read_port(section, ",
        "read_port(&mut section, ",
        "time(",
        "time(&mut section, ",
        "number(",
    ]
    .iter()
    .flat_map(|call| {
        sources
            .split(format!("{call}\"").as_str())
            .skip(1)
            .collect::<Vec<_>>()
    })
    .filter_map(|rest| rest.split('"').next())
    .collect();
    use dbproxy::config::reference::{
        ASSUME_ROLE, AUDIT, AWS_IAM, CLIENT_TLS, CREDENTIAL, DEFAULTS, OIDC, PEERS, POLICY, PROVISION, SCRAM,
        TARGET, TOP,
    };
    let sections = [
        TOP,
        CLIENT_TLS,
        AWS_IAM,
        OIDC,
        SCRAM,
        AUDIT,
        POLICY,
        PROVISION,
        PEERS,
        DEFAULTS,
        TARGET,
        CREDENTIAL,
        ASSUME_ROLE,
    ];
    let described: std::collections::BTreeSet<&str> = sections.concat().iter().map(|key| key.name).collect();
    assert_eq!(asked, described);
}

/// The sources that read the configuration, without their tests.
fn readers(folder: &std::path::Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&readers(&path));
        } else if path.file_name().unwrap() != "tests.rs" {
            let source = std::fs::read_to_string(&path).unwrap();
            text.push_str(source.split("#[cfg(test)]").next().unwrap());
        }
    }
    text
}

/// `docs/protocol.md` says which test shows what; each of them exists.
#[test]
fn the_tests_that_the_protocol_names_exist() {
    let count = papers::assert_tests_exist("docs/protocol.md");
    assert!(count > 50, "{count}");
}
