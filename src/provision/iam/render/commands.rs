//! Commands of the AWS CLI, for one account and a POSIX shell.

use super::super::{Bundle, Holder, Placement, Policies};
use crate::provision::iam::document::trust;
use crate::provision::manifest::arn::PrincipalKind;

/// They make what is not there yet. Permission sets are left out.
pub fn render(policies: &Policies) -> String {
    let commands: Vec<String> = policies.bundles.iter().flat_map(commands).collect();
    commands.join("\n")
}

fn commands(bundle: &Bundle) -> Vec<String> {
    let mut commands = Vec::new();
    let principal = match &bundle.holder {
        Holder::Principal(principal) => Some(principal),
        Holder::Provisioner { .. } => None,
    };
    let whom = principal.map(|principal| match principal.kind() {
        PrincipalKind::Role => ("role", principal.name()),
        PrincipalKind::User => ("user", principal.name()),
    });
    if let (Some(made), Some((_, name))) = (&bundle.made, whom) {
        commands.push(format!(
            "aws iam create-role --role-name {} --max-session-duration {} --assume-role-policy-document {}",
            quoted(name),
            made.max_session.as_secs(),
            quoted(&trust(made).to_string())
        ));
    }
    for document in &bundle.documents {
        let name = quoted(&document.name);
        let text = quoted(&document.json().to_string());
        match (bundle.placement, whom) {
            (Placement::PermissionSet, _) | (Placement::Inline, None) => {}
            (Placement::Inline, Some((kind, whom))) => commands.push(format!(
                "aws iam put-{kind}-policy --{kind}-name {} --policy-name {name} --policy-document {text}",
                quoted(whom)
            )),
            (Placement::Managed, whom) => {
                commands.push(format!(
                    "aws iam create-policy --policy-name {name} --policy-document {text}"
                ));
                commands.extend(whom.map(|(kind, whom)| {
                    let arn = quoted(&bundle.policy_arn(document));
                    format!(
                        "aws iam attach-{kind}-policy --{kind}-name {} --policy-arn {arn}",
                        quoted(whom)
                    )
                }));
            }
        }
    }
    commands
}

/// Nothing within is special to a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
