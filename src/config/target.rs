//! `[targets.<name>]`, and a target that is only an endpoint name on the command line.

use super::section::Section;
use super::source::Environment;
use super::values::{POSTGRES_PORT, duration, host_port};
use crate::domain::endpoint::{EndpointName, Region, RootsKind};
use crate::domain::name::{DatabaseName, DbUser, TargetName};
use crate::domain::secret::Secret;
use crate::domain::target::{CredentialKind, HostPort, RoleSettings, Target, TrustRoots, Users};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What the flags give to targets that are named by their endpoint.
#[derive(Debug, Default, Clone)]
pub struct AdHoc {
    pub db_users: Vec<String>,
    pub region: Option<String>,
    pub ca_file: Option<PathBuf>,
}

/// Reads one target. `None` when a mistake was found; the mistakes are in the section.
pub fn read(name: &str, mut section: Section<'_>, environment: Environment<'_>) -> Option<Target> {
    let target_name = section.convert("(name)", TargetName::new(name));
    let endpoint = section.string("endpoint");
    if endpoint.is_none() {
        section.problem("endpoint", "is missing: the RDS endpoint name of the database");
    }
    let port = section
        .integer("port", 1..=65_535)
        .and_then(|p| u16::try_from(p).ok());
    let at = endpoint.and_then(|text| {
        let result = host_port(&text, port.unwrap_or(POSTGRES_PORT));
        section.convert("endpoint", result)
    });
    let names = Names::read(&mut section, at);
    let region = section.string("region");
    let region = region.and_then(|text| {
        let region = Region::new(&text).ok_or_else(|| format!("`{text}` is not an AWS region"));
        section.convert("region", region)
    });
    let users = read_users(&mut section);
    let databases = section.strings("databases").unwrap_or_default();
    let databases: Vec<_> = databases
        .iter()
        .filter_map(|name| section.convert("databases", DatabaseName::new(name)))
        .collect();
    let ca_file = section.string("ca_file").map(PathBuf::from);
    let resource_id = section.string("resource_id");
    let account_id = section.string("account_id");
    let defaults = RoleDefaults {
        resource_id: resource_id.as_deref(),
        account_id: account_id.as_deref(),
    };
    let credential = match section.section("credential") {
        Some(credential) => read_credential(credential, defaults, environment),
        None => Some(CredentialKind::Iam { assume_role: None }),
    };
    let mut user_credentials = BTreeMap::new();
    for (user, mut user_section) in section.sections("users") {
        let user_name = user_section.convert("(name)", DbUser::new(&user));
        match user_section.section("credential") {
            Some(own) => {
                let kind = read_credential(own, defaults, environment);
                user_credentials.extend(user_name.zip(kind));
            }
            None => user_section.problem("credential", "is missing"),
        }
        user_section.finish();
    }
    let users = with_own_credentials(users, &user_credentials);
    if matches!(&users, Users::Listed(list) if list.is_empty()) {
        section.problem("db_users", "lists nobody; `[\"*\"]` allows any db user");
    }
    let names = names?;
    let needs_region = needs_aws(credential.as_ref(), &user_credentials);
    let region = region_of(&section, region, &names.endpoint, needs_region);
    let trust = trust_of(&section, ca_file, &names.endpoint);
    section.finish();
    let account_id = account_id.or_else(|| account_of(credential.as_ref()));
    Some(Target {
        name: target_name?,
        endpoint: names.endpoint,
        dial: names.dial,
        tls_name: names.tls_name,
        token: names.token,
        region: region?,
        resource_id,
        account_id,
        trust: trust?,
        users,
        databases,
        credential: credential?,
        user_credentials,
    })
}

