//! HCL for Terraform, for one account.

use super::super::{Bundle, Holder, Placement, Policies};
use crate::provision::iam::document::{Document, trust};
use crate::provision::manifest::arn::{PrincipalArn, PrincipalKind};
use serde_json::{Value, json};

/// Permission sets are left out.
pub fn render(policies: &Policies) -> String {
    let blocks: Vec<String> = policies.bundles.iter().flat_map(blocks).collect();
    format!("# Written by dbproxy iam-policy.\n\n{}", blocks.join("\n"))
}

fn blocks(bundle: &Bundle) -> Vec<String> {
    let mut blocks = Vec::new();
    let principal = match &bundle.holder {
        Holder::Principal(principal) => Some(principal),
        Holder::Provisioner { .. } => None,
    };
    if let (Some(made), Some(role)) = (&bundle.made, principal) {
        let lines = [
            ("name", text(role.name())),
            ("max_session_duration", made.max_session.as_secs().to_string()),
            ("assume_role_policy", encoded(&trust(made))),
        ];
        blocks.push(block("aws_iam_role", &label(role), &lines));
    }
    for (number, document) in (1_usize..).zip(&bundle.documents) {
        let owner = principal.map_or_else(|| "provisioner".to_owned(), label);
        let label = format!("policy_{number}_of_{owner}");
        match bundle.placement {
            Placement::PermissionSet => {}
            Placement::Inline => {
                blocks.extend(principal.map(|principal| inline(bundle, principal, document, &label)));
            }
            Placement::Managed => blocks.extend(managed(bundle, principal, document, &label)),
        }
    }
    blocks
}

/// The role or the user: by reference where this file makes it.
fn whom(bundle: &Bundle, principal: &PrincipalArn) -> (&'static str, String) {
    let name = match bundle.made {
        Some(_) => format!("aws_iam_role.{}.name", label(principal)),
        None => text(principal.name()),
    };
    match principal.kind() {
        PrincipalKind::Role => ("role", name),
        PrincipalKind::User => ("user", name),
    }
}

fn inline(bundle: &Bundle, principal: &PrincipalArn, document: &Document, label: &str) -> String {
    let (kind, name) = whom(bundle, principal);
    let lines = [
        ("name", text(&document.name)),
        (kind, name),
        ("policy", encoded(&document.json())),
    ];
    block(&format!("aws_iam_{kind}_policy"), label, &lines)
}

fn managed(
    bundle: &Bundle,
    principal: Option<&PrincipalArn>,
    document: &Document,
    label: &str,
) -> Vec<String> {
    let lines = [
        ("name", text(&document.name)),
        ("policy", encoded(&document.json())),
    ];
    let mut blocks = vec![block("aws_iam_policy", label, &lines)];
    if let Some(principal) = principal {
        let (kind, name) = whom(bundle, principal);
        let lines = [
            (kind, name),
            ("policy_arn", format!("aws_iam_policy.{label}.arn")),
        ];
        blocks.push(block(&format!("aws_iam_{kind}_policy_attachment"), label, &lines));
    }
    blocks
}

/// Equals signs in one column, as `terraform fmt` has them: of neighbours that stand on one line each.
fn block(kind: &str, label: &str, lines: &[(&str, String)]) -> String {
    let single = lines.iter().filter(|(_, value)| !value.contains('\n'));
    let width = single.map(|(key, _)| key.len()).max().unwrap_or_default();
    let mut block = format!("resource \"{kind}\" \"{label}\" {{\n");
    for (key, value) in lines {
        let width = if value.contains('\n') { 0 } else { width };
        block.push_str(&format!("  {key:<width$} = {value}\n"));
    }
    block.push_str("}\n");
    block
}

fn encoded(document: &Value) -> String {
    let mut written = "jsonencode(".to_owned();
    write(&mut written, document, "\n  ");
    written + ")"
}

/// As `terraform fmt` has it. `margin` begins the lines after the first.
fn write(written: &mut String, value: &Value, margin: &str) {
    let inner = format!("{margin}  ");
    let (open, close) = match value {
        Value::Object(_) => ('{', '}'),
        Value::Array(_) => ('[', ']'),
        Value::String(string) => return written.push_str(&text(string)),
        other => return written.push_str(&other.to_string()),
    };
    written.push(open);
    let fields = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (Some(key), value));
    let items = value.as_array().into_iter().flatten().map(|value| (None, value));
    for (number, (key, value)) in fields.chain(items).enumerate() {
        written.push_str(if number > 0 { "," } else { "" });
        written.push_str(&inner);
        if let Some(key) = key {
            written.push_str(&format!("{} : ", text(key)));
        }
        write(written, value, &inner);
    }
    written.push_str(margin);
    written.push(close);
}

/// A string of JSON is one of HCL, but for templates, which are none when their sign is doubled. (Control characters,
/// whose escapes differ, are in no policy.)
fn text(text: &str) -> String {
    json!(text).to_string().replace("${", "$${").replace("%{", "%%{")
}

fn label(principal: &PrincipalArn) -> String {
    let mut label = match principal.kind() {
        PrincipalKind::Role => "role_",
        PrincipalKind::User => "user_",
    }
    .to_owned();
    for c in principal.name().chars() {
        match c.is_ascii_alphanumeric() || c == '-' || c == '_' {
            true => label.push(c),
            false => label.push_str(&format!("_x{:02x}_", u32::from(c))),
        }
    }
    label
}
