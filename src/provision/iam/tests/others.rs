//! What has dbproxy's name and is another manifest's; accounts that are none of the manifest's; roles that others made.

use super::account::{arn, principal, role, with};
use super::made;
use crate::provision::iam::difference::{IamObstacle, IamObstacles};
use crate::provision::iam::found::Found;
use crate::provision::iam::{Known, Policies, Site};
use crate::provision::manifest::arn::AccountId;
use serde_json::json;
use std::fmt::Write as _;

const APP: &str = "arn:aws:iam::111122223333:role/app";

fn head(cluster: &str, id: &str) -> String {
    format!(
        "[clusters.{cluster}]\naccount_id = '111122223333'\nregion = 'eu-west-1'\nresource_ids = ['cluster-{id}']\n"
    )
}

/// A manifest with one cluster, a principal of it, and a role for others.
fn whole(cluster: &str, id: &str, app: &str, cross: &str) -> String {
    head(cluster, id)
        + &format!(
            "users.u.principals = ['{app}']\n[[clusters.{cluster}.cross_account]]\nname = '{cross}'\nexternal_id = 'secret'\n\
             users = ['u']\ntrusts = ['arn:aws:iam::444455556666:role/a']\n"
        )
}

fn wanted(text: &str) -> Policies {
    made(text).unwrap()
}

fn obstacles(found: &Found, text: &str) -> String {
    let difference = found.difference(&wanted(text));
    IamObstacles(difference.obstacles).to_string()
}

#[test]
fn an_account_without_a_cluster_of_the_manifest_is_left_as_it_is() {
    let mut found = with(&[APP]);
    found.become_(&wanted(&whole("c", "A", APP, "y")));
    let stranger = |found: &Found| Found {
        account: AccountId::new("444455556666").unwrap(),
        ..found.clone()
    };
    let difference = stranger(&found).difference(&wanted(&whole("c", "A", APP, "x")));
    assert_eq!(difference.plan.steps, []);
    let [obstacle @ IamObstacle::Elsewhere { .. }] = &difference.obstacles[..] else {
        panic!("{difference:?}");
    };
    let told = obstacle.to_string();
    assert!(
        told.contains("account 444455556666") && told.contains("111122223333 (c)"),
        "{told}"
    );
    // Whoever is asked about: the obstacle stays.
    assert!(difference.narrowed(&[APP.to_owned()].into()).into_plan().is_err());
    let china = Found {
        partition: "aws-cn".to_owned(),
        ..found
    };
    assert!(
        china
            .difference(&wanted(&whole("c", "A", APP, "x")))
            .into_plan()
            .is_err()
    );
}

#[test]
fn two_manifests_in_one_account_leave_each_other_alone() {
    let other = arn("user", "other");
    let (first, second) = (whole("c", "A", APP, "x"), whole("d", "B", &other, "y"));
    let mut found = with(&[APP, &other]);
    found.become_(&wanted(&first));
    let titles = found.become_(&wanted(&second));
    assert!(
        titles.len() == 3 && titles.iter().all(|title| !title.starts_with('!')),
        "{titles:?}"
    );
    for text in [&first, &second] {
        let plan = found.difference(&wanted(text)).into_plan().unwrap();
        assert_eq!(plan.steps, []);
        let notes = plan
            .notes
            .iter()
            .filter(|note| note.contains("past_resource_ids"))
            .count();
        assert_eq!(notes, 1, "{:?}", plan.notes);
    }
    // Each ends its own.
    let titles = found.become_(&wanted(&head("c", "A")));
    assert!(
        titles.iter().any(|title| title == "! delete IAM role \"x\"") && titles.len() == 3,
        "{titles:?}"
    );
    found.become_(&wanted(&head("d", "B")));
    assert_eq!(found, with(&[APP, &other]));
}

#[test]
fn a_principal_of_two_manifests_is_an_obstacle_to_both() {
    let (first, second) = (whole("c", "A", APP, "x"), whole("d", "B", APP, "y"));
    let mut found = with(&[APP]);
    found.become_(&wanted(&first));
    let told = obstacles(&found, &second);
    assert!(
        told.contains("policy \"dbproxy-connect-1\"") && told.contains("cluster-A/u"),
        "{told}"
    );
    // And where it holds what both gave, it cannot be taken away.
    let document = json!({ "Statement": [{ "Effect": "Allow", "Action": "rds-db:connect", "Resource": [
        "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-A/u",
        "arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-B/u"] }] });
    let held = &mut found.principals.get_mut(APP).unwrap().held;
    held.inline.insert("dbproxy-connect-1".into(), document);
    for text in [head("c", "A"), head("d", "B"), first, second] {
        assert!(obstacles(&found, &text).contains("speaks of"), "{text}");
    }
    let all = wanted(&(head("c", "A") + &head("d", "B")));
    assert_eq!(found.difference(&all).obstacles, []);
    for odd in [
        json!("no policy"),
        json!({ "Statement": { "Effect": "Allow", "Action": "*", "NotResource": "x" } }),
    ] {
        let held = &mut found.principals.get_mut(APP).unwrap().held;
        held.inline.insert("dbproxy-connect-1".into(), odd.clone());
        assert!(
            found
                .difference(&all)
                .into_plan()
                .unwrap()
                .steps
                .iter()
                .all(|step| !step.title.contains("app")),
            "{odd}"
        );
    }
}

