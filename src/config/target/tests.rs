use crate::config::check::{CommandLine, Settings, check};
use crate::config::reference;
use crate::domain::endpoint::{Region, RootsKind};
use crate::domain::target::{BrokerSettings, CredentialKind, ProofSource, Target, TrustRoots, Users};

fn with(file: &str, command_line: CommandLine) -> Result<Settings, Vec<String>> {
    check(file.parse().unwrap(), command_line, &|_| None).map_err(|p| p.lines().to_vec())
}

fn targets(file: &str) -> Result<Vec<Target>, Vec<String>> {
    with(file, CommandLine::default()).map(|settings| settings.targets)
}

fn mistakes(file: &str) -> Vec<String> {
    targets(file).unwrap_err()
}

const A: &str = "[targets.a]\nendpoint = \"a.abc.us-east-1.rds.amazonaws.com\"\n";

fn lines_of_a(more: &str) -> Vec<String> {
    mistakes(&format!("{A}db_users = [\"app\"]\n{more}"))
}

#[test]
fn no_mistake_hides_another() {
    assert_eq!(
        mistakes("[targets.a]\nendpont = \"x\"\ndb_users = [\"app\"]\nnope = 1\nca_fil = \"x\""),
        [
            "targets.a.endpoint: is missing: the RDS endpoint name of the database",
            "targets.a.ca_fil: unknown key; did you mean `ca_file`?",
            "targets.a.endpont: unknown key; did you mean `endpoint`?",
            "targets.a.nope: unknown key",
        ]
    );
    let role = "[targets.a.credential.assume_role]\nrole_arn = \"arn:aws:iam::111122223333:role/x\"\n\
                duration = \"soon\"\nexternal_di = \"x\"";
    let found = lines_of_a(role);
    assert!(
        found[0].contains("assume_role.duration: `soon` is not a duration"),
        "{found:?}"
    );
    assert!(
        found[1].contains("external_di: unknown key; did you mean `external_id`?"),
        "{found:?}"
    );
    assert_eq!(
        mistakes("[targets.a]\nendpoint = 3\ndb_users = [\"app\"]"),
        ["targets.a.endpoint: expected a string, found integer"]
    );
}

#[test]
fn names_that_would_fail_at_the_first_login_are_mistakes() {
    let empty = std::env::temp_dir().join(format!("dbproxy-no-authority-{}.pem", std::process::id()));
    std::fs::write(&empty, "").unwrap();
    let ca_file = format!("ca_file = \"{}\"", empty.display());
    for (line, expected) in [
        (
            "token_host = \"a b\"",
            "targets.a.token_host: `a b` is not a host",
        ),
        (
            "token_host = \"db:5432\"",
            "targets.a.token_host: `db:5432`: a port belongs in `token_port`",
        ),
        ("tls_name = \"foo bar\"", "targets.a.tls_name: `foo bar` is not"),
        ("token_port = 0", "targets.a.token_port: 0 is not within"),
        (
            "ca_file = \"/nonexistent.pem\"",
            "targets.a.ca_file: cannot read `/nonexistent.pem`: ",
        ),
        (&ca_file, "targets.a.ca_file: `"),
    ] {
        let found = lines_of_a(line);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(expected), "{expected}\n{found:?}");
    }
    let found = mistakes("[targets.a]\nendpoint = \"a..b\"\nregion = \"us-east-1\"\ndb_users = [\"x\"]");
    assert!(
        found[0].starts_with("targets.a.endpoint: `a..b` is not a name"),
        "{found:?}"
    );
}

#[test]
fn a_role_of_one_db_user_knows_its_account() {
    let file = format!(
        "{A}db_users = [\"app\"]\nresource_id = \"db-ABC\"\n[targets.a.users.other.credential.assume_role]\n\
         role_arn = \"arn:aws:iam::111122223333:role/x\""
    );
    let targets = targets(&file).unwrap();
    assert_eq!(targets[0].account_id, None);
    let Some(CredentialKind::Iam {
        assume_role: Some(role),
    }) = targets[0].user_credentials.values().next()
    else {
        panic!("a role")
    };
    assert!(role.session_policy);
    assert_eq!(role.account_id.as_deref(), Some("111122223333"));
}

#[test]
fn defaults_of_a_target_are_among_what_it_lists() {
    let lists = "db_users = [\"app\", \"boss\"]\ndatabases = [\"x\", \"y\"]\n";
    let right = format!("{A}{lists}default_db_user = \"boss\"\ndefault_database = \"y\"");
    let target = targets(&right).unwrap().remove(0);
    assert_eq!(target.proposed_user().unwrap().as_str(), "boss");
    assert_eq!(target.proposed_database().unwrap().as_str(), "y");
    let wrong = format!("{A}{lists}default_db_user = \"b\"\ndefault_database = \"z\"");
    assert_eq!(
        mistakes(&wrong),
        [
            "targets.a.default_db_user: `b` is not in `db_users`",
            "targets.a.default_database: `z` is not in `databases`",
        ]
    );
    let any = format!("{A}db_users = [\"*\"]\ndefault_db_user = \"b\"\ndefault_database = \"z\"");
    assert!(targets(&any).is_ok());
    let first = targets(&format!("{A}{lists}")).unwrap().remove(0);
    assert_eq!(first.proposed_user().unwrap().as_str(), "app");
    assert_eq!(first.proposed_database().unwrap().as_str(), "x");
}