/// A target that is an RDS endpoint name and nothing else.
pub fn ad_hoc(text: &str, given: &AdHoc, problem: &mut dyn FnMut(String)) -> Option<Target> {
    let at = host_port(text, POSTGRES_PORT).map_err(&mut *problem).ok()?;
    let endpoint = EndpointName::parse(&at.host);
    let region = match &given.region {
        Some(region) => Region::new(region),
        None => endpoint.region.clone(),
    };
    if region.is_none() {
        problem(format!(
            "the name does not say its region, and it is not a target of the configuration; give `--region`, \
             or configure [targets.<name>] with `endpoint = \"{}\"`",
            at.host
        ));
    }
    let trust = match (&given.ca_file, endpoint.roots()) {
        (Some(file), _) => TrustRoots::File(file.clone()),
        (None, roots) => TrustRoots::Shipped(roots.unwrap_or(RootsKind::Rds)),
    };
    let mut listed = Vec::new();
    for user in &given.db_users {
        match DbUser::new(user) {
            Ok(user) => listed.push(user),
            Err(error) => problem(format!("--db-user: {error}")),
        }
    }
    let first_label = at.host.split('.').next().unwrap_or_default();
    let name = TargetName::new(first_label)
        .map_err(|error| problem(error.to_string()))
        .ok()?;
    Some(Target {
        name,
        tls_name: endpoint.host.to_string(),
        token: HostPort {
            host: endpoint.host.to_string(),
            port: at.port,
        },
        endpoint,
        dial: at,
        region: region?,
        resource_id: None,
        account_id: None,
        trust,
        users: if listed.is_empty() {
            Users::Any
        } else {
            Users::Listed(listed)
        },
        databases: Vec::new(),
        credential: CredentialKind::Iam { assume_role: None },
        user_credentials: BTreeMap::new(),
    })
}

/// The three names of a target; two of them follow from the endpoint unless they are given.
struct Names {
    endpoint: EndpointName,
    dial: HostPort,
    tls_name: String,
    token: HostPort,
}

impl Names {
    fn read(section: &mut Section<'_>, at: Option<HostPort>) -> Option<Self> {
        let dial = section.string("dial");
        let tls_name = section.string("tls_name");
        let token_host = section.string("token_host");
        let token_port = section.integer("token_port", 1..=65_535);
        let at = at?;
        let endpoint = EndpointName::parse(&at.host);
        let own = endpoint.host.to_string();
        let dial = match dial {
            Some(text) => section.convert("dial", host_port(&text, at.port))?,
            None => at.clone(),
        };
        let token_host = token_host.unwrap_or_else(|| own.clone()).to_ascii_lowercase();
        let token_port = token_port.and_then(|port| u16::try_from(port).ok());
        Some(Self {
            tls_name: tls_name.unwrap_or(own),
            token: HostPort {
                host: token_host,
                port: token_port.unwrap_or(at.port),
            },
            dial,
            endpoint,
        })
    }
}

fn read_users(section: &mut Section<'_>) -> Users {
    let names = section.strings("db_users").unwrap_or_default();
    if names == ["*"] {
        return Users::Any;
    }
    let listed = names
        .iter()
        .filter_map(|name| match name.as_str() {
            "*" => {
                section.problem("db_users", "`*` stands alone: it already means any db user");
                None
            }
            name => section.convert("db_users", DbUser::new(name)),
        })
        .collect();
    Users::Listed(listed)
}

/// A db user that has a credential of its own is meant to be used.
fn with_own_credentials(users: Users, own: &BTreeMap<DbUser, CredentialKind>) -> Users {
    match users {
        Users::Any => Users::Any,
        Users::Listed(mut listed) => {
            let missing: Vec<_> = own
                .keys()
                .filter(|user| !listed.contains(user))
                .cloned()
                .collect();
            listed.extend(missing);
            Users::Listed(listed)
        }
    }
}

fn needs_aws(credential: Option<&CredentialKind>, own: &BTreeMap<DbUser, CredentialKind>) -> bool {
    own.values().chain(credential).any(|kind| {
        matches!(
            kind,
            CredentialKind::Iam { .. } | CredentialKind::SecretsManager { .. }
        )
    })
}

fn region_of(
    section: &Section<'_>,
    given: Option<Region>,
    endpoint: &EndpointName,
    needed: bool,
) -> Option<Region> {
    let region = given.or_else(|| endpoint.region.clone());
    if region.is_none() && needed {
        section.problem("region", "is missing, and the endpoint's name does not say it");
        return None;
    }
    // Never used: nothing of this target talks to AWS.
    region.or_else(|| Region::new("us-east-1"))
}