#[test]
fn managed_policies_of_another_manifest_stay_too() {
    let many = |cluster: &str, id: &str, count: usize| {
        let mut text = head(cluster, id);
        for number in 0..count {
            writeln!(text, "users.u{number:03}.principals = ['{APP}']").unwrap();
        }
        text
    };
    let mut found = with(&[APP]);
    found.become_(&wanted(&many("c", "A", 200)));
    let left = found.difference(&wanted(&head("d", "B"))).into_plan().unwrap();
    assert_eq!(left.steps, []);
    assert!(obstacles(&found, &many("d", "B", 200)).contains("dbproxy-connect-role-app-1"));
    // Nobody has it, and its name is taken all the same.
    found.principals.get_mut(APP).unwrap().held.attached.clear();
    assert!(obstacles(&found, &many("d", "B", 200)).contains("dbproxy-connect-role-app-1"));
    assert_eq!(found.difference(&wanted(&head("d", "B"))).plan.steps, []);
    found.become_(&wanted(&head("c", "A")));
    assert_eq!(found.managed.len(), 0);
}

#[test]
fn a_former_resource_id_is_known_where_the_manifest_says_so() {
    let text = whole("c", "A", APP, "x");
    let switched = text.replace("cluster-A", "cluster-B");
    let mut found = with(&[APP]);
    found.become_(&wanted(&text));
    assert!(obstacles(&found, &switched).contains("past_resource_ids"));
    let known = switched.replace("users.u", "past_resource_ids = ['cluster-A']\nusers.u");
    let titles = found.become_(&wanted(&known));
    assert_eq!(titles.len(), 2, "{titles:?}");
    assert!(
        titles.iter().all(|title| title.starts_with("! change policy")),
        "{titles:?}"
    );
    assert!(!format!("{found:?}").contains("cluster-A"));
    // It is given to nobody.
    let manifest = super::manifest(&known);
    let site = Site::new(
        manifest.clusters.keys().next().unwrap(),
        manifest.clusters.values().next().unwrap(),
        &Known::default(),
        &mut Vec::new(),
    );
    assert_eq!(site.unwrap().resource_ids.len(), 1);
}

#[test]
fn a_role_with_rights_of_others_is_not_adopted() {
    let text = whole("c", "A", APP, "CompanyAdmin");
    let trust = json!({ "Version": "2012-10-17", "Statement": [] });
    let mut found = with(&[APP]);
    let mut entry = principal(true);
    entry.role = Some(role(trust, &[]));
    entry
        .held
        .inline
        .insert("main".into(), json!({ "Statement": [] }));
    found
        .principals
        .insert(arn("role", "CompanyAdmin"), entry.clone());
    assert!(obstacles(&found, &text).contains("was made by others, who gave it policy \"main\""));
    entry.held.inline.clear();
    entry
        .held
        .attached
        .insert("arn:aws:iam::aws:policy/AdministratorAccess".into());
    found
        .principals
        .insert(arn("role", "CompanyAdmin"), entry.clone());
    assert!(
        obstacles(&found, &text).contains("managed")
            || obstacles(&found, &text).contains("AdministratorAccess")
    );
    // One of dbproxy's that was given more by hand: whoever may assume it comes to have that, too.
    entry
        .role
        .as_mut()
        .unwrap()
        .tags
        .insert("managed-by".into(), "dbproxy".into());
    found.principals.insert(arn("role", "CompanyAdmin"), entry);
    let titles = found.become_(&wanted(&text));
    assert!(
        titles.contains(&"! change who may assume IAM role \"CompanyAdmin\"".to_owned()),
        "{titles:?}"
    );
}

#[test]
fn a_tag_alone_does_not_make_a_role_the_manifests() {
    let mut found = with(&[]);
    let mut entry = principal(true);
    entry.role = Some(role(json!({}), &[("managed-by", "dbproxy")]));
    found.principals.insert(arn("role", "theirs"), entry);
    let plan = found.difference(&wanted(&head("c", "A"))).into_plan().unwrap();
    assert_eq!(plan.steps, []);
    assert!(
        plan.notes[0].contains("left alone: role \"theirs\", dbproxy's"),
        "{:?}",
        plan.notes
    );
}
