//! What is not this manifest's: another account, and another manifest in the same one.

use super::Estate;
use crate::iam_policy::boto;
use crate::provision::turn;
use crate::support::Sandbox;
use crate::support::proxy::config_file;
use serde_json::{Value, json};

/// A role of account A that whoever is of account B may assume, to connect.
const WAY_IN: &str = r#"
import boto3, json, sys
iam, (name, account) = boto3.client("iam"), sys.argv[1:]
whom = {"AWS": f"arn:aws:iam::{account}:root"}
trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": whom, "Action": "sts:AssumeRole"}]}
iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
may = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "rds-db:connect", "Resource": "*"}]}
iam.put_role_policy(RoleName=name, PolicyName="main", PolicyDocument=json.dumps(may))
print("{}")
"#;

/// A user and a role that another team's dbproxy has given something.
const OTHERS: &str = r#"
import boto3, json, sys
iam, (name, account) = boto3.client("iam"), sys.argv[1:]
document = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "rds-db:connect",
    "Resource": f"arn:aws:rds-db:us-east-1:{account}:dbuser:cluster-THEIRS/u"}]})
iam.create_user(UserName=name)
iam.put_user_policy(UserName=name, PolicyName="dbproxy-connect-1", PolicyDocument=document)
tags = [{"Key": "managed-by", "Value": "dbproxy"}]
iam.create_role(RoleName=name, AssumeRolePolicyDocument='{"Version":"2012-10-17","Statement":[]}', Tags=tags)
iam.put_role_policy(RoleName=name, PolicyName="dbproxy-connect-1", PolicyDocument=document)
print("{}")
"#;

/// Whether they have it still; and takes them away, so that other tests find the account as it was.
const STILL: &str = r#"
import boto3, json, sys
iam, name = boto3.client("iam"), sys.argv[1]
has = [iam.list_user_policies(UserName=name)["PolicyNames"], iam.list_role_policies(RoleName=name)["PolicyNames"]]
if len(sys.argv) > 2:
    iam.delete_user_policy(UserName=name, PolicyName="dbproxy-connect-1")
    iam.delete_role_policy(RoleName=name, PolicyName="dbproxy-connect-1")
    iam.delete_user(UserName=name)
    iam.delete_role(RoleName=name)
print(json.dumps(has))
"#;

fn both() -> Value {
    json!([["dbproxy-connect-1"], ["dbproxy-connect-1"]])
}

#[test]
fn with_the_credentials_of_another_account_nothing_is_done() {
    let sandbox = Sandbox::alone();
    let _one_at_a_time = turn();
    let mut estate = Estate::new(&sandbox);
    let [a, b] = ["/aws/accounts/a", "/aws/accounts/b"].map(|path| sandbox.text(path));
    let (way, team) = (format!("{}-way", estate.name), format!("{}-team", estate.name));
    boto(&sandbox, "root_a", WAY_IN, &[&way, &b]);
    boto(&sandbox, "root_b", OTHERS, &[&team, &b]);
    let lines = format!(
        "db_users = [\"app_ro\"]\n[targets.orders.credential.assume_role]\nrole_arn = \"arn:aws:iam::{a}:role/{way}\"\n"
    );
    estate.house.config = config_file(&sandbox, &sandbox.target("orders", &lines));
    estate.house.environment = sandbox.aws_env("root_b");
    estate.house.run(&["plan"]).done();
    for command in [&["plan", "--iam"][..], &["apply", "--iam", "--allow-destructive"]] {
        let told = estate
            .house
            .run(command)
            .refused(&format!("account {b}, whose AWS credentials these are"));
        assert!(told.err.contains(&format!("{a} (orders)")), "{}", told.all());
    }
    assert!(!estate.house.town.exists("it_i_a"), "nor in the database");
    assert_eq!(boto(&sandbox, "root_b", STILL, &[&team, "end"]), both());
}

#[test]
fn another_manifest_of_the_same_account_keeps_what_it_gave() {
    let sandbox = Sandbox::alone();
    let _one_at_a_time = turn();
    let estate = Estate::new(&sandbox);
    let account = sandbox.text("/aws/accounts/a");
    let team = format!("{}-team", estate.name);
    boto(&sandbox, "root_a", OTHERS, &[&team, &account]);
    estate.permit(&sandbox);
    let told = estate.house.run(&["apply", "--iam"]).done();
    assert!(
        told.out.contains("about nothing that this manifest knows"),
        "{}",
        told.all()
    );
    assert_eq!(
        told.last(),
        format!("done: cluster orders and IAM of account {account} are what the manifest says")
    );
    assert_eq!(boto(&sandbox, "root_a", STILL, &[&team]), both());
    // A principal of both.
    let theirs = format!("arn:aws:iam::{account}:user/{team}");
    let before = estate.house.text();
    estate.house.edit(&estate.arn, &theirs);
    estate
        .house
        .run(&["apply", "--iam", "--allow-destructive"])
        .refused("cluster-THEIRS/u`, which this manifest does not know");
    std::fs::write(&estate.house.manifest, before).unwrap();
    assert_eq!(boto(&sandbox, "root_a", STILL, &[&team, "end"]), both());
    estate
        .house
        .edit(&format!("principals = [\"{}\"]", estate.arn), "");
    estate
        .house
        .run(&["apply", "--iam", "--allow-destructive"])
        .done();
}
