//! Every grant of the manifest is allowed, and nothing else is.

use super::{made, printed, texts};
use crate::provision::iam::render::{cloudformation, json};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const ACCOUNT: &str = "111122223333";

/// A user: whether it logs in by IAM, and who may be it, by number.
type User = (bool, BTreeSet<usize>);
/// A cluster: resource ids, users, brokers, and the users of a role for others.
type Cluster = (usize, BTreeMap<String, User>, BTreeSet<usize>, usize);

fn cluster() -> impl Strategy<Value = Cluster> {
    let user = (
        prop::bool::weighted(0.8),
        prop::collection::btree_set(0..4_usize, 0..3),
    );
    let name = prop_oneof!["[a-z]{1,3}", "[a-z\"%{}' éÿ/:]{1,60}"];
    let users = prop::collection::btree_map(name, user, 0..70);
    (
        1..4_usize,
        users,
        prop::collection::btree_set(0..4_usize, 0..2),
        0..4_usize,
    )
}

fn principal(number: usize) -> String {
    let kind = if number == 3 { "user" } else { "role" };
    format!("arn:aws:iam::{ACCOUNT}:{kind}/p/{number}")
}

fn id(cluster: usize, number: usize) -> String {
    format!("cluster-C{cluster}N{number}")
}

fn arn(id: &str, user: &str) -> String {
    format!("arn:aws:rds-db:eu-west-1:{ACCOUNT}:dbuser:{id}/{user}")
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.map(|item| Value::String(item).to_string()).collect();
    format!("[{}]", items.join(", "))
}

fn manifest(clusters: &[Cluster]) -> String {
    let mut text = String::new();
    for (number, (ids, users, brokers, foreign)) in clusters.iter().enumerate() {
        text += &format!(
            "[clusters.c{number}]\naccount_id = '{ACCOUNT}'\nregion = 'eu-west-1'\nresource_ids = {}\n\
             broker_principals = {}\n",
            list((0..*ids).map(|id_number| id(number, id_number))),
            list(brokers.iter().map(|number| principal(*number)))
        );
        for (name, (rds_iam, principals)) in users {
            text += &format!(
                "users.{} = {{ rds_iam = {rds_iam}, principals = {} }}\n",
                Value::String(name.clone()),
                list(principals.iter().map(|number| principal(*number)))
            );
        }
        let chosen: Vec<String> = foreign_users(users, *foreign).cloned().collect();
        if !chosen.is_empty() {
            text += &format!(
                "[[clusters.c{number}.cross_account]]\nname = 'x{number}'\nexternal_id = 'secret'\nusers = {}\n\
                 trusts = ['arn:aws:iam::444455556666:role/v']\n",
                list(chosen.into_iter())
            );
        }
    }
    text
}

fn foreign_users(users: &BTreeMap<String, User>, count: usize) -> impl Iterator<Item = &String> {
    users
        .iter()
        .filter(|(_, (rds_iam, _))| *rds_iam)
        .map(|(name, _)| name)
        .take(count)
}

/// What the manifest says, told without the code under test.
fn granted(clusters: &[Cluster]) -> BTreeSet<(String, String)> {
    let mut granted = BTreeSet::new();
    for (number, (ids, users, brokers, foreign)) in clusters.iter().enumerate() {
        for (name, (_, principals)) in users.iter().filter(|(_, (rds_iam, _))| *rds_iam) {
            for id_number in 0..*ids {
                let arn = arn(&id(number, id_number), name);
                for holder in principals.iter().chain(brokers) {
                    granted.insert((principal(*holder), arn.clone()));
                }
                if foreign_users(users, *foreign).any(|other| other == name) {
                    granted.insert((format!("arn:aws:iam::{ACCOUNT}:role/x{number}"), arn));
                }
            }
        }
    }
    granted
}

/// What documents allow: no pattern among them, so what they name.
fn allowed(all: &Value) -> BTreeSet<(String, String)> {
    let mut allowed = BTreeSet::new();
    for (holder, bundle) in all.as_object().unwrap() {
        let mut names = 0;
        for (name, policy) in bundle["policies"].as_object().unwrap() {
            names += 1;
            assert!(name.ends_with(&format!("-{names}")), "{name}");
            for statement in policy["Statement"].as_array().unwrap() {
                assert_eq!(statement["Effect"], "Allow");
                for arn in texts(&statement["Resource"]) {
                    assert!(!arn.contains(['*', '?', '$']), "{arn}");
                    if texts(&statement["Action"]) == ["rds-db:connect"] {
                        assert!(allowed.insert((holder.clone(), arn.to_owned())), "twice: {arn}");
                    } else {
                        assert!(
                            holder.contains("444455556666") && arn.contains(":role/x"),
                            "{arn}"
                        );
                    }
                }
            }
        }
    }
    allowed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_granted_is_allowed_and_nothing_else(clusters in prop::collection::vec(cluster(), 1..3)) {
        // A name may be one that the manifest refuses.
        let legal = |name: &String| !["public", "none"].contains(&name.as_str());
        prop_assume!(clusters.iter().all(|(_, users, _, _)| users.keys().all(|name| legal(name) && name.len() <= 63)));
        let text = manifest(&clusters);
        let all = printed(&text);
        prop_assert_eq!(allowed(&all), granted(&clusters));
        let again = made(&text).unwrap();
        prop_assert_eq!(json::render(&again), json::render(&made(&text).unwrap()));
        // A template has the same documents.
        if let Ok(template) = cloudformation::render(&again) {
            let template: Value = serde_json::from_str(&template).unwrap();
            let count = |value: &Value, text: &str| value.to_string().matches(text).count();
            prop_assert_eq!(count(&template, "dbuser:"), count(&all, "dbuser:"));
        }
    }
}
