//! From what an account has to what is wanted, one case after the other.

use super::account::{arn, principal, role, with};
use super::made;
use crate::platform::aws::iam::Call;
use crate::provision::iam::Policies;
use crate::provision::iam::difference::IamObstacle;
use crate::provision::iam::found::FoundManaged;
use crate::provision::iam::provisioner::{Writing, provisioner};
use serde_json::json;
use std::fmt::Write as _;

const HEAD: &str =
    "[clusters.c]\naccount_id = '111122223333'\nregion = 'eu-west-1'\nresource_ids = ['cluster-A']\n";
const APP: &str = "arn:aws:iam::111122223333:role/app";
const CROSS: &str = "users.u = {}\n[[clusters.c.cross_account]]\nname = 'x'\nexternal_id = 'secret'\nusers = ['u']\n\
                     trusts = ['arn:aws:iam::444455556666:role/a', 'arn:aws:iam::444455556666:role/b']\n";

fn wanted(lines: &str) -> Policies {
    made(&format!("{HEAD}{lines}")).unwrap()
}

fn for_app(users: &[&str]) -> Policies {
    let lines: Vec<String> = users
        .iter()
        .map(|user| format!("users.{user}.principals = ['{APP}']\n"))
        .collect();
    wanted(&lines.concat())
}

fn many(count: usize) -> Policies {
    let mut lines = String::new();
    for number in 0..count {
        writeln!(lines, "users.u{number:04}.principals = ['{APP}']").unwrap();
    }
    wanted(&lines)
}

#[test]
fn a_principal_is_given_what_it_lacks_and_loses_what_is_taken() {
    let mut found = with(&[APP]);
    let main = json!({ "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*" }] });
    let held = &mut found.principals.get_mut(APP).unwrap().held;
    held.inline.insert("main".into(), main.clone());
    held.attached
        .insert("arn:aws:iam::aws:policy/ReadOnlyAccess".into());
    assert_eq!(
        found.become_(&for_app(&["u"])),
        ["put policy \"dbproxy-connect-1\" into role \"app\""]
    );
    assert_eq!(
        found.become_(&for_app(&["u", "v"])),
        ["change policy \"dbproxy-connect-1\" of role \"app\""]
    );
    assert_eq!(
        found.become_(&for_app(&["v"])),
        ["! change policy \"dbproxy-connect-1\" of role \"app\""]
    );
    // Written by another hand, and meaning the same.
    let document = found.principals[APP].held.inline["dbproxy-connect-1"].clone();
    let resource = &document["Statement"][0]["Resource"][0];
    let same = json!({ "Statement": { "Action": ["rds-db:connect"], "Effect": "Allow", "Resource": resource },
        "Version": "2012-10-17" });
    found
        .principals
        .get_mut(APP)
        .unwrap()
        .held
        .inline
        .insert("dbproxy-connect-1".into(), same);
    assert_eq!(found.become_(&for_app(&["v"])), [""; 0]);
    assert_eq!(
        found.become_(&for_app(&[])),
        ["! take policy \"dbproxy-connect-1\" out of role \"app\""]
    );
    let held = &found.principals[APP].held;
    assert_eq!(
        (held.inline.len(), &held.inline["main"], held.attached.len()),
        (1, &main, 1)
    );
}

#[test]
fn who_is_not_there_is_told_before_anything_is_done() {
    let elsewhere = arn("role", "team/App");
    let difference = with(&[&elsewhere]).difference(&for_app(&["u"]));
    assert_eq!(difference.plan.steps, []);
    let [obstacle @ IamObstacle::Absent { path: Some(path), .. }] = &difference.obstacles[..] else {
        panic!("{difference:?}");
    };
    assert_eq!(*path, elsewhere);
    assert!(obstacle.to_string().contains("must be written so"), "{obstacle}");
    let difference = with(&[&elsewhere.replace("App", "x")]).difference(&wanted(CROSS));
    assert!(matches!(&difference.obstacles[..], [IamObstacle::Taken { .. }]));
    assert!(difference.into_plan().is_err());
}

