//! Drift as people see it: a cluster is clean after apply, and what is changed by hand behind its back is named, with
//! what mends it.

use super::command_line::{House, Told};
use super::turn;
use crate::drivers::python;
use crate::support::Sandbox;
use crate::support::sandbox::root;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

const CLEAR: &str = "drop database if exists it_d with (force);\n\
    drop role if exists it_d_owner, it_d_rw, it_d_ro, it_d_app, it_d_report, it_d_pass, it_d_odd, it_d_master, it_d_group";

/// Of the sandbox's own cluster, whose other roles are left alone.
const MANIFEST: &str = r#"
[clusters.orders]
unmanaged = ["sandbox_admin", "app_ro", "app_rw", "app_denied", "app_nogrant"]
broker_principals = ["arn:aws:iam::111122223333:user/dbproxy"]
provisioner_principals = ["arn:aws:iam::111122223333:user/dbproxy"]
unmanaged_principals = [
  "arn:aws:iam::111122223333:role/dbproxy-connect",
  "arn:aws:iam::111122223333:role/dbproxy-cross",
  "arn:aws:iam::111122223333:role/dbproxy-chained",
]
[clusters.orders.databases.it_d]
schemas = ["s"]
[clusters.orders.roles]
it_d_owner = { template = "owner" }
it_d_rw = { template = "read-write" }
it_d_ro = { template = "read-only" }
[clusters.orders.users.it_d_app]
roles = ["it_d_rw"]
settings = { statement_timeout = "60s" }
[clusters.orders.users.it_d_report]
roles = ["it_d_ro"]
connection_limit = 5
[clusters.orders.users.it_d_pass]
roles = ["it_d_ro"]
rds_iam = false
"#;

/// What the AWS CLI prints of an account, with what other tests have put there left out: users and policies that the sandbox
/// begins with remain, and roles of the prefix that is given.
const DETAILS: &str = r#"
import boto3, json, sys
keep = sys.argv[1]
page = boto3.client("iam").get_account_authorization_details()
del page["ResponseMetadata"]
for kind in ("User", "Role"):
    entries = [e for e in page[kind + "DetailList"]
               if e[kind + "Name"] in ("dbproxy", "powerless", "broker") or e[kind + "Name"].startswith(("dbproxy-c", keep))]
    for entry in entries:
        policies = [p for p in entry.get(kind + "PolicyList", []) if p["PolicyName"] in ("main", "dbproxy-connect-1")]
        entry[kind + "PolicyList"] = policies
    page[kind + "DetailList"] = entries
print(json.dumps(page, default=str))
"#;

/// A role with one policy, made again.
const ROLE: &str = r#"
import boto3, json, sys
iam, (name, trusted, statement) = boto3.client("iam"), sys.argv[1:]
policy = lambda *all: json.dumps({"Version": "2012-10-17", "Statement": list(all)})
try:
    iam.delete_role_policy(RoleName=name, PolicyName="main")
    iam.delete_role(RoleName=name)
except iam.exceptions.NoSuchEntityException:
    pass
iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(
    {"Effect": "Allow", "Principal": {"AWS": trusted}, "Action": "sts:AssumeRole"}))
iam.put_role_policy(RoleName=name, PolicyName="main", PolicyDocument=policy(json.loads(statement)))
"#;

/// Roles as `dbproxy iam-policy` prints them, with their policies and trust.
const APPLY: &str = r#"
import boto3, json, sys
iam, all = boto3.client("iam"), json.loads(sys.argv[1])
for arn, bundle in all.items():
    kind, name = arn.split(":")[5].split("/")
    if kind != "role" or ":111122223333:" not in arn:
        continue
    trust = bundle.get("role", {}).get("trust") or {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "sts:AssumeRole"}]}
    try:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    except iam.exceptions.EntityAlreadyExistsException:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
    for policy, document in bundle["policies"].items():
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))
"#;

