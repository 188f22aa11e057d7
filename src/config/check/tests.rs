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
        targets: vec!["orders.abc.rds.cn-north-1.amazonaws.com.cn:5433".into()],
        ..CommandLine::default()
    };
    let settings = checked("", command_line).unwrap();
    let target = &settings.targets[0];
    assert_eq!(target.name.as_str(), "orders");
    assert_eq!(target.region.as_str(), "cn-north-1");
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

fn named(targets: &[&str]) -> CommandLine {
    CommandLine {
        targets: targets.iter().map(ToString::to_string).collect(),
        ..CommandLine::default()
    }
}

const WRITER: &str = "orders.cluster-abcdefghijkl.eu-west-1.rds.amazonaws.com";
const READER: &str = "orders.cluster-ro-abcdefghijkl.eu-west-1.rds.amazonaws.com";

#[test]
fn endpoints_with_the_same_first_label_get_names_of_their_own() {
    let settings = checked("", named(&[WRITER, READER])).unwrap();
    assert_eq!(
        addresses(&settings),
        [
            "127.0.0.1:5432 orders".to_owned(),
            format!("127.0.0.1:5433 {READER}")
        ]
    );
    assert_eq!(*settings.targets[1].endpoint.host, *READER);
    // Also beside a target of the file, served or not.
    let file = TWO.replace("targets.a", "targets.orders");
    let settings = checked(&file, named(&[WRITER])).unwrap();
    assert_eq!(settings.targets[0].name.as_str(), WRITER);
    let long = format!("orders.{}.eu-west-1.rds.amazonaws.com", "c".repeat(40));
    let settings = checked(&file, named(&[&long])).unwrap();
    assert_eq!(settings.targets[0].name.as_str(), "orders-2");
}

#[test]
fn the_same_target_twice_is_a_mistake() {
    let lines = checked("", named(&[WRITER, &format!("{}.:5432", WRITER.to_uppercase())])).unwrap_err();
    assert_eq!(
        lines,
        [format!(
            "{}.:5432: this target is named twice",
            WRITER.to_uppercase()
        )]
    );
    assert!(checked("", named(&[WRITER, &format!("{WRITER}:5433")])).is_ok());
    let lines = checked(TWO, named(&["a", "a"])).unwrap_err();
    assert_eq!(lines, ["a: this target is named twice"]);
}

/// A target that exists is not unknown because of a mistake in it.
#[test]
fn a_named_target_with_a_mistake_is_not_unknown() {
    let lines = checked("[targets.a]\ndb_users = [\"x\"]", named(&["a"])).unwrap_err();
    assert_eq!(
        lines,
        ["targets.a.endpoint: is missing: the RDS endpoint name of the database"]
    );
}

#[test]
fn a_region_that_is_none_is_told_as_such() {
    let with_region = |region: &str, target: &str| {
        let mut command_line = named(&[target]);
        command_line.ad_hoc.region = Some(region.into());
        checked("", command_line)
    };
    let lines = with_region("garbage", "db.internal").unwrap_err();
    assert_eq!(lines, ["--region: `garbage` is not an AWS region"]);
    assert!(with_region("garbage", WRITER).is_err());
    let settings = with_region("eu-west-3", "db.internal").unwrap();
    assert_eq!(settings.targets[0].region.as_str(), "eu-west-3");
    let lines = checked("", named(&["db.internal"])).unwrap_err();
    assert!(
        lines[0].starts_with("db.internal: the name does not say its region"),
        "{lines:?}"
    );
}

