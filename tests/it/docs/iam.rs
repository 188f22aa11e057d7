//! The IAM policies below `deploy/iam` are those of the example manifest.

use super::compare;
use crate::support::proxy::dbproxy;
use crate::support::sandbox::root;

/// What is printed about the example.
fn printed(arguments: &[&str]) -> String {
    let output = dbproxy(&[])
        .current_dir(root())
        .arg("iam-policy")
        .args(arguments)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_iam_policies_of_the_example_are_current() {
    let foreign = ["--account", "444455556666", "--format", "terraform"];
    for (file, arguments) in [
        ("access.json", &[][..]),
        ("access.template.json", &["--format", "cloudformation"]),
        ("access.tf", &["--format", "terraform"]),
        ("monitoring-account.tf", &foreign),
        ("provisioner.json", &["--provisioner"]),
    ] {
        compare(&format!("deploy/iam/{file}"), &printed(arguments));
    }
}

#[test]
fn iam_policies_can_be_asked_for_one_principal_or_cluster() {
    let role = "arn:aws:iam::111122223333:role/reporting";
    let all: serde_json::Value = serde_json::from_str(&printed(&["--principal", role])).unwrap();
    let names: Vec<&String> = all.as_object().unwrap().keys().collect();
    assert_eq!(names, [role]);
    let tenants = printed(&["tenants"]);
    assert!(
        tenants.contains("/green_app\"") && !tenants.contains("/reporting\""),
        "{tenants}"
    );
    for (arguments, told) in [
        (
            ["order", "-fjson"],
            "the manifest has no cluster `order`; it has orders, tenants",
        ),
        (
            ["--principal", "arn:aws:iam::111122223333:role/nobody"],
            "gives `arn:aws:iam::111122223333:role/nobody` nothing",
        ),
        (
            [
                "--principal",
                "arn:aws:sts::111122223333:assumed-role/reporting/x",
            ],
            "a session of a role",
        ),
        (
            ["--manifest", "nowhere.toml"],
            "cannot read the access manifest `nowhere.toml`",
        ),
    ] {
        let output = dbproxy(&[])
            .current_dir(root())
            .arg("iam-policy")
            .args(arguments)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && error.contains(told), "{error}");
    }
}