/// Lets everybody in.
const OPEN: &str = r#"
import boto3, json, sys
boto3.client("iam").update_assume_role_policy(RoleName=sys.argv[1], PolicyDocument=json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}))
"#;

/// As root of account A.
fn boto(sandbox: &Sandbox, script: &str, arguments: &[&str]) -> String {
    let output = Command::new(python())
        .args(["-c", script])
        .args(arguments)
        .envs(sandbox.aws_env("root_a"))
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).unwrap()
}

fn details(sandbox: &Sandbox, house: &House, keep: &str) -> PathBuf {
    let path = house.config.with_extension("details.json");
    std::fs::write(&path, boto(sandbox, DETAILS, &[keep])).unwrap();
    path
}

/// `kind subject` of each finding, and the whole.
fn drifted(house: &House, arguments: &[&str]) -> (Vec<String>, Value) {
    let told = house.run(&[&["drift", "-o", "json"], arguments].concat());
    let json: Value = serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{}", told.all()));
    let findings = json["findings"].as_array().unwrap();
    assert_eq!(
        told.code,
        if findings.is_empty() { 0 } else { 5 },
        "{}",
        told.all()
    );
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
    let lines = findings
        .iter()
        .map(|one| format!("{} {}", text(one, "kind"), text(one, "subject")));
    (lines.collect(), json)
}

#[track_caller]
fn assert_clean(house: &House) {
    let (findings, json) = drifted(house, &[]);
    assert_eq!(findings, [""; 0], "{json:#}");
}

/// Runs what the findings say: commands here, SQL as the administrator.
fn mend(house: &House, json: &Value) {
    let mut done = std::collections::BTreeSet::new();
    for finding in json["findings"].as_array().unwrap() {
        let mend = &finding["mend"];
        if !done.insert(mend.to_string()) {
            continue;
        }
        if let Some(sql) = mend["sql"].as_str() {
            house.town.sql("postgres", sql);
        } else {
            let command = mend["command"].as_str().unwrap_or_else(|| panic!("{finding}"));
            let words: Vec<&str> = command.split(' ').collect();
            assert_eq!(words[0], "dbproxy", "{command}");
            house.run(&words[1..]).done();
        }
    }
}

#[test]
fn the_manifest_that_the_sandbox_ships_is_clean_once_it_is_applied() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let clear = "drop database if exists shop with (force);\n\
        drop role if exists shop_owner, shop_rw, shop_ro, shop_app, shop_report, shop_migrations";
    let text = std::fs::read_to_string(root().join("tests/sandbox/access.toml")).unwrap();
    let house = House::of(sandbox, clear, &text);
    house.run(&["apply"]).done();
    assert_clean(&house);
    let details = details(sandbox, &house, "none");
    let told = house
        .run(&["drift", "--iam-details", details.to_str().unwrap()])
        .done();
    assert_eq!(told.last(), "no drift", "{}", told.all());
    assert!(
        told.out
            .contains("looked at: database (cluster orders), iam (account 111122223333)\n"),
        "{}",
        told.all()
    );
    assert!(
        told.out
            .contains("not looked at: audit (name its files with --audit)\n"),
        "{}",
        told.all()
    );
}