#[test]
fn a_target_without_a_listener_is_a_mistake() {
    let lines = checked(&format!("listen = []\n{TWO}"), CommandLine::default()).unwrap_err();
    assert_eq!(lines, ["listen: is empty: nothing could reach the target"]);
    let file = TWO.replace("[targets.b]", "listen = []\n[targets.b]");
    let lines = checked(&file, CommandLine::default()).unwrap_err();
    assert_eq!(
        lines,
        ["targets.a.listen: is empty: nothing could reach the target"]
    );
    let command_line = CommandLine {
        listen: vec!["65535".into()],
        ..CommandLine::default()
    };
    let lines = checked(TWO, command_line).unwrap_err();
    assert_eq!(lines, ["--listen: 127.0.0.1:65535: no port is left for target b"]);
    let lines = checked(&format!("listen = [5432]\n{TWO}"), CommandLine::default()).unwrap_err();
    assert_eq!(lines, ["listen: expected strings, found integer"]);
}

#[test]
fn nobody_could_connect_to_a_proxy_of_no_clients() {
    let lines = checked(&format!("max_clients = 0\n{TWO}"), CommandLine::default()).unwrap_err();
    assert_eq!(lines, ["max_clients: 0 is not within 1 to 1000000"]);
}

#[test]
fn flags_are_merged_into_the_tables_of_the_file() {
    let merge = |file: &str, flags: &str| {
        let merged = super::merged(file.parse().unwrap(), flags.parse().unwrap());
        merged.to_string()
    };
    let file = "[client_tls]\ncert_file = \"a\"\nkey_file = \"b\"\nrequired = true\n";
    let flags = "[client_tls]\ncert_file = \"c\"\n";
    assert_eq!(merge(file, flags), file.replace("\"a\"", "\"c\""));
    assert_eq!(merge("client_tls = 1\n", flags), "client_tls = 1\n");
    assert_eq!(merge("", flags), flags);
    assert_eq!(
        merge("admin = \"off\"\n", "admin = \"9000\"\n"),
        "admin = \"9000\"\n"
    );
}

#[test]
fn files_of_client_tls_are_read_before_anything_listens() {
    let dir = std::env::temp_dir();
    let (empty, absent) = (
        dir.join(format!("dbproxy-no-cert-{}.pem", std::process::id())),
        dir.join("dbproxy-absent.pem"),
    );
    std::fs::write(&empty, "").unwrap();
    let tls = |cert: &std::path::Path| {
        let file = format!(
            "[client_tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n{TWO}",
            cert.display(),
            absent.display()
        );
        checked(&file, CommandLine::default()).unwrap_err()
    };
    assert!(
        tls(&empty)[0].starts_with("client_tls.cert_file: `"),
        "{:?}",
        tls(&empty)
    );
    let other = dir.join("dbproxy-absent-too.pem");
    assert!(tls(&other)[0].starts_with("client_tls.cert_file: cannot read"));
    let lines = checked(
        &format!("[client_tls]\nrequired = true\n{TWO}"),
        CommandLine::default(),
    )
    .unwrap_err();
    assert_eq!(
        lines,
        [
            "client_tls.cert_file: is missing; the flag is `--tls-cert`",
            "client_tls.key_file: is missing; the flag is `--tls-key`",
        ]
    );
}

#[test]
fn the_admin_address_is_found_in_a_file_that_is_otherwise_wrong() {
    let address = |file: &str| admin_address(file.parse().unwrap());
    let shown = |file| address(file).unwrap().map(|address| address.to_string());
    assert_eq!(
        shown("admin = \"9091\"\nnope = 1"),
        Some("127.0.0.1:9091".to_owned())
    );
    assert_eq!(shown("admin = \"off\""), None);
    assert_eq!(shown(""), None);
    assert_eq!(address("admin = 1").unwrap_err().lines().len(), 1);
}