#[test]
fn what_does_not_fit_inside_becomes_managed_and_comes_back() {
    let mut found = with(&[APP]);
    found.become_(&many(3));
    let titles = found.become_(&many(200));
    assert_eq!(
        titles.first().unwrap(),
        "create managed policy \"dbproxy-connect-role-app-1\" and attach it to role \"app\""
    );
    assert_eq!(
        titles.last().unwrap(),
        "take policy \"dbproxy-connect-1\" out of role \"app\""
    );
    let count = found.managed.len();
    assert!(count > 1 && titles.len() == count + 1, "{titles:?}");
    // Versions come and go, as many as there may be.
    for users in [201, 200, 199, 198, 197, 196, 200] {
        found.become_(&many(users));
    }
    assert!(found.managed.values().any(|policy| policy.versions.len() == 5));
    // Somebody gave it to another.
    let other = arn("user", "other");
    found.principals.insert(other.clone(), principal(false));
    let policy = arn("policy", "dbproxy-connect-role-app-1");
    found
        .principals
        .get_mut(&other)
        .unwrap()
        .held
        .attached
        .insert(policy.clone());
    let titles = found.become_(&many(200));
    assert_eq!(
        titles,
        ["! detach managed policy \"dbproxy-connect-role-app-1\" from user \"other\""]
    );

    let titles = found.become_(&many(3));
    assert_eq!(
        titles.first().unwrap(),
        "put policy \"dbproxy-connect-1\" into role \"app\""
    );
    assert!(
        titles.last().unwrap().starts_with("! delete managed policy"),
        "{titles:?}"
    );
    assert_eq!(found.managed.len(), 0);
}

#[test]
fn a_policy_that_others_put_into_a_group_stays() {
    let mut found = with(&[]);
    let policy = arn("policy", "dbproxy-connect-role-app-1");
    let document = json!({ "Statement": [] });
    let entry = FoundManaged {
        name: "x".into(),
        document,
        versions: vec!["v1".into()],
    };
    found.managed.insert(policy.clone(), entry);
    found
        .groups
        .entry(arn("group", "g"))
        .or_default()
        .attached
        .insert(policy);
    let plan = found.difference(&wanted("")).into_plan().unwrap();
    assert_eq!(plan.steps, []);
    assert_eq!(plan.notes.len(), 1, "{:?}", plan.notes);
    found.groups.clear();
    assert_eq!(
        found.become_(&wanted("")),
        ["delete managed policy \"dbproxy-connect-role-app-1\""]
    );
}

#[test]
fn a_role_for_others_is_made_kept_and_deleted() {
    let mut found = with(&[]);
    let titles = found.become_(&wanted(CROSS));
    assert_eq!(
        titles,
        [
            "create IAM role \"x\"",
            "put policy \"dbproxy-connect-1\" into role \"x\""
        ]
    );
    assert!(found.role("x").is_own());
    let notes = found.difference(&wanted(CROSS)).plan.notes;
    assert!(
        notes.len() == 1 && notes[0].contains("account 444455556666 are left out"),
        "{notes:?}"
    );

    let fewer = CROSS.replace(", 'arn:aws:iam::444455556666:role/b'", "");
    assert_eq!(
        found.become_(&wanted(&fewer)),
        ["! change who may assume IAM role \"x\""]
    );
    assert_eq!(
        found.become_(&wanted(CROSS)),
        ["change who may assume IAM role \"x\""]
    );
    let other = CROSS.replace("secret", "other");
    assert_eq!(
        found.become_(&wanted(&other)),
        ["! change who may assume IAM role \"x\""]
    );
    let longer = format!("{other}max_session = '2h'\n");
    assert_eq!(
        found.become_(&wanted(&longer)),
        ["let sessions of IAM role \"x\" last 7200 s at most"]
    );
    // Not told is no difference.
    found.role("x").max_session = None;
    assert_eq!(found.difference(&wanted(&other)).plan.steps, []);

    let mut guest = found.clone();
    guest
        .principals
        .get_mut(&arn("role", "x"))
        .unwrap()
        .held
        .inline
        .insert("main".into(), json!({}));
    let titles = guest.become_(&wanted(""));
    assert_eq!(
        titles,
        ["! take policy \"dbproxy-connect-1\" out of role \"x\""],
        "others use it"
    );
    assert!(guest.difference(&wanted("")).plan.notes[0].contains("role \"x\""));
    let titles = found.become_(&wanted(""));
    assert_eq!(titles.last().unwrap(), "! delete IAM role \"x\"");
    assert_eq!(found, with(&[]));
}

#[test]
fn a_role_of_others_is_adopted_with_a_word() {
    let mut found = with(&[]);
    let mut entry = principal(true);
    let trust = json!({ "Statement": [{ "Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole" }] });
    entry.role = Some(role(trust, &[("managed-by", "somebody")]));
    found.principals.insert(arn("role", "x"), entry);
    assert_eq!(found.difference(&wanted("")).plan.steps, [], "a stranger's");
    let titles = found.become_(&wanted(CROSS));
    assert!(titles[0].starts_with("! adopt IAM role \"x\""), "{titles:?}");
    assert_eq!(titles[1], "! change who may assume IAM role \"x\"");
    assert!(found.role("x").is_own());
}

