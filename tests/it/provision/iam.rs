//! The IAM plane: applied by an identity that may no more than `iam-policy` prints for it, and seen by those who log in.

mod denied;
mod others;
mod whole;

use super::command_line::House;
use super::turn;
use crate::iam_policy::{APPLY, USER, assert_refused, boto};
use crate::support::proxy::dbproxy;
use crate::support::{Proxy, Sandbox};
use serde_json::Value;
use std::sync::atomic::{AtomicU32, Ordering};

const CLEAR: &str = "drop role if exists it_i_a, it_i_b, it_i_m";

const MANIFEST: &str = r#"[clusters.orders]
account_id = "ACCOUNT"

[clusters.orders.roles.it_i_m]
template = "monitor"

[clusters.orders.users.it_i_a]
principals = ["PRINCIPAL"]
"#;

/// Puts the documents of the provisioner into the user `dbproxy`, in the place of those before.
const MAY: &str = r#"
import boto3, json, sys
iam = boto3.client("iam")
for name in iam.list_user_policies(UserName="dbproxy")["PolicyNames"]:
    if name.startswith("it-provisioner-"):
        iam.delete_user_policy(UserName="dbproxy", PolicyName=name)
for bundle in json.loads(sys.argv[1]).values():
    for number, document in enumerate(bundle["policies"].values()):
        iam.put_user_policy(UserName="dbproxy", PolicyName=f"it-provisioner-{number}", PolicyDocument=json.dumps(document))
print("{}")
"#;

/// What other tests of this sandbox left of dbproxy's own.
const CLEAN: &str = r#"
import boto3
iam = boto3.client("iam")
details = iam.get_account_authorization_details()
for kind in ("User", "Role"):
    for one in details[kind + "DetailList"]:
        name = {kind + "Name": one[kind + "Name"]}
        for policy in one.get(kind + "PolicyList", []):
            if policy["PolicyName"].startswith("dbproxy-connect-"):
                getattr(iam, f"delete_{kind.lower()}_policy")(PolicyName=policy["PolicyName"], **name)
print("{}")
"#;

/// A policy of another hand.
const BY_HAND: &str = r#"
import boto3, sys
boto3.client("iam").put_user_policy(UserName=sys.argv[1], PolicyName="by-hand", PolicyDocument=sys.argv[2])
print("{}")
"#;

/// What a user has, and the policies and tagged roles that are dbproxy's.
const HAS: &str = r#"
import boto3, json, sys
details = boto3.client("iam").get_account_authorization_details()
user = [one for one in details["UserDetailList"] if one["UserName"] == sys.argv[1]][0]
print(json.dumps({
    "inline": {one["PolicyName"]: one["PolicyDocument"] for one in user.get("UserPolicyList", [])},
    "attached": sorted(one["PolicyName"] for one in user["AttachedManagedPolicies"]),
    "roles": [one["RoleName"] for one in details["RoleDetailList"]
              if {"Key": "managed-by", "Value": "dbproxy"} in one.get("Tags", [])],
    "policies": [one["PolicyName"] for one in details["Policies"] if one["PolicyName"].startswith("dbproxy-connect-")]}))
"#;

/// An IAM user of account A that is to be a db user, a proxy that runs as it, and the commands.
struct Estate {
    house: House,
    name: String,
    arn: String,
    keys: [String; 2],
}

impl Estate {
    fn new(sandbox: &Sandbox) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "it-i-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        boto(sandbox, "root_a", CLEAN, &[]);
        let user = boto(sandbox, "root_a", USER, &[&name]);
        let text = |field: &str| user[field].as_str().unwrap().to_owned();
        let arn = text("arn");
        let house = House::with(sandbox, CLEAR, &MANIFEST.replace("PRINCIPAL", &arn));
        let keys = [text("id"), text("secret")];
        Self {
            house,
            name,
            arn,
            keys,
        }
    }

    /// The provisioner may what is printed for the manifest as it is now.
    fn permit(&self, sandbox: &Sandbox) {
        let output = dbproxy(&self.house.environment)
            .args(["iam-policy", "--provisioner", "--writes-iam"])
            .env("DBPROXY_CONFIG", &self.house.config)
            .env("DBPROXY_MANIFEST", &self.house.manifest)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        boto(
            sandbox,
            "root_a",
            MAY,
            &[&String::from_utf8(output.stdout).unwrap()],
        );
    }

    fn proxy(&self, sandbox: &Sandbox) -> Proxy {
        let target = sandbox.target("orders", "db_users = [\"it_i_a\", \"it_i_b\"]");
        let [id, secret] = &self.keys;
        let keys = [
            ("AWS_ACCESS_KEY_ID", id.as_str()),
            ("AWS_SECRET_ACCESS_KEY", secret.as_str()),
        ];
        Proxy::start_with(sandbox, "nobody", &target, &[], &keys)
    }

    fn has(&self, sandbox: &Sandbox) -> Value {
        boto(sandbox, "root_a", HAS, &[&self.name])
    }

    fn steps(&self) -> Vec<Value> {
        let told = self.house.run(&["plan", "--iam", "-o", "json"]).done();
        let json: Value = serde_json::from_str(&told.out).unwrap();
        json["steps"].as_array().unwrap().clone()
    }
}