#[test]
fn ids_durations_and_placeholders_that_cannot_be_right_are_mistakes() {
    let file = r#"
        [targets.a]
        endpoint = "a.abc.us-east-1.rds.amazonaws.com"
        resource_id = "nope"
        account_id = "12"
        db_users = ["app"]
        [targets.a.credential.assume_role]
        role_arn = "arn:aws:iam::111122223333:role/dbproxy"
        duration = "5s"
        tags = { who = "{nobody}" }
        [targets.b]
        endpoint = "b.abc.us-gov-west-1.rds.amazonaws.com"
        db_users = ["app"]
    "#;
    let lines = checked(file, CommandLine::default()).unwrap_err();
    for expected in [
        "targets.a.resource_id: begins with",
        "targets.a.account_id: is not the 12 digits",
        "targets.a.credential.assume_role.duration: a role's session lives 15m to 12h",
        "targets.a.credential.assume_role.tags: `{nobody}` may hold",
        "targets.b.ca_file: is missing: the shipped roots do not include this region's",
    ] {
        assert!(
            lines.iter().any(|l| l.starts_with(expected)),
            "{expected}\n{lines:#?}"
        );
    }
}

#[test]
fn nobody_is_asked_twice_for_different_things() {
    let oidc = "[oidc.a]\nissuer = \"https://a\"\naudience = \"b\"\n";
    let with = |authenticators: &str, target: &str| {
        let file = format!("authenticators = {authenticators}\n{oidc}{TWO}{target}");
        checked(&file, CommandLine::default())
    };
    let passthrough = "[targets.b.users.old]\ncredential = { kind = \"passthrough\" }\n";
    assert!(with("[\"oidc\"]", "").is_ok());
    assert!(with("[\"local\"]", passthrough).is_ok());
    let lines = with("[\"local\", \"oidc\"]", passthrough).unwrap_err();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with(
            "listen (b): 127.0.0.1:5433 takes `oidc`, but a credential of the target is `passthrough`"
        ),
        "{lines:?}"
    );
    assert!(with("[\"local\", \"oauthbearer\"]", "").is_ok());
    let lines = with("[\"oidc\", \"oauthbearer\"]", "").unwrap_err();
    assert_eq!(
        lines,
        ["authenticators: `oauthbearer` is never asked for beside `oidc`"]
    );
}

/// What would only come out at start, or with the first caller.
#[test]
fn mistakes_about_callers_are_told_at_once_with_their_keys() {
    let file = r#"
        [aws_iam]
        audience = "has space"
        accounts = ["111122223333", "1234"]
        regions = ["eu-west-1x", "eu-west-1", "mars"]
        endpoint = "http://10.0.0.1:1"
        max_age = "2h"
        [oidc.a]
        issuer = "http://issuer.example"
        audience = ""
        max_lifetime = "0s"
        [oidc.b]
        issuer = "any name"
        audience = "b"
        groups_prefix = "b:"
        jwks_uri = "http://10.0.0.1/keys"
        [oidc.good]
        issuer = "http://127.0.0.1:8080/realm"
        audience = "b"
        groups_prefix = "good:"
    "#;
    let lines = checked(&format!("{file}{TWO}"), CommandLine::default()).unwrap_err();
    let expected = [
        "aws_iam.audience: the audience must be",
        "aws_iam.accounts: `1234` is not the id",
        "aws_iam.regions: no STS endpoint is known for region `eu-west-1x`",
        "aws_iam.regions: no STS endpoint is known for region `mars`",
        "aws_iam.endpoint: the STS endpoint `http://10.0.0.1:1`",
        "aws_iam.max_age: a proof's age",
        "oidc.a.audience: is empty",
        "oidc.a.issuer: `http://issuer.example` is not asked for keys",
        "oidc.a.max_lifetime: must be at least 1s",
        "oidc.b.jwks_uri: `http://10.0.0.1/keys` is not asked for keys",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{expected}\n{lines:#?}");
    }
    let file = format!("[aws_iam]\naccounts = []\nmax_age = \"soon\"\n{TWO}");
    let lines = checked(&file, CommandLine::default()).unwrap_err();
    let expected = [
        "aws_iam.audience: is missing",
        "aws_iam.accounts: is empty",
        "aws_iam.max_age: `soon`",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{expected}\n{lines:#?}");
    }
}