const DEFAULTS: &str = "[defaults]\nregion = \"eu-west-1\"\naccount_id = \"111122223333\"\nport = 6000\n\
    db_users = [\"app\", \"boss\"]\ndatabases = [\"x\"]\ndefault_database = \"x\"\n\
    default_db_user = \"boss\"\ncredential = { kind = \"passthrough\" }\n";

#[test]
fn targets_inherit_what_they_do_not_set() {
    let file = format!(
        "{DEFAULTS}{A}[targets.b]\nendpoint = \"g.global-abc.global.rds.amazonaws.com:7000\"\n\
         db_users = [\"other\", \"boss\"]\ncredential = {{ kind = \"iam\" }}"
    );
    let targets = targets(&file).unwrap();
    let (a, b) = (&targets[0], &targets[1]);
    assert_eq!(a.region.as_str(), "us-east-1", "the name says it");
    assert_eq!(b.region.as_str(), "eu-west-1");
    assert_eq!((a.dial.port, b.dial.port), (6000, 7000));
    assert_eq!(a.account_id.as_deref(), Some("111122223333"));
    assert_eq!(a.credential.as_str(), "passthrough");
    assert_eq!(b.credential.as_str(), "iam");
    assert_eq!(a.proposed_user().unwrap().as_str(), "boss");
    assert!(matches!(&b.users, Users::Listed(users) if users[0].as_str() == "other"));
}

#[test]
fn an_endpoint_of_the_command_line_inherits_what_no_flag_sets() {
    let mut command_line = CommandLine {
        targets: vec!["a.proxy-abc.us-east-1.rds.amazonaws.com".into()],
        ..CommandLine::default()
    };
    let settings = with(DEFAULTS, command_line).unwrap();
    let target = &settings.targets[0];
    assert_eq!(
        (target.dial.port, target.credential.as_str()),
        (6000, "passthrough")
    );
    assert_eq!(target.proposed_user().unwrap().as_str(), "boss");
    assert_eq!(target.trust, TrustRoots::Shipped(RootsKind::Amazon));
    command_line = CommandLine {
        targets: vec!["a.proxy-abc.us-east-1.rds.amazonaws.com:1".into()],
        ..CommandLine::default()
    };
    command_line.ad_hoc.db_users = vec!["me".into()];
    let settings = with(DEFAULTS, command_line).unwrap();
    let target = &settings.targets[0];
    assert_eq!(target.dial.port, 1);
    assert_eq!(target.proposed_user().unwrap().as_str(), "me");
}

/// Told once and where it was written, also when no target or every target inherits it.
#[test]
fn mistakes_of_the_defaults_are_told_once() {
    let targets = format!("{A}{}", A.replace("targets.a", "targets.b"));
    let file = format!(
        "[defaults]\ndb_users = [\"app\"]\nregion = \"x\"\ncredential = {{ kind = \"nope\" }}\n\
         ca_file = \"/nonexistent.pem\"\nendpoint = \"x\"\nreigon = \"y\"\n{targets}"
    );
    let found = mistakes(&file);
    assert_eq!(found.len(), 5, "{found:#?}");
    for expected in [
        "defaults.region: `x` is not an AWS region",
        "defaults.credential.kind: `nope` is none of",
        "defaults.ca_file: cannot read",
        "defaults.endpoint: unknown key",
        "defaults.reigon: unknown key; did you mean `region`?",
    ] {
        assert!(
            found.iter().any(|line| line.starts_with(expected)),
            "{expected}\n{found:#?}"
        );
    }
    let file = format!("[defaults]\ndefault_db_user = \"x\"\n{A}db_users = [\"app\"]");
    assert_eq!(
        mistakes(&file),
        [
            "targets.a.default_db_user: `x` is not in `db_users` (the value is that of defaults.default_db_user)"
        ]
    );
}

/// The reference's section is what is handed on, and all of it is judged.
#[test]
fn every_described_default_is_read() {
    for key in reference::DEFAULTS {
        let is_of_target = reference::TARGET.iter().any(|known| known.name == key.name);
        assert!(is_of_target, "{}", key.name);
        let found = mistakes(&format!(
            "[defaults]\n{} = 1.5\n{A}db_users = [\"app\"]",
            key.name
        ));
        let expected = format!("defaults.{}: expected", key.name);
        assert!(found.iter().any(|line| line.starts_with(&expected)), "{found:?}");
    }
}

const BROKER: &str = "[targets.b]\nendpoint = \"broker.example\"\n";

fn settings_of(target: &Target) -> BrokerSettings {
    target.credential.broker().unwrap().clone()
}