fn trust_of(section: &Section<'_>, ca_file: Option<PathBuf>, endpoint: &EndpointName) -> Option<TrustRoots> {
    match (ca_file, endpoint.roots()) {
        (Some(file), _) => Some(TrustRoots::File(file)),
        (None, Some(kind)) => Some(TrustRoots::Shipped(kind)),
        (None, None) => {
            section.problem(
                "ca_file",
                "is missing: the endpoint is not an RDS name, so its authority is unknown",
            );
            None
        }
    }
}

fn account_of(credential: Option<&CredentialKind>) -> Option<String> {
    match credential? {
        CredentialKind::Iam {
            assume_role: Some(role),
        } => account_in_arn(&role.role_arn),
        _ => None,
    }
}

/// `arn:partition:iam::<account>:role/…`
fn account_in_arn(arn: &str) -> Option<String> {
    let account = arn.split(':').nth(4)?;
    let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| account.to_owned())
}

/// What a role's session policy needs of its target.
#[derive(Clone, Copy)]
struct RoleDefaults<'a> {
    resource_id: Option<&'a str>,
    account_id: Option<&'a str>,
}

fn read_credential(
    mut section: Section<'_>,
    defaults: RoleDefaults<'_>,
    environment: Environment<'_>,
) -> Option<CredentialKind> {
    let kind = section.string("kind").unwrap_or_else(|| "iam".to_owned());
    let credential = match kind.as_str() {
        "iam" => match section.section("assume_role") {
            Some(role) => read_role(role, defaults).map(|role| CredentialKind::Iam {
                assume_role: Some(Box::new(role)),
            }),
            None => Some(CredentialKind::Iam { assume_role: None }),
        },
        "password_file" => {
            required(&mut section, "file").map(|file| CredentialKind::PasswordFile(PathBuf::from(file)))
        }
        "password_env" => {
            required(&mut section, "variable").and_then(|variable| match environment(&variable) {
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
        "secret" => {
            required(&mut section, "secret_id").map(|secret_id| CredentialKind::SecretsManager { secret_id })
        }
        "passthrough" => Some(CredentialKind::Passthrough),
        other => {
            section.problem(
                "kind",
                format_args!(
                    "`{other}` is none of `iam`, `password_file`, `password_env`, `secret`, `passthrough`"
                ),
            );
            None
        }
    };
    section.finish();
    credential
}

fn required(section: &mut Section<'_>, key: &'static str) -> Option<String> {
    let value = section.string(key);
    if value.is_none() {
        section.problem(key, "is missing");
    }
    value
}

fn read_role(mut section: Section<'_>, defaults: RoleDefaults<'_>) -> Option<RoleSettings> {
    let role_arn = required(&mut section, "role_arn");
    let account = role_arn.as_deref().and_then(account_in_arn);
    if role_arn.is_some() && account.is_none() {
        section.problem("role_arn", "is not the ARN of an IAM role");
    }
    let external_id = section.string("external_id");
    let session_name = section
        .string("session_name")
        .unwrap_or_else(|| "dbproxy".to_owned());
    let source_identity = section.string("source_identity");
    let duration_text = section.string("duration");
    let duration = match duration_text {
        Some(text) => section.convert("duration", duration(&text))?,
        None => Duration::from_secs(3_600),
    };
    let can_shrink = defaults.resource_id.is_some() && (defaults.account_id.is_some() || account.is_some());
    let session_policy = section.boolean("session_policy").unwrap_or(can_shrink);
    if session_policy && !can_shrink {
        section.problem("session_policy", "needs `resource_id` of the target");
    }
    let tags = match section.section("tags") {
        Some(tags) => tags.into_strings(),
        None => BTreeMap::new(),
    };
    section.finish();
    Some(RoleSettings {
        role_arn: role_arn?,
        external_id,
        session_name,
        source_identity,
        tags,
        duration,
        session_policy,
    })
}