#[test]
fn what_is_changed_by_hand_is_named_and_what_is_said_mends_it() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let house = House::of(sandbox, CLEAR, MANIFEST);
    let (findings, _) = drifted(&house, &[]);
    assert!(
        findings.contains(&"missing_database database \"it_d\"".to_owned()),
        "{findings:?}"
    );
    assert!(
        findings.contains(&"missing_role db user \"it_d_app\"".to_owned()),
        "{findings:?}"
    );
    house.run(&["apply"]).done();
    assert_clean(&house);

    for (place, sql, expected) in [
        (
            "it_d",
            "grant connect on database it_d to public",
            "public_privilege PUBLIC",
        ),
        (
            "it_d",
            "grant create on schema public to public",
            "public_privilege PUBLIC",
        ),
        (
            "it_d",
            "revoke usage on schema s from it_d_ro",
            "missing_privilege db role \"it_d_ro\"",
        ),
        (
            "it_d",
            "grant create on schema s to it_d_rw",
            "extra_privilege db role \"it_d_rw\"",
        ),
        (
            "it_d",
            "alter default privileges for role it_d_owner in schema s grant delete on tables to it_d_ro",
            "extra_privilege db role \"it_d_ro\"",
        ),
        (
            "it_d",
            "alter schema s owner to it_d_app",
            "owner_changed schema \"s\"",
        ),
        ("it_d", "drop schema s", "missing_schema schema \"s\""),
        (
            "postgres",
            "grant it_d_rw to it_d_report",
            "extra_membership db user \"it_d_report\"",
        ),
        (
            "postgres",
            "revoke it_d_ro from it_d_report",
            "missing_membership db user \"it_d_report\"",
        ),
        (
            "postgres",
            "alter role it_d_app set statement_timeout = 0",
            "setting_changed db user \"it_d_app\"",
        ),
        (
            "postgres",
            "alter role it_d_app set work_mem = '1GB'",
            "setting_changed db user \"it_d_app\"",
        ),
        (
            "postgres",
            "alter role it_d_report connection limit 50",
            "role_changed db user \"it_d_report\"",
        ),
        (
            "postgres",
            "alter role it_d_report createrole",
            "role_changed db user \"it_d_report\"",
        ),
        (
            "postgres",
            "alter role it_d_report bypassrls",
            "excess_power role \"it_d_report\"",
        ),
        (
            "postgres",
            "comment on role it_d_report is null",
            "unadopted_role db user \"it_d_report\"",
        ),
        (
            "postgres",
            "drop role it_d_app",
            "missing_role db user \"it_d_app\"",
        ),
        (
            "postgres",
            "grant rds_iam to it_d_pass",
            "password_user_reaches_rds_iam db user \"it_d_pass\"",
        ),
        (
            "postgres",
            "create role it_d_master superuser login in role rds_iam",
            "password_user_reaches_rds_iam db user \"it_d_master\"",
        ),
        (
            "postgres",
            "create role it_d_odd login; comment on role it_d_odd is 'managed by dbproxy'",
            "role_left_manifest role \"it_d_odd\"",
        ),
        (
            "postgres",
            "create role it_d_group login in role it_d_rw",
            "foreign_member role \"it_d_group\"",
        ),
    ] {
        house.town.sql(place, sql);
        let (findings, json) = drifted(&house, &[]);
        assert_eq!(findings, [expected], "{sql}\n{json:#}");
        assert_eq!(json["findings"][0]["cluster"], "orders");
        mend(&house, &json);
        let (findings, json) = drifted(&house, &[]);
        assert_eq!(findings, [""; 0], "mended: {sql}\n{json:#}");
    }
    // Many at once, as people read them.
    house
        .town
        .sql("it_d", "grant temporary on database it_d to public");
    house.town.sql("postgres", "grant rds_iam to it_d_group");
    let told = house.run(&["drift", "orders"]);
    assert_eq!(told.code, 5, "{}", told.all());
    for part in [
        "cluster orders:\n#  SEVERITY  KIND ",
        "\n1  high      public_privilege        it_d      PUBLIC ",
        "\n2  high      unmanaged_rds_iam_user  -         db user \"it_d_group\" ",
        "\nwhat mends it:\n  1: run: dbproxy apply orders",
        "\nnot looked at: iam (give --iam, or name its details with --iam-details), audit (name its files with --audit)\n",
    ] {
        assert!(told.out.contains(part), "{part}\n{}", told.all());
    }
    assert_eq!(told.last(), "2 findings: 2 high, 0 medium, 0 low");
    // Known is known.
    house.edit("\"sandbox_admin\",", "\"sandbox_admin\", \"it_d_group\",");
    assert_eq!(drifted(&house, &[]).0, ["public_privilege PUBLIC"]);
}

