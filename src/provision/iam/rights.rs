//! What a policy document says, however it is written: order, single texts in the place of lists and the cut into
//! statements make no difference.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Single rights (or denials), each of one principal, action and resource, as text that is the same for the same.
pub type Rights = BTreeSet<String>;

/// The version of a document that does not say (IAM User Guide, "Version").
const OLD: &str = "2008-10-17";

pub fn rights(document: &Value) -> Rights {
    let version = document.get("Version").cloned().unwrap_or_else(|| json!(OLD));
    let mut rights = Rights::new();
    let statements = document.get("Statement").map(list).unwrap_or_default();
    // Nothing that IAM would take: it is only like itself.
    if statements.is_empty() || !statements.iter().all(|one| one.is_object()) {
        rights.insert(document.to_string());
        return rights;
    }
    for statement in statements.into_iter().filter_map(Value::as_object) {
        single(statement, &version, &mut rights);
    }
    rights
}

fn single(statement: &Map<String, Value>, version: &Value, rights: &mut Rights) {
    let get = |key: &str| statement.get(key).map_or(vec![&Value::Null], list);
    let principals = statement
        .get("Principal")
        .map_or(vec![Value::Null], each_principal);
    let mut rest: Map<String, Value> = statement
        .iter()
        // The first three stand alone below, and a name is none's right.
        .filter(|(key, _)| !["Action", "Resource", "Principal", "Sid"].contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), sorted(value)))
        .collect();
    rest.insert("Version".to_owned(), version.clone());
    let rest = Value::Object(rest);
    for principal in &principals {
        for action in get("Action") {
            for resource in get("Resource") {
                rights.insert(json!([principal, action, resource, rest]).to_string());
            }
        }
    }
}

fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    }
}

/// `{"AWS": ["a", "b"]}` is two.
fn each_principal(value: &Value) -> Vec<Value> {
    let Value::Object(kinds) = value else {
        return vec![value.clone()];
    };
    let each = kinds.iter().flat_map(|(kind, names)| {
        let names = list(names).into_iter();
        names.map(move |name| json!({ kind.as_str(): name }))
    });
    each.collect()
}

/// Lists of conditions and of `Not…` in one order, and of one text always as a list.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), sorted(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(sorted_item).collect();
            items.sort_by_key(Value::to_string);
            items.dedup();
            Value::Array(items)
        }
        one => json!([one]),
    }
}

fn sorted_item(value: &Value) -> Value {
    match value {
        Value::Object(_) | Value::Array(_) => sorted(value),
        one => one.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_otherwise_and_means_the_same_is_the_same() {
        let one = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": ["a", "b"], "Resource": ["r", "s"] },
        ]});
        let other = json!({ "Statement": [
            { "Resource": ["s", "r"], "Action": "b", "Effect": "Allow", "Sid": "x" },
            { "Resource": "r", "Action": "a", "Effect": "Allow" },
            { "Resource": "s", "Action": "a", "Effect": "Allow" },
        ], "Version": "2012-10-17" });
        assert_eq!(rights(&one), rights(&other));
        assert_eq!(rights(&one).len(), 4);
        let single = json!({ "Version": "2012-10-17", "Statement": other["Statement"][1] });
        assert_eq!(rights(&single).len(), 1);
        assert!(rights(&single).is_subset(&rights(&one)));
    }

    #[test]
    fn what_means_something_else_is_something_else() {
        let document = |fields: Value| {
            let mut statement = json!({ "Effect": "Allow", "Action": "a", "Resource": "r",
                "Condition": { "StringEquals": { "k": "v" } } });
            statement
                .as_object_mut()
                .unwrap()
                .extend(fields.as_object().unwrap().clone());
            rights(&json!({ "Version": "2012-10-17", "Statement": [statement] }))
        };
        let plain = document(json!({}));
        for other in [
            json!({ "Effect": "Deny" }),
            json!({ "Action": "b" }),
            json!({ "Resource": "R" }),
            json!({ "Condition": { "StringEquals": { "k": "w" } } }),
            json!({ "Condition": {} }),
            json!({ "NotAction": "b" }),
            json!({ "Principal": "*" }),
        ] {
            assert_ne!(document(other.clone()), plain, "{other}");
        }
        let same = json!({ "Condition": { "StringEquals": { "k": ["v"] } } });
        assert_eq!(document(same), plain);
        let two = |names: Value| document(json!({ "Principal": { "AWS": names } }));
        assert_eq!(two(json!(["x", "y"])), two(json!(["y", "x"])));
        assert!(two(json!("x")).is_subset(&two(json!(["y", "x"]))));
        for broken in [
            json!(null),
            json!("text"),
            json!({ "Statement": [] }),
            json!({ "Statement": ["a"] }),
        ] {
            assert_eq!(rights(&broken).len(), 1, "{broken}");
        }
    }
}
