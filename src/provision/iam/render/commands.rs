//! Commands of the AWS CLI, for one account and a POSIX shell.

use super::super::{Bundle, Holder, Placement, Policies};
use super::call::command;
use crate::platform::aws::iam::Call;
use crate::provision::iam::document::trust;

/// They make what is not there yet. Permission sets are left out.
pub fn render(policies: &Policies) -> String {
    let commands: Vec<String> = policies
        .bundles
        .iter()
        .flat_map(calls)
        .map(|call| command(&call))
        .collect();
    commands.join("\n")
}

fn calls(bundle: &Bundle) -> Vec<Call> {
    let mut calls = Vec::new();
    let whom = match &bundle.holder {
        Holder::Principal(principal) => Some(principal.holder()),
        Holder::Provisioner { .. } => None,
    };
    if let (Some(made), Some(role)) = (&bundle.made, &whom) {
        calls.push(Call::CreateRole {
            role: role.name.clone(),
            trust: trust(made).to_string(),
            max_session_seconds: made.max_session.as_secs(),
            // Whoever runs the command has made it, not dbproxy.
            tags: Vec::new(),
        });
    }
    for document in &bundle.documents {
        let (policy, text) = (document.name.clone(), document.json().to_string());
        match (bundle.placement, &whom) {
            (Placement::PermissionSet, _) | (Placement::Inline, None) => {}
            (Placement::Inline, Some(holder)) => {
                let (holder, document) = (holder.clone(), text);
                calls.push(Call::PutInline {
                    holder,
                    policy,
                    document,
                });
            }
            (Placement::Managed, whom) => {
                calls.push(Call::CreatePolicy {
                    policy,
                    document: text,
                });
                calls.extend(whom.iter().map(|holder| Call::Attach {
                    holder: holder.clone(),
                    arn: bundle.policy_arn(document),
                }));
            }
        }
    }
    calls
}
