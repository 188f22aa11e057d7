//! A CloudFormation template, for one account.

use super::super::{Bundle, Holder, Placement, Policies};
use crate::provision::iam::document::{Document, trust};
use crate::provision::manifest::arn::{PrincipalArn, PrincipalKind};
use serde_json::{Map, Value, json};

/// CloudFormation would put a parameter or a secret in the place of a text that begins so.
const REFERENCE: &str = "{{resolve:";
/// Resources of one template (CloudFormation User Guide, "Quotas").
const RESOURCES_MAX: usize = 500;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("CloudFormation reads `{REFERENCE}` in a name as a reference: use another format, or rename it")]
    Reference,
    #[error("{0} resources, and a template holds {RESOURCES_MAX}: name one cluster or principal at a time")]
    TooLarge(usize),
}

/// Permission sets are left out.
pub fn render(policies: &Policies) -> Result<String, TemplateError> {
    let mut resources = Map::new();
    for bundle in &policies.bundles {
        add(&mut resources, bundle);
    }
    if resources.len() > RESOURCES_MAX {
        return Err(TemplateError::TooLarge(resources.len()));
    }
    let template = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Who may connect to which database as which db user; written by dbproxy iam-policy",
        "Resources": resources,
    });
    let text = format!("{template:#}");
    match text.contains(REFERENCE) {
        true => Err(TemplateError::Reference),
        false => Ok(text),
    }
}

fn add(resources: &mut Map<String, Value>, bundle: &Bundle) {
    let principal = match &bundle.holder {
        Holder::Principal(principal) => Some(principal),
        Holder::Provisioner { .. } => None,
    };
    if let (Some(made), Some(role)) = (&bundle.made, principal) {
        let properties = json!({
            "RoleName": role.name(),
            "MaxSessionDuration": made.max_session.as_secs(),
            "AssumeRolePolicyDocument": trust(made),
        });
        resources.insert(
            id(principal),
            json!({ "Type": "AWS::IAM::Role", "Properties": properties }),
        );
    }
    if bundle.placement == Placement::PermissionSet {
        return;
    }
    for (number, document) in (1_usize..).zip(&bundle.documents) {
        let name = format!("Policy{number}Of{}", id(principal));
        resources.insert(name, policy(bundle, principal, document));
    }
}

fn policy(bundle: &Bundle, principal: Option<&PrincipalArn>, document: &Document) -> Value {
    let name = match principal {
        Some(_) if bundle.made.is_some() => json!({ "Ref": id(principal) }),
        Some(principal) => json!(principal.name()),
        None => Value::Null,
    };
    let is_role = principal.is_some_and(|principal| principal.kind() == PrincipalKind::Role);
    let (kind, name_key, whom) = match (bundle.placement, is_role) {
        (Placement::Managed, true) => ("ManagedPolicy", "ManagedPolicyName", "Roles"),
        (Placement::Managed, false) => ("ManagedPolicy", "ManagedPolicyName", "Users"),
        (_, true) => ("RolePolicy", "PolicyName", "RoleName"),
        (_, false) => ("UserPolicy", "PolicyName", "UserName"),
    };
    let mut properties = json!({ name_key: document.name, "PolicyDocument": document.json() });
    if let (Some(_), Some(fields)) = (principal, properties.as_object_mut()) {
        let is_list = bundle.placement == Placement::Managed;
        fields.insert(whom.to_owned(), if is_list { json!([name]) } else { name });
    }
    json!({ "Type": format!("AWS::IAM::{kind}"), "Properties": properties })
}

/// Letters and digits, and never the same for two: `X` begins an escape.
fn id(principal: Option<&PrincipalArn>) -> String {
    let Some(principal) = principal else {
        return "Provisioner".to_owned();
    };
    let mut id = match principal.kind() {
        PrincipalKind::Role => "Role",
        PrincipalKind::User => "User",
    }
    .to_owned();
    for c in principal.name().chars() {
        match c.is_ascii_alphanumeric() && c != 'X' {
            true => id.push(c),
            false => id.push_str(&format!("X{:02X}", u32::from(c))),
        }
    }
    id
}
