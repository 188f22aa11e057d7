//! Both planes by the other commands: a bootstrap, and a look at what has moved.

use super::Estate;
use crate::provision::turn;
use crate::support::Sandbox;
use serde_json::{Value, json};

/// Kinds of findings about the principal of the test, or about its db user.
fn kinds(estate: &Estate, flags: &[&str]) -> Vec<String> {
    let told = estate.house.run(&[&["drift", "-o", "json"], flags].concat());
    assert_eq!(told.code, 5, "the sandbox has users of others: {}", told.all());
    let json: Value = serde_json::from_str(&told.out).unwrap();
    let findings = json["findings"].as_array().unwrap().iter();
    let own = findings.filter(|finding| {
        let text = finding.to_string();
        finding["plane"] == "iam" && (text.contains(&estate.name) || text.contains("it_i_a"))
    });
    own.map(|finding| finding["kind"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_bootstrap_does_both_planes_and_drift_reads_the_account_itself() {
    let sandbox = Sandbox::alone();
    let _one_at_a_time = turn();
    let estate = Estate::new(&sandbox);
    let bootstrap = [
        "bootstrap",
        "--as",
        "sandbox_admin",
        "--iam",
        "--allow-destructive",
    ];
    estate.permit(&sandbox);
    let told = estate
        .house
        .run(&[&bootstrap[..], &["--dry-run"]].concat())
        .done();
    let put = format!("put policy \"dbproxy-connect-1\" into user \"{}\"", estate.name);
    assert!(told.out.contains(&put), "{}", told.all());
    let before = kinds(&estate, &["--iam"]);
    assert!(before.contains(&"missing_policy".to_owned()), "{before:?}");
    assert_eq!(kinds(&estate, &[]), [""; 0], "nobody looked at IAM");

    let told = estate.house.run(&bootstrap).done();
    assert!(
        told.last().starts_with("done: cluster orders and IAM of account"),
        "{}",
        told.all()
    );
    assert_eq!(estate.steps(), [Value::Null; 0]);
    assert_eq!(estate.house.run(&bootstrap).done().last(), "nothing to do");
    let proxy = estate.proxy(&sandbox);
    assert_eq!(proxy.query("it_i_a", "select current_user"), "it_i_a");
    assert_eq!(kinds(&estate, &["--iam"]), [""; 0]);
}

#[test]
fn an_account_that_cannot_be_read_is_a_failure_and_the_database_is_told_all_the_same() {
    let sandbox = Sandbox::alone();
    let _one_at_a_time = turn();
    let estate = Estate::new(&sandbox);
    let action = "GetAccountAuthorizationDetails";
    let denied = json!({"service": "iam", "action": action, "status": 403, "code": "AccessDenied"});
    sandbox.switch("fault", &denied);
    let told = estate.house.run(&["drift", "--iam", "-o", "json"]);
    sandbox.switch("fault", &json!({"clear": true}));
    assert_eq!(told.code, 1, "{}", told.all());
    assert!(
        told.err.contains("iam:GetAccountAuthorizationDetails"),
        "{}",
        told.all()
    );
    let json: Value = serde_json::from_str(&told.out).unwrap();
    assert!(json["looked_at"].to_string().contains("database"), "{json}");
    assert!(!json["looked_at"].to_string().contains("\"iam\""), "{json}");
}
