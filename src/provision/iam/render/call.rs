//! A call as a command of the AWS CLI, for a POSIX shell.

use crate::platform::aws::iam::{Call, Holder, HolderKind};

pub fn command(call: &Call) -> String {
    let (verb, flags): (String, Vec<(&str, String)>) = match call {
        Call::PutInline {
            holder,
            policy,
            document,
        } => {
            let (kind, whom) = flag(holder);
            let what = [
                ("policy-name", quoted(policy)),
                ("policy-document", quoted(document)),
            ];
            (format!("put-{kind}-policy"), [vec![whom], what.to_vec()].concat())
        }
        Call::DeleteInline { holder, policy } => {
            let (kind, whom) = flag(holder);
            (
                format!("delete-{kind}-policy"),
                vec![whom, ("policy-name", quoted(policy))],
            )
        }
        Call::Attach { holder, arn } => {
            let (kind, whom) = flag(holder);
            (
                format!("attach-{kind}-policy"),
                vec![whom, ("policy-arn", quoted(arn))],
            )
        }
        Call::Detach { holder, arn } => {
            let (kind, whom) = flag(holder);
            (
                format!("detach-{kind}-policy"),
                vec![whom, ("policy-arn", quoted(arn))],
            )
        }
        Call::CreatePolicy { policy, document } => {
            let flags = vec![
                ("policy-name", quoted(policy)),
                ("policy-document", quoted(document)),
            ];
            ("create-policy".to_owned(), flags)
        }
        Call::CreateVersion { arn, document } => {
            let flags = vec![("policy-arn", quoted(arn)), ("policy-document", quoted(document))];
            ("create-policy-version --set-as-default".to_owned(), flags)
        }
        Call::DeleteVersion { arn, version } => {
            let flags = vec![("policy-arn", quoted(arn)), ("version-id", quoted(version))];
            ("delete-policy-version".to_owned(), flags)
        }
        Call::DeletePolicy { arn } => ("delete-policy".to_owned(), vec![("policy-arn", quoted(arn))]),
        of_role => role(of_role),
    };
    let flags: Vec<String> = flags
        .iter()
        .map(|(name, value)| format!(" --{name} {value}"))
        .collect();
    format!("aws iam {verb}{}", flags.concat())
}

fn role(call: &Call) -> (String, Vec<(&'static str, String)>) {
    match call {
        Call::CreateRole {
            role,
            trust,
            max_session_seconds,
            tags,
        } => {
            let mut flags = vec![
                ("role-name", quoted(role)),
                ("max-session-duration", max_session_seconds.to_string()),
                ("assume-role-policy-document", quoted(trust)),
            ];
            flags.extend(tags.iter().map(|(key, value)| ("tags", tag(key, value))));
            ("create-role".to_owned(), flags)
        }
        Call::TagRole { role, key, value } => (
            "tag-role".to_owned(),
            vec![("role-name", quoted(role)), ("tags", tag(key, value))],
        ),
        Call::UpdateTrust { role, trust } => {
            let flags = vec![("role-name", quoted(role)), ("policy-document", quoted(trust))];
            ("update-assume-role-policy".to_owned(), flags)
        }
        Call::UpdateMaxSession { role, seconds } => {
            let flags = vec![
                ("role-name", quoted(role)),
                ("max-session-duration", seconds.to_string()),
            ];
            ("update-role".to_owned(), flags)
        }
        Call::DeleteRole { role } => ("delete-role".to_owned(), vec![("role-name", quoted(role))]),
        _ => Default::default(),
    }
}

fn flag(holder: &Holder) -> (&'static str, (&'static str, String)) {
    match holder.kind {
        HolderKind::Role => ("role", ("role-name", quoted(&holder.name))),
        HolderKind::User => ("user", ("user-name", quoted(&holder.name))),
    }
}

fn tag(key: &str, value: &str) -> String {
    quoted(&format!("Key={key},Value={value}"))
}

/// Nothing within is special to a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