#[test]
fn iam_is_held_against_manifest_and_database() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let house = House::of(sandbox, CLEAR, MANIFEST);
    house.run(&["apply"]).done();
    let own = format!(
        "arn:aws:rds-db:us-east-1:{}:dbuser:{}",
        sandbox.text("/aws/accounts/a"),
        sandbox.text("/cluster/resource_id")
    );
    let old = own.replace(&sandbox.text("/cluster/resource_id"), "cluster-RESTORED");
    let role = format!("it-drift-{}", std::process::id());
    let trusted = sandbox.text("/aws/dbproxy/arn");
    for (statement, expected) in [
        (serde_json::json!([format!("{own}/it_d_app")]), "extra_policy"),
        (
            serde_json::json!([format!("{own}/it_d_nobody")]),
            "policy_for_missing_user",
        ),
        (
            serde_json::json!([format!("{old}/it_d_app")]),
            "stale_resource_id",
        ),
        (
            serde_json::json!([format!("{own}/dbproxy_provisioner")]),
            "extra_policy",
        ),
        (serde_json::json!([format!("{own}/it_d_*")]), "wildcard_arn"),
        (serde_json::json!([format!("{own}/nobody_yet*")]), "wildcard_arn"),
    ] {
        let statement =
            serde_json::json!({"Effect": "Allow", "Action": "rds-db:connect", "Resource": statement});
        boto(sandbox, ROLE, &[&role, &trusted, &statement.to_string()]);
        let file = details(sandbox, &house, &role);
        let (findings, json) = drifted(&house, &["--iam-details", file.to_str().unwrap()]);
        assert!(findings.contains(&format!("{expected} role {role}")), "{json:#}");
        // Nobody has applied the policies of the manifest.
        assert!(
            findings.contains(&"missing_policy user dbproxy".to_owned()),
            "{json:#}"
        );
        let alone = "user_nobody_can_be db user \"it_d_report\"".to_owned();
        let is_covered = statement.to_string().contains("it_d_*");
        assert_eq!(findings.contains(&alone), !is_covered, "{json:#}");
        assert_eq!(json["looked_at"][1]["plane"], "iam");
    }
    // What is no account is told before anything else.
    let broken = house.config.with_extension("broken.json");
    std::fs::write(&broken, "{\"RoleDetailList\": []}").unwrap();
    let told = house.run(&["drift", "--iam-details", broken.to_str().unwrap()]);
    assert_eq!(told.code, 1, "{}", told.all());
    assert!(
        told.err.contains("UserDetailList: is missing") && told.err.contains("hint: "),
        "{}",
        told.all()
    );
    std::fs::remove_file(broken).unwrap();
}

#[test]
fn policies_that_are_applied_as_printed_mend_what_was_missing() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let keep = format!("it-mend-{}", std::process::id());
    let (app, over) = (format!("{keep}-app"), format!("{keep}-over"));
    let principals = format!("principals = [\"arn:aws:iam::111122223333:role/{app}\"]");
    let cross = format!(
        "\n[[clusters.orders.cross_account]]\nname = \"{over}\"\ntrusts = [\"{}\"]\nexternal_id = \"it-drift\"\n\
         users = [\"it_d_report\"]\n",
        sandbox.text("/aws/broker/arn")
    );
    let text = MANIFEST
        .replace(
            "broker_principals = [\"arn:aws:iam::111122223333:user/dbproxy\"]\n",
            "",
        )
        .replace("settings = {", &format!("{principals}\nsettings = {{"));
    let house = House::of(sandbox, CLEAR, &(text + &cross));
    house.run(&["apply"]).done();
    let look = || {
        let file = details(sandbox, &house, &keep);
        let (findings, json) = drifted(&house, &["--iam-details", file.to_str().unwrap()]);
        std::fs::remove_file(file).unwrap();
        // What the sandbox's own user may be is another test's.
        let own = findings.into_iter().filter(|one| !one.contains("user dbproxy"));
        (own.collect::<Vec<_>>(), json)
    };
    let (findings, json) = look();
    let expected = [
        format!("missing_policy role {app}"),
        format!("missing_policy role {over}"),
        "user_nobody_can_be db user \"it_d_app\"".to_owned(),
        "user_nobody_can_be db user \"it_d_report\"".to_owned(),
    ];
    assert_eq!(findings, expected, "{json:#}");
    let printed = house.run(&["iam-policy"]).done().out;
    boto(sandbox, APPLY, &[&printed]);
    assert_eq!(look().0, [""; 0], "{:#}", look().1);
    boto(sandbox, OPEN, &[&over]);
    let (findings, json) = look();
    assert!(
        findings
            .iter()
            .all(|one| *one == format!("trust_changed role {over}")),
        "{json:#}"
    );
    assert!(
        json.to_string().contains("trusts `*` too") && json.to_string().contains("without the external id")
    );
    boto(sandbox, APPLY, &[&printed]);
    assert_eq!(look().0, [""; 0]);
}

