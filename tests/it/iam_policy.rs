//! The policies that are printed are those that IAM wants: put there, they let in whom the manifest names, and no other.

use crate::drivers::python;
use crate::support::proxy::{config_file, dbproxy};
use crate::support::{Proxy, Sandbox};
use serde_json::Value;
use std::process::Command;

/// A user with keys.
pub const USER: &str = r#"
import boto3, json, sys
iam = boto3.client("iam")
arn = iam.create_user(UserName=sys.argv[1])["User"]["Arn"]
key = iam.create_access_key(UserName=sys.argv[1])["AccessKey"]
print(json.dumps({"arn": arn, "id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}))
"#;

/// Applies what is printed about a principal.
pub const APPLY: &str = r#"
import boto3, json, sys
arn, bundle = sys.argv[1], json.loads(sys.argv[2])
iam, (kind, name) = boto3.client("iam"), arn.split(":")[5].split("/")
assert bundle["kind"] == "inline"
if "role" in bundle:
    role = bundle["role"]
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(role["trust"]),
                    MaxSessionDuration=role["max_session_seconds"])
put = iam.put_role_policy if kind == "role" else iam.put_user_policy
for policy, document in bundle["policies"].items():
    put(**{kind.title() + "Name": name}, PolicyName=policy, PolicyDocument=json.dumps(document))
print("{}")
"#;

/// Takes it away again.
const TAKE: &str = r#"
import boto3, sys
iam, (kind, name) = boto3.client("iam"), sys.argv[1].split(":")[5].split("/")
delete = iam.delete_role_policy if kind == "role" else iam.delete_user_policy
delete(**{kind.title() + "Name": name}, PolicyName="dbproxy-connect-1")
print("{}")
"#;

/// As root of an account.
pub fn boto(sandbox: &Sandbox, root: &str, script: &str, arguments: &[&str]) -> Value {
    let output = Command::new(python())
        .args(["-c", script])
        .args(arguments)
        .envs(sandbox.aws_env(root))
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What is printed about this manifest of the sandbox's cluster, of which the configuration tells the rest.
fn printed(sandbox: &Sandbox, lines: &str) -> Value {
    let manifest = config_file(sandbox, &format!("[clusters.orders]\n{lines}"));
    let config = config_file(sandbox, &sandbox.target("orders", "db_users = [\"app_ro\"]"));
    let output = dbproxy(&[])
        .arg("iam-policy")
        .arg("--manifest")
        .arg(manifest)
        .arg("--config")
        .arg(config)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
pub fn assert_refused(proxy: &Proxy, user: &str) {
    let output = proxy.psql(user, "select 1");
    assert!(!output.status.success(), "{user} was let in");
}

#[test]
fn a_printed_policy_lets_in_whom_the_manifest_names_while_it_is_there() {
    let (sandbox, _turn) = Sandbox::shared();
    let name = format!("orders-app-{}", std::process::id());
    let user = boto(sandbox, "root_a", USER, &[&name]);
    let text = |field: &str| user[field].as_str().unwrap().to_owned();
    let (arn, id, secret) = (text("arn"), text("id"), text("secret"));
    let target = sandbox.target("orders", "db_users = [\"app_ro\", \"app_rw\"]");
    let keys = [
        ("AWS_ACCESS_KEY_ID", id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", secret.as_str()),
    ];
    let proxy = Proxy::start_with(sandbox, "nobody", &target, &[], &keys);
    assert_refused(&proxy, "app_ro");

    let all = printed(
        sandbox,
        &format!("users.app_ro.principals = ['{arn}']\nusers.app_rw = {{}}\n"),
    );
    boto(sandbox, "root_a", APPLY, &[&arn, &all[&arn].to_string()]);
    assert_eq!(proxy.query("app_ro", "select current_user"), "app_ro");
    assert_refused(&proxy, "app_rw");

    boto(sandbox, "root_a", TAKE, &[&arn]);
    assert_refused(&proxy, "app_ro");
}

#[test]
fn a_printed_role_lets_in_another_account_with_its_external_id_alone() {
    let (sandbox, _turn) = Sandbox::shared();
    let name = format!("dbproxy-foreign-{}", std::process::id());
    let role = format!("arn:aws:iam::{}:role/{name}", sandbox.text("/aws/accounts/a"));
    let user = boto(
        sandbox,
        "root_b",
        USER,
        &[&format!("foreign-{}", std::process::id())],
    );
    let text = |field: &str| user[field].as_str().unwrap().to_owned();
    let (arn, id, secret) = (text("arn"), text("id"), text("secret"));
    let all = printed(
        sandbox,
        &format!(
            "users.app_ro.principals = ['{arn}']\nusers.app_rw = {{}}\n[[clusters.orders.cross_account]]\n\
             name = '{name}'\nexternal_id = 'it-is-us'\nusers = ['app_ro']\ntrusts = ['{arn}']\n"
        ),
    );
    boto(sandbox, "root_b", APPLY, &[&arn, &all[&arn].to_string()]);
    boto(sandbox, "root_a", APPLY, &[&role, &all[&role].to_string()]);

    let keys = [
        ("AWS_ACCESS_KEY_ID", id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", secret.as_str()),
    ];
    let start = |external: &str| {
        // The session would be shrunk to one db user: here the role alone must hold it back.
        let lines = format!(
            "db_users = [\"app_ro\", \"app_rw\"]\n[targets.orders.credential.assume_role]\nrole_arn = \"{role}\"\n\
             session_policy = false\nsource_identity = \"{{caller}}\"\ntags = {{ db_user = \"{{db_user}}\" }}\n{external}"
        );
        Proxy::start_with(sandbox, "nobody", &sandbox.target("orders", &lines), &[], &keys)
    };
    let proxy = start("external_id = \"it-is-us\"");
    assert_eq!(proxy.query("app_ro", "select current_user"), "app_ro");
    assert_refused(&proxy, "app_rw");
    for external in ["", "external_id = \"it-is-not\""] {
        assert_refused(&start(external), "app_ro");
    }
    boto(sandbox, "root_a", TAKE, &[&role]);
    assert_refused(&proxy, "app_ro");
}
