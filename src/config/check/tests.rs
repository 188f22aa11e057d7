use super::*;
use crate::domain::target::{CredentialKind, TrustRoots, Users};

fn environment(name: &str) -> Option<String> {
    (name == "PGPASS_APP").then(|| "hunter2".to_owned())
}

fn checked(file: &str, command_line: CommandLine) -> Result<Settings, Vec<String>> {
    check(file.parse().unwrap(), command_line, &environment).map_err(|p| p.lines().to_vec())
}

fn addresses(settings: &Settings) -> Vec<String> {
    let line = |l: &ListenerSetting| format!("{} {}", l.address, l.target);
    settings.listeners.iter().map(line).collect()
}

const TWO: &str = r#"
    [targets.a]
    endpoint = "a.cluster-abc.eu-west-1.rds.amazonaws.com"
    db_users = ["app"]
    [targets.b]
    endpoint = "b.proxy-abc.eu-west-1.rds.amazonaws.com:6000"
    db_users = ["*"]
"#;

#[test]
fn a_target_is_filled_from_its_endpoint_name() {
    let settings = checked(TWO, CommandLine::default()).unwrap();
    let [a, b] = settings.targets.as_slice() else {
        panic!("two targets")
    };
    let host = "a.cluster-abc.eu-west-1.rds.amazonaws.com";
    assert_eq!(a.dial.to_string(), format!("{host}:5432"));
    assert_eq!(a.token.to_string(), format!("{host}:5432"));
    assert_eq!((a.tls_name.as_str(), a.region.as_str()), (host, "eu-west-1"));
    assert_eq!(b.token.port, 6000);
    assert!(matches!(
        b.trust,
        TrustRoots::Shipped(crate::domain::endpoint::RootsKind::Amazon)
    ));
    assert_eq!(b.users, Users::Any);
    assert_eq!(addresses(&settings), ["127.0.0.1:5432 a", "127.0.0.1:5433 b"]);
}

#[test]
fn flags_win_over_addresses_of_the_file() {
    let file = TWO.replace("[targets.b]", "listen = [\"7000\", \"unix:/run/a\"]\n[targets.b]");
    let settings = checked(&file, CommandLine::default()).unwrap();
    assert_eq!(
        addresses(&settings),
        ["127.0.0.1:7000 a", "unix:/run/a:5432 a", "127.0.0.1:5432 b"]
    );
    let command_line = CommandLine {
        listen: vec!["8000".into()],
        targets: vec!["b".into(), "a".into()],
        ..CommandLine::default()
    };
    let settings = checked(&file, command_line).unwrap();
    assert_eq!(addresses(&settings), ["127.0.0.1:8000 b", "127.0.0.1:8001 a"]);
}

#[test]
fn an_endpoint_on_the_command_line_needs_no_configuration() {
    let command_line = CommandLine {
        targets: vec!["orders.abc.us-gov-west-1.rds.amazonaws.com:5433".into()],
        ..CommandLine::default()
    };
    let settings = checked("", command_line).unwrap();
    let target = &settings.targets[0];
    assert_eq!(target.name.as_str(), "orders");
    assert_eq!(target.region.as_str(), "us-gov-west-1");
    assert_eq!(target.dial.port, 5433);
    assert_eq!(target.users, Users::Any);
}

#[test]
fn all_mistakes_are_reported_together() {
    let file = r#"
        admin = "0.0.0.0:9000"
        drain_timeout = "soon"
        max_client = 3
        [targets.a]
        endpoint = "db.internal"
        listen = ["0.0.0.0:5432"]
        [targets.a.credential]
        kind = "password_env"
        variable = "NOT_THERE"
        [targets.b]
        endpoint = "b.abc.us-east-1.rds.amazonaws.com"
        db_users = ["app", "*"]
        listen = ["5432"]
        [targets.b.credential.assume_role]
        role_arn = "dbproxy"
        session_policy = true
        [targets.c]
        endpoint = "c.abc.us-east-1.rds.amazonaws.com"
        db_users = ["app"]
        listen = ["5432"]
        [targets.d]
        endpoint = "d.abc.us-east-1.rds.amazonaws.com"
        db_users = ["app"]
        listen = ["5432"]
    "#;
    let lines = checked(file, CommandLine::default()).unwrap_err();
    for expected in [
        "admin: 0.0.0.0:9000 is not a loopback address",
        "drain_timeout: `soon` is not a duration",
        "max_client: unknown key; did you mean `max_clients`?",
        "targets.a.credential.variable: the environment has no `NOT_THERE`",
        "targets.a.db_users: lists nobody",
        "targets.a.ca_file: is missing",
        "targets.b.db_users: `*` stands alone",
        "targets.b.credential.assume_role.role_arn: is not the ARN of an IAM role",
        "targets.b.credential.assume_role.session_policy: needs `resource_id`",
        "listen (d): 127.0.0.1:5432 is already taken by target b",
    ] {
        assert!(
            lines.iter().any(|l| l.starts_with(expected)),
            "{expected}\n{lines:#?}"
        );
    }
}

#[test]
fn a_listener_beyond_loopback_is_refused() {
    for address in ["0.0.0.0:5432", "[::]:5432", "10.0.0.1:5432"] {
        let command_line = CommandLine {
            listen: vec![address.into()],
            ..CommandLine::default()
        };
        let lines = checked(TWO, command_line).unwrap_err();
        assert!(
            lines[0].contains("can be reached from other machines"),
            "{lines:?}"
        );
    }
}

#[test]
fn credentials_of_every_kind_are_read() {
    let file = r#"
        [targets.a]
        endpoint = "a.abc.us-east-1.rds.amazonaws.com"
        resource_id = "db-ABC"
        db_users = ["app"]
        [targets.a.credential.assume_role]
        role_arn = "arn:aws:iam::111122223333:role/dbproxy"
        external_id = "x"
        duration = "30m"
        tags = { db = "{db_user}" }
        [targets.a.users.old]
        credential = { kind = "password_env", variable = "PGPASS_APP" }
        [targets.a.users.file]
        credential = { kind = "password_file", file = "/run/secrets/pw" }
        [targets.a.users.secret]
        credential = { kind = "secret", secret_id = "app" }
        [targets.a.users.legacy]
        credential = { kind = "passthrough" }
    "#;
    let settings = checked(file, CommandLine::default()).unwrap();
    let target = &settings.targets[0];
    assert_eq!(target.account_id.as_deref(), Some("111122223333"));
    let CredentialKind::Iam {
        assume_role: Some(role),
    } = &target.credential
    else {
        panic!("a role")
    };
    assert!(role.session_policy, "the resource id is known");
    assert_eq!(role.duration, Duration::from_secs(1800));
    let kinds: Vec<_> = target
        .user_credentials
        .values()
        .map(CredentialKind::as_str)
        .collect();
    assert_eq!(kinds, ["password_file", "passthrough", "password_env", "secret"]);
    assert!(matches!(&target.users, Users::Listed(users) if users.len() == 5));
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn nothing_to_serve_is_a_mistake() {
    let lines = checked("", CommandLine::default()).unwrap_err();
    assert!(lines[0].starts_with("targets: none given"), "{lines:?}");
    let command_line = CommandLine {
        targets: vec!["c".into()],
        ..CommandLine::default()
    };
    let lines = checked(TWO, command_line).unwrap_err();
    assert_eq!(lines, ["c: no such target; the configuration has a, b"]);
}
