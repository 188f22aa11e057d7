//! `credential` tables: where the secret for a login comes from.

mod broker;

pub use broker::{is_broker, is_broker_table};

use crate::config::section::Section;
use crate::config::source::Environment;
use crate::config::values::duration;
use crate::domain::endpoint::Region;
use crate::domain::secret::Secret;
use crate::domain::target::{CredentialKind, RoleSettings};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What a role's session policy and a broker need of their target; no target at all in `[defaults]`.
#[derive(Clone, Copy, Default)]
pub struct Surroundings<'a> {
    pub target: Option<&'a str>,
    pub resource_id: Option<&'a str>,
    pub host: Option<&'a str>,
    /// As given; a placeholder would be no region to ask.
    pub region: Option<&'a Region>,
}

/// The `credential` of a table; an IAM token of the default credentials where there is none.
pub fn of(
    section: &mut Section<'_>,
    around: Surroundings<'_>,
    environment: Environment<'_>,
) -> Option<CredentialKind> {
    match section.section("credential") {
        Some(credential) => read(credential, around, environment),
        None => Some(CredentialKind::Iam { assume_role: None }),
    }
}

pub fn read(
    mut section: Section<'_>,
    around: Surroundings<'_>,
    environment: Environment<'_>,
) -> Option<CredentialKind> {
    let kind = section.string("kind").unwrap_or_else(|| "iam".to_owned());
    let credential = match kind.as_str() {
        "iam" => match section.section("assume_role") {
            Some(role) => read_role(role, around).map(|role| CredentialKind::Iam {
                assume_role: Some(Box::new(role)),
            }),
            None => Some(CredentialKind::Iam { assume_role: None }),
        },
        "password_file" => section
            .required("file", "is missing")
            .map(|file| CredentialKind::PasswordFile(PathBuf::from(file))),
        "password_env" => {
            section
                .required("variable", "is missing")
                .and_then(|variable| match environment(&variable) {
                    Some(value) => Some(CredentialKind::Password {
                        variable,
                        secret: Secret::from(value),
                    }),
                    None => {
                        section.problem("variable", format_args!("the environment has no `{variable}`"));
                        None
                    }
                })
        }
        "secret" => section
            .required("secret_id", "is missing")
            .map(|secret_id| CredentialKind::SecretsManager { secret_id }),
        "passthrough" => Some(CredentialKind::Passthrough),
        "broker" => broker::read(&mut section, around),
        other => {
            section.problem(
                "kind",
                format_args!(
                    "`{other}` is none of `iam`, `password_file`, `password_env`, `secret`, `passthrough`, `broker`"
                ),
            );
            None
        }
    };
    section.finish();
    credential
}

fn read_role(mut section: Section<'_>, around: Surroundings<'_>) -> Option<RoleSettings> {
    let role_arn = section.required("role_arn", "is missing");
    let account_id = role_arn.as_deref().and_then(account_in_arn);
    if role_arn.is_some() && account_id.is_none() {
        section.problem("role_arn", "is not the ARN of an IAM role");
    }
    let external_id = section.string("external_id");
    let session_name = section
        .string("session_name")
        .unwrap_or_else(|| "dbproxy".to_owned());
    let source_identity = section.string("source_identity");
    let duration = match section.string("duration") {
        Some(text) => section.convert("duration", duration(&text).and_then(within_sts_limits)),
        None => Some(Duration::from_secs(3_600)),
    };
    let can_shrink = around.resource_id.is_some();
    let session_policy = section.boolean("session_policy").unwrap_or(can_shrink);
    if let Some(target) = around.target.filter(|_| session_policy && !can_shrink) {
        let what = format_args!("needs `resource_id` of target `{target}`");
        section.problem("session_policy", what);
    }
    let tags = match section.section("tags") {
        Some(tags) => tags.into_strings(),
        None => BTreeMap::new(),
    };
    for (key, text) in [
        ("session_name", Some(&session_name)),
        ("source_identity", source_identity.as_ref()),
    ] {
        judge_placeholders(&section, key, text.map_or("", String::as_str));
    }
    for text in tags.values() {
        judge_placeholders(&section, "tags", text);
    }
    section.finish();
    Some(RoleSettings {
        role_arn: role_arn?,
        account_id,
        external_id,
        session_name,
        source_identity,
        tags,
        duration: duration?,
        session_policy,
    })
}

/// The account of the role that a credential assumes.
pub fn account_of(credential: &CredentialKind) -> Option<String> {
    match credential {
        CredentialKind::Iam {
            assume_role: Some(role),
        } => role.account_id.clone(),
        _ => None,
    }
}

/// `arn:partition:iam::<account>:role/…`
fn account_in_arn(arn: &str) -> Option<String> {
    let account = arn.split(':').nth(4)?;
    let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| account.to_owned())
}

/// AssumeRole takes 15 minutes to 12 hours.
fn within_sts_limits(duration: Duration) -> Result<Duration, String> {
    let limits = Duration::from_secs(900)..=Duration::from_secs(43_200);
    match limits.contains(&duration) {
        true => Ok(duration),
        false => Err("a role's session lives 15m to 12h".to_owned()),
    }
}

/// Anything else in braces would reach AWS as it stands.
fn judge_placeholders(section: &Section<'_>, key: &str, text: &str) {
    let known = ["{caller}", "{db_user}", "{target}"];
    let rest = known
        .iter()
        .fold(text.to_owned(), |rest, name| rest.replace(name, ""));
    if rest.contains(['{', '}']) {
        section.problem(
            key,
            format_args!("`{text}` may hold {} and no other braces", known.join(", ")),
        );
    }
}
