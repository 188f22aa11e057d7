//! Documents keyed by principal.

use crate::provision::iam::document::trust;
use crate::provision::iam::{Bundle, Policies};
use serde_json::{Map, Value, json};

pub fn render(policies: &Policies) -> String {
    let bundles = policies.bundles.iter();
    let all: Map<String, Value> = bundles
        .map(|bundle| (bundle.holder.to_string(), one(bundle)))
        .collect();
    format!("{:#}", Value::Object(all))
}

fn one(bundle: &Bundle) -> Value {
    let documents = bundle.documents.iter();
    let documents: Map<String, Value> = documents
        .map(|document| (document.name.clone(), document.json()))
        .collect();
    let mut value = json!({ "kind": bundle.placement.as_str(), "policies": documents });
    if let (Some(made), Some(fields)) = (&bundle.made, value.as_object_mut()) {
        let role = json!({ "trust": trust(made), "max_session_seconds": made.max_session.as_secs() });
        fields.insert("role".to_owned(), role);
    }
    value
}