#[test]
fn a_broker_needs_little() {
    let credential = "credential = { kind = \"broker\" }";
    let target = targets(&format!("{BROKER}{credential}")).unwrap().remove(0);
    let expected = BrokerSettings {
        audience: "broker.example".to_owned(),
        proof: ProofSource::AwsIam { region: None },
    };
    assert_eq!(settings_of(&target), expected);
    assert_eq!(
        (target.trust, target.users, target.credential.as_str()),
        (TrustRoots::Public, Users::Any, "broker+aws_iam")
    );
    // What is given counts, and what is wrong is not taken for not given.
    let region = "region = \"eu-west-1\"\ndb_users = [\"app\"]\n";
    let credential =
        "credential = { kind = \"broker\", audience = \"orders\", proof = \"token_file\", file = \"t\" }";
    let target = targets(&format!("{BROKER}{region}{credential}"))
        .unwrap()
        .remove(0);
    assert_eq!(settings_of(&target).audience, "orders");
    assert_eq!(settings_of(&target).proof, ProofSource::TokenFile("t".into()));
    assert!(matches!(target.users, Users::Listed(_)));
    let file = format!("{BROKER}{region}credential = {{ kind = \"broker\" }}");
    let proof = settings_of(&targets(&file).unwrap()[0]).proof;
    let region = Region::new("eu-west-1");
    assert_eq!(proof, ProofSource::AwsIam { region });
    let empty = mistakes(&format!("{BROKER}db_users = []\n{credential}"));
    assert!(
        empty[0].starts_with("targets.b.db_users: lists nobody"),
        "{empty:?}"
    );
}

#[test]
fn mistakes_of_a_broker_have_their_keys() {
    for (credential, expected) in [
        ("audience = \"two words\"", "audience: is not 1 to 255"),
        ("proof = \"x\"", "proof: `x` is neither"),
        ("proof = \"token_file\"", "file: is missing"),
        ("variable = \"X\"", "variable: unknown key"),
    ] {
        let found = mistakes(&format!(
            "{BROKER}credential = {{ kind = \"broker\", {credential} }}"
        ));
        assert_eq!(found.len(), 1, "{found:?}");
        let expected = format!("targets.b.credential.{expected}");
        assert!(found[0].starts_with(&expected), "{expected}\n{found:?}");
    }
    let found = lines_of_a("[targets.a.users.x]\ncredential = { kind = \"broker\" }");
    assert_eq!(
        found,
        ["targets.a.users: holds a `broker`, which only a target as a whole can be"]
    );
}

#[test]
fn a_broker_of_the_command_line_inherits_nothing_of_databases() {
    let mut command_line = CommandLine::default();
    command_line.ad_hoc.via = Some("broker.example:6432".into());
    let settings = with(&format!("{DEFAULTS}{A}"), command_line).unwrap();
    let [target] = settings.targets.as_slice() else {
        panic!("the broker alone")
    };
    assert_eq!(
        (target.name.as_str(), target.dial.port, &target.users),
        ("broker", 6432, &Users::Any)
    );
    assert_eq!(settings_of(target).proof, ProofSource::AwsIam { region: None });
    let mut command_line = CommandLine {
        targets: vec!["a".into()],
        ..CommandLine::default()
    };
    command_line.ad_hoc.via = Some("a.example".into());
    command_line.ad_hoc.audience = Some("orders".into());
    command_line.ad_hoc.region = Some("eu-west-1".into());
    let settings = with(&format!("{DEFAULTS}{A}"), command_line).unwrap();
    assert_eq!(settings.targets[1].name.as_str(), "a.example");
    assert_eq!(settings_of(&settings.targets[1]).audience, "orders");
    let region = Region::new("eu-west-1");
    assert_eq!(
        settings_of(&settings.targets[1]).proof,
        ProofSource::AwsIam { region }
    );
}

#[test]
fn who_the_caller_is_goes_to_databases_as_configured() {
    let shown = |text: &str| {
        let target = targets(text).unwrap().remove(0);
        (target.propagation.application_name, target.propagation.setting)
    };
    let a = format!("{A}db_users = [\"app\"]\n");
    assert_eq!(shown(&a), (true, false));
    let defaults = "[defaults]\ncaller_in_application_name = false\ncaller_setting = true\n";
    assert_eq!(shown(&format!("{defaults}{a}")), (false, true));
    assert_eq!(
        shown(&format!("{defaults}{a}caller_setting = false")),
        (false, false)
    );
    assert_eq!(
        lines_of_a("caller_setting = \"yes\""),
        ["targets.a.caller_setting: expected true or false, found string"]
    );
    let broker = "[targets.b]\nendpoint = \"b.example\"\ncredential = { kind = \"broker\" }\n";
    assert!(targets(&format!("{defaults}{broker}")).is_ok());
    let found = mistakes(&format!("{broker}caller_setting = true"));
    assert!(
        found[0].starts_with("targets.b.caller_setting: is for databases"),
        "{found:?}"
    );
}