#[test]
fn what_concerns_one_is_told_apart_from_the_rest() {
    let other = arn("role", "other");
    let difference = with(&[APP]).difference(&wanted(&format!(
        "users.u.principals = ['{APP}']\nusers.v.principals = ['{other}']\n"
    )));
    assert_eq!(difference.obstacles.len(), 1);
    let plan = difference.narrowed(&[APP.to_owned()].into()).into_plan().unwrap();
    assert_eq!(plan.steps.len(), 1);
    let [Call::PutInline { document, .. }] = &plan.steps[0].calls[..] else {
        panic!("{plan:?}");
    };
    assert!(document.contains("cluster-A/u") && !document.contains("/v"));
    let mut found = with(&[APP]);
    found.become_(&for_app(&["u"]));
    let named = |user: &str| {
        let arn = format!("arn:aws:rds-db:eu-west-1:111122223333:dbuser:cluster-A/{user}");
        found.naming(&[arn].into()).len()
    };
    assert_eq!((named("u"), named("v"), named("")), (1, 0, 0));
}

#[test]
fn roles_of_aws_are_never_touched() {
    let set = arn(
        "role",
        "aws-reserved/sso.amazonaws.com/AWSReservedSSO_Data_0123456789abcdef",
    );
    let mut found = with(&[&set]);
    found
        .principals
        .get_mut(&set)
        .unwrap()
        .held
        .inline
        .insert("dbproxy-connect-1".into(), json!({}));
    let plan = found.difference(&wanted("")).into_plan().unwrap();
    assert_eq!(plan.steps, []);
    let plan = found
        .difference(&wanted(&format!("users.u.principals = ['{set}']\n")))
        .into_plan()
        .unwrap();
    assert!(
        plan.steps.is_empty() && plan.notes[0].contains("permission set"),
        "{plan:?}"
    );
}

#[test]
fn a_step_is_written_as_commands() {
    let plan = with(&[]).difference(&wanted(CROSS)).into_plan().unwrap();
    let written = serde_json::to_value(plan.written()).unwrap();
    assert_eq!(
        (&written[0]["account"], &written[0]["kind"]),
        (&"111122223333".into(), &"ordinary".into())
    );
    let command = written[0]["statements"][0].as_str().unwrap();
    assert!(
        command.starts_with("aws iam create-role --role-name 'x' --max-session-duration 3600 "),
        "{command}"
    );
    assert!(
        command.ends_with(" --tags 'Key=managed-by,Value=dbproxy'"),
        "{command}"
    );
}

#[test]
fn the_provisioner_may_do_what_steps_do_and_no_more() {
    let user = arn("user", "u");
    let all = |count: usize| {
        let (head, cross) = CROSS.split_once("[[").unwrap();
        let mut text = format!("{HEAD}{head}");
        for number in 0..count {
            writeln!(text, "users.u{number:04}.principals = ['{APP}', '{user}']").unwrap();
        }
        format!("{text}[[{cross}max_session = '{}h'\n", 1 + count % 2)
    };
    let mut found = with(&[APP, &user, &arn("role", "x")]);
    let mut done = std::collections::BTreeSet::from(["iam:GetAccountAuthorizationDetails", "iam:GetRole"]);
    for count in [3, 2, 200, 201, 200, 201, 200, 201, 3] {
        let wanted = made(&all(count)).unwrap();
        let plan = found.difference(&wanted).into_plan().unwrap();
        done.extend(plan.steps.iter().flat_map(|step| &step.calls).map(Call::action));
        found.become_(&wanted);
    }
    for lines in ["", CROSS] {
        let plan = found.difference(&wanted(lines)).into_plan().unwrap();
        done.extend(plan.steps.iter().flat_map(|step| &step.calls).map(Call::action));
        found.become_(&wanted(lines));
    }
    let text = all(200);
    let manifest = super::manifest(&text);
    let sites = super::sites(&manifest, &Default::default()).unwrap();
    let policies = super::policies(&sites, std::time::SystemTime::UNIX_EPOCH).unwrap();
    let boundaries = [].into();
    let writing = Writing {
        policies: &policies,
        boundaries: &boundaries,
    };
    let provisioner = provisioner(&sites, Some(writing)).unwrap();
    let documents = provisioner.bundles.iter().flat_map(|bundle| &bundle.documents);
    let actions = documents
        .flat_map(|document| &document.statements)
        .flat_map(|one| one.actions.clone());
    let may: std::collections::BTreeSet<&str> = actions.filter(|action| action.starts_with("iam:")).collect();
    assert_eq!(may, done);
}