/// Why AWS's judge refused the last login.
fn last_reason(sandbox: &Sandbox) -> Value {
    sandbox.auth_log().last().unwrap()["reason"].clone()
}

#[test]
fn who_is_granted_connects_and_who_is_revoked_does_not() {
    let sandbox = Sandbox::alone();
    let _one_at_a_time = turn();
    let estate = Estate::new(&sandbox);
    estate.permit(&sandbox);
    let by_hand =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    boto(&sandbox, "root_a", BY_HAND, &[&estate.name, by_hand]);
    let proxy = estate.proxy(&sandbox);
    let house = &estate.house;
    let told = house.run(&["plan", "--iam", "--sql"]).done();
    let title = format!(
        "  put policy \"dbproxy-connect-1\" into user \"{}\"\n      aws iam put-user-policy",
        estate.name
    );
    let account = format!("in IAM of account {}:\n", sandbox.text("/aws/accounts/a"));
    assert!(
        told.out.contains(&account) && told.out.contains(&title),
        "{}",
        told.out
    );
    assert_refused(&proxy, "it_i_a");
    let told = house.run(&["apply", "--iam"]).done();
    assert_eq!(
        told.last(),
        format!(
            "done: cluster orders and IAM of account {} are what the manifest says",
            sandbox.text("/aws/accounts/a")
        )
    );
    assert!(told.err.contains("[IAM 1/1] put policy"), "{}", told.all());
    assert_eq!(estate.steps(), [Value::Null; 0]);
    assert_eq!(proxy.query("it_i_a", "select current_user"), "it_i_a");

    let grant = ["grant", "it_i_b", "it_i_m", "--principal", &estate.arn, "--iam"];
    let told = house.run(&[&grant[..], &["--dry-run"]].concat()).done();
    assert!(
        told.out.contains("  change policy \"dbproxy-connect-1\" of user"),
        "{}",
        told.all()
    );
    house.run(&grant).done();
    assert_eq!(proxy.query("it_i_b", "select current_user"), "it_i_b");
    house
        .run(&["revoke", "it_i_b", "--iam"])
        .refused("--allow-destructive");
    assert_eq!(proxy.query("it_i_b", "select 1"), "1");
    house
        .run(&["revoke", "it_i_b", "--iam", "--allow-destructive"])
        .done();
    // Were there a db user still, IAM would not let it in.
    house
        .town
        .sql("postgres", "create role it_i_b login in role rds_iam");
    assert_refused(&proxy, "it_i_b");
    assert_eq!(last_reason(&sandbox), "PolicyImplicitDeny");
    house.town.sql("postgres", "drop role it_i_b");
    assert_eq!(proxy.query("it_i_a", "select 1"), "1", "the other stays");

    house.edit(&format!("principals = [\"{}\"]", estate.arn), "");
    house.run(&["apply", "--iam"]).refused("--allow-destructive");
    assert_eq!(proxy.query("it_i_a", "select 1"), "1");
    house.run(&["apply", "--iam", "--allow-destructive"]).done();
    assert_refused(&proxy, "it_i_a");
    assert_eq!(last_reason(&sandbox), "PolicyImplicitDeny");
    let has = estate.has(&sandbox);
    assert_eq!(
        has["inline"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["by-hand"],
        "{has}"
    );
    assert_eq!(
        has["inline"]["by-hand"],
        serde_json::from_str::<Value>(by_hand).unwrap()
    );
}

#[test]
fn what_is_too_large_for_a_user_becomes_managed() {
    let sandbox = Sandbox::alone();
    let _one_at_a_time = turn();
    let estate = Estate::new(&sandbox);
    // Of another cluster, whose database nobody has to reach: principals have the grants of all in one document.
    let mut text = estate.house.text();
    text += "[clusters.far]\naccount_id = 'ACCOUNT'\nregion = 'us-east-1'\nresource_ids = ['cluster-FAR']\n";
    for number in 0..40 {
        text += &format!("users.u{number:02}.principals = ['{}']\n", estate.arn);
    }
    let before = estate.house.text();
    std::fs::write(
        &estate.house.manifest,
        text.replace("ACCOUNT", &sandbox.text("/aws/accounts/a")),
    )
    .unwrap();
    estate.permit(&sandbox);
    let proxy = estate.proxy(&sandbox);
    estate.house.run(&["apply", "orders", "--iam"]).done();
    assert_eq!(proxy.query("it_i_a", "select current_user"), "it_i_a");
    let managed = format!("dbproxy-connect-user-{}-1", estate.name);
    let has = estate.has(&sandbox);
    assert_eq!(
        (&has["attached"], has["inline"].as_object().unwrap().len()),
        (&[managed].as_slice().into(), 0),
        "{has}"
    );
    assert!(
        estate
            .house
            .run(&["plan", "orders", "--iam"])
            .done()
            .out
            .ends_with("nothing to do\n")
    );

    // A cluster that is gone is a former resource id of another.
    estate.house.run(&["apply", "orders", "--iam"]).done();
    let retired = before.replacen("account_id", "past_resource_ids = ['cluster-FAR']\naccount_id", 1);
    std::fs::write(&estate.house.manifest, &before).unwrap();
    estate
        .house
        .run(&["apply", "--iam", "--allow-destructive"])
        .refused("speaks of");
    std::fs::write(&estate.house.manifest, retired).unwrap();
    estate
        .house
        .run(&["apply", "--iam", "--allow-destructive"])
        .done();
    assert_eq!(proxy.query("it_i_a", "select current_user"), "it_i_a");
    let has = estate.has(&sandbox);
    assert_eq!(
        (
            has["attached"].as_array().unwrap().len(),
            has["policies"].as_array().unwrap().len()
        ),
        (0, 0),
        "{has}"
    );
    assert!(has["inline"]["dbproxy-connect-1"].is_object(), "{has}");
    estate
        .house
        .edit(&format!("principals = [\"{}\"]", estate.arn), "");
    estate
        .house
        .run(&["apply", "--iam", "--allow-destructive"])
        .done();
}

#[test]
fn a_role_for_another_account_is_made_and_taken_away() {
    let sandbox = Sandbox::alone();
    let _one_at_a_time = turn();
    let estate = Estate::new(&sandbox);
    let role = format!("it-i-cross-{}", std::process::id());
    let user = boto(&sandbox, "root_b", USER, &[&role]);
    let text = |field: &str| user[field].as_str().unwrap().to_owned();
    let (stranger, id, secret) = (text("arn"), text("id"), text("secret"));
    let house = &estate.house;
    let cross = format!(
        "[[clusters.orders.cross_account]]\nname = '{role}'\nexternal_id = 'it-is-us'\nusers = ['it_i_a']\n\
         trusts = ['{stranger}']\n"
    );
    let with = house.text().replace(&estate.arn, &stranger) + &cross;
    std::fs::write(&house.manifest, &with).unwrap();
    estate.permit(&sandbox);
    // What the other account has to do itself.
    let printed = house
        .run(&["iam-policy", "--account", &sandbox.text("/aws/accounts/b")])
        .done();
    let printed: Value = serde_json::from_str(&printed.out).unwrap();
    boto(
        &sandbox,
        "root_b",
        APPLY,
        &[&stranger, &printed[&stranger].to_string()],
    );

    let told = house.run(&["apply", "--iam"]).done();
    assert!(
        told.out.contains(&format!("create IAM role \"{role}\"")),
        "{}",
        told.all()
    );
    assert!(
        told.out.contains("are left out: `dbproxy iam-policy --account"),
        "{}",
        told.all()
    );
    assert_eq!(estate.steps(), [Value::Null; 0]);
    assert_eq!(estate.has(&sandbox)["roles"], serde_json::json!([role]));
    let keys = [
        ("AWS_ACCESS_KEY_ID", id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", secret.as_str()),
    ];
    let account = sandbox.text("/aws/accounts/a");
    let start = |external: &str| {
        let lines = format!(
            "db_users = [\"it_i_a\"]\n[targets.orders.credential.assume_role]\n\
             role_arn = \"arn:aws:iam::{account}:role/{role}\"\nexternal_id = \"{external}\"\n"
        );
        Proxy::start_with(&sandbox, "nobody", &sandbox.target("orders", &lines), &[], &keys)
    };
    let proxy = start("it-is-us");
    assert_eq!(proxy.query("it_i_a", "select current_user"), "it_i_a");
    assert_refused(&start("it-is-not"), "it_i_a");
    // Longer sessions, another secret: the same role.
    house.edit("'it-is-us'", "'it-is-not'");
    house.run(&["apply", "--iam", "--allow-destructive"]).done();
    assert_eq!(start("it-is-not").query("it_i_a", "select 1"), "1");
    assert_refused(&start("it-is-us"), "it_i_a");

    std::fs::write(
        &house.manifest,
        with.replace(&cross, "").replace(&format!("\"{stranger}\""), ""),
    )
    .unwrap();
    let told = house.run(&["apply", "--iam", "--allow-destructive"]).done();
    assert!(
        told.out.contains(&format!("! delete IAM role \"{role}\"")),
        "{}",
        told.all()
    );
    assert_refused(&proxy, "it_i_a");
    assert_eq!(estate.has(&sandbox)["roles"], serde_json::json!([]));
}
