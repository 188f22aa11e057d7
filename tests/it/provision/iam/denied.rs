//! What cannot be done is told, with what mends it, and nothing is half done before.

use super::{Estate, MAY};
use crate::iam_policy::boto;
use crate::provision::turn;
use crate::support::Sandbox;
use serde_json::json;

#[test]
fn who_may_not_write_iam_is_told_what_it_lacks() {
    let sandbox = Sandbox::alone();
    let _one_at_a_time = turn();
    let estate = Estate::new(&sandbox);
    boto(&sandbox, "root_a", MAY, &["{}"]);
    let told = estate
        .house
        .run(&["apply", "--iam"])
        .refused("iam:GetAccountAuthorizationDetails");
    assert!(
        told.err
            .contains("`dbproxy iam-policy --provisioner --writes-iam`"),
        "{}",
        told.all()
    );
    assert!(
        !estate.house.town.exists("it_i_a"),
        "both planes are looked at before one is changed"
    );
    estate.permit(&sandbox);
    // In mid-run: what was done before stays.
    let denied = json!({"service": "iam", "action": "PutUserPolicy", "status": 403, "code": "AccessDenied"});
    sandbox.switch("fault", &denied);
    let told = estate.house.run(&["apply", "--iam"]).refused("iam:PutUserPolicy");
    assert!(
        told.err.contains("nothing was changed in IAM") && told.err.contains("--writes-iam"),
        "{}",
        told.all()
    );
    assert!(estate.house.town.exists("it_i_a"));
    let before = estate.house.text();
    let grant = ["grant", "it_i_b", "it_i_m", "--principal", &estate.arn, "--iam"];
    let told = estate.house.run(&grant).refused("iam:PutUserPolicy");
    assert!(
        told.err.contains("the manifest keeps the change"),
        "{}",
        told.all()
    );
    assert_ne!(estate.house.text(), before);
    sandbox.switch("fault", &json!({"clear": true}));
    estate.house.run(&["apply", "--iam"]).done();
    assert_eq!(estate.steps(), [serde_json::Value::Null; 0]);
    let all = ["[clusters.orders.users.it_i_a]", "[clusters.orders.users.it_i_b]"];
    assert!(all.iter().all(|table| estate.house.text().contains(table)));
    estate
        .house
        .edit(&format!("principals = [\"{}\"]", estate.arn), "");
    estate
        .house
        .run(&["apply", "--iam", "--allow-destructive"])
        .done();
}

#[test]
fn who_is_not_there_stops_the_run_before_it_begins() {
    let sandbox = Sandbox::alone();
    let _one_at_a_time = turn();
    let estate = Estate::new(&sandbox);
    estate.permit(&sandbox);
    let absent = estate.arn.replace("it-i-", "it-nobody-");
    estate.house.edit(&estate.arn, &absent);
    let told = estate
        .house
        .run(&["apply", "--iam"])
        .refused(&format!("there is no `{absent}`"));
    assert!(
        told.err.contains("create it, or take it out of the manifest"),
        "{}",
        told.all()
    );
    assert!(!estate.house.town.exists("it_i_a"));
    estate.house.run(&["apply"]).done();
}

#[test]
fn what_was_reviewed_is_what_runs_in_iam_too() {
    let sandbox = Sandbox::alone();
    let _one_at_a_time = turn();
    let estate = Estate::new(&sandbox);
    estate.permit(&sandbox);
    let (house, file) = (&estate.house, estate.house.config.with_extension("plan.json"));
    let path = file.to_str().unwrap();
    house.run(&["plan", "--plan-out", path]).done();
    house
        .run(&["apply", "--iam", "--plan-in", path])
        .refused("made without --iam");
    house.run(&["plan", "--iam", "--plan-out", path]).done();
    let printed = house.run(&["iam-policy"]).done();
    let printed: serde_json::Value = serde_json::from_str(&printed.out).unwrap();
    let document = printed[&estate.arn]["policies"]["dbproxy-connect-1"].to_string();
    let document = document.replace("/it_i_a", "/somebody");
    let moved = super::BY_HAND.replace("by-hand", "dbproxy-connect-1");
    boto(&sandbox, "root_a", &moved, &[&estate.name, &document]);
    let told = house
        .run(&["apply", "--plan-in", path])
        .refused("the account has moved");
    assert!(
        told.out
            .contains("+ ! change policy \"dbproxy-connect-1\" of user"),
        "{}",
        told.all()
    );
    assert!(!house.town.exists("it_i_a"));
    house.run(&["plan", "--iam", "--plan-out", path]).done();
    house
        .run(&["apply", "--plan-in", path])
        .refused("--allow-destructive");
    house
        .run(&["apply", "--plan-in", path, "--allow-destructive"])
        .done();
    assert_eq!(estate.steps(), [serde_json::Value::Null; 0]);
    std::fs::remove_file(&file).unwrap();
    house.edit(&format!("principals = [\"{}\"]", estate.arn), "");
    house.run(&["apply", "--iam", "--allow-destructive"]).done();
}