#[test]
fn a_cluster_that_cannot_be_reached_does_not_hide_the_others() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let text = format!("{MANIFEST}\n[clusters.lost]\n[clusters.untold]\n");
    let house = House::of(sandbox, CLEAR, &text);
    house.run(&["apply", "orders"]).done();
    let config = std::fs::read_to_string(&house.config).unwrap();
    let lost = sandbox
        .target("lost", "db_users = [\"app_ro\"]")
        .replace("dial = \"", "dial = \"127.0.0.1:1\" # ");
    std::fs::write(&house.config, format!("{config}\n{lost}")).unwrap();
    house
        .town
        .sql("postgres", "alter role it_d_report connection limit 50");
    let told: Told = house.run(&["drift", "-o", "json"]);
    assert_eq!(told.code, 1, "{}", told.all());
    let json: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(json["findings"][0]["kind"], "role_changed", "{json:#}");
    assert_eq!(json["errors"].as_array().map(Vec::len), Some(2), "{json:#}");
    for part in [
        "dbproxy: cluster lost: ",
        "dbproxy: cluster untold: ",
        "hint: A cluster of the manifest needs a target of its name: [targets.untold]",
    ] {
        assert!(told.err.contains(part), "{part}\n{}", told.all());
    }
    assert_eq!(house.run(&["drift", "orders"]).code, 5);
}

#[test]
fn users_that_the_audit_has_not_seen_are_told() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let house = House::of(sandbox, CLEAR, MANIFEST);
    house.run(&["apply"]).done();
    let audit = house.config.with_extension("audit.json");
    let line = |time: &str, user: &str| {
        format!(
            "{{\"time\":\"{time}\",\"event\":\"session.opened\",\"target\":\"orders\",\"db_user\":\"{user}\"}}\n"
        )
    };
    let now = jiff::Timestamp::now();
    std::fs::write(
        &audit,
        line("2020-01-01T00:00:00Z", "it_d_app") + &line(&now.to_string(), "it_d_pass"),
    )
    .unwrap();
    let path = audit.to_str().unwrap();
    let (findings, json) = drifted(&house, &["--audit", path]);
    let expected = [
        "unused_user db user \"it_d_app\"",
        "unused_user db user \"it_d_report\"",
        "unused_role db role \"it_d_rw\"",
    ];
    assert_eq!(findings, expected, "{json:#}");
    let mend = json["findings"][1]["mend"]["command"]
        .as_str()
        .unwrap()
        .to_owned();
    let words: Vec<&str> = mend.split(' ').collect();
    house.run(&words[1..]).done();
    assert!(!house.town.exists("it_d_report"));
    assert_eq!(drifted(&house, &["--audit", path]).0.len(), 2);
    // Of a log that is younger nothing can be said.
    std::fs::write(&audit, line(&now.to_string(), "it_d_app")).unwrap();
    let told = house.run(&["drift", "--audit", path]).done();
    assert!(told.out.contains("which is not 90 days ago"), "{}", told.all());
    std::fs::remove_file(audit).unwrap();
}
