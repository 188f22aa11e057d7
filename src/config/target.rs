//! `[targets.<name>]`: one database, its names, who may be asked for, how to log in.

mod ad_hoc;
mod credential;
mod defaults;
pub mod manifest;
mod names;
mod propagation;
mod server;
mod who;

pub use ad_hoc::{AdHoc, free_name, read_ad_hoc, read_via};
pub use defaults::Defaults;

use super::section::Section;
use super::source::Environment;
use crate::domain::name::{DbUser, TargetName};
use crate::domain::target::{CredentialKind, Target};
use credential::Surroundings;
use manifest::Said;
use names::Names;
use server::{read_ca_file, read_region, region_of, trust_of};
use std::collections::BTreeMap;

/// Where a target is described; decides what it may leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Described {
    InFile,
    /// By its endpoint name and flags alone.
    OnCommandLine,
}

/// Reads one target, with what the manifest says of it filled in. `None` when a mistake was found; the mistakes are in the
/// section. Everything is read before anything is given up, so that no mistake hides another.
pub fn read(
    name: &str,
    mut section: Section<'_>,
    described: Described,
    (environment, said): (Environment<'_>, Option<Said<'_>>),
) -> Option<Target> {
    let target_name = read_name(&section, name);
    let is_broker = credential::is_broker(&section);
    if is_broker {
        // It decides itself who may be whom.
        section.fill("db_users", "*".into(), "the default of a broker");
    }
    let names = Names::read(&mut section);
    let endpoint = names.as_ref().map(|names| &names.endpoint);
    let region = read_region(&mut section);
    let users = who::read_users(&mut section);
    let databases = who::read_databases(&mut section);
    let db_roles = who::read_roles(&mut section);
    let default_database = who::read_default_database(&mut section);
    let default_db_user = who::read_default_db_user(&mut section);
    let ca_file = read_ca_file(&mut section);
    let resource_id = section.string("resource_id");
    let account_id = section.string("account_id");
    server::judge_ids(&section, resource_id.as_deref(), account_id.as_deref());
    if let Some(said) = &said {
        said.judge_ids(&section, resource_id.as_deref(), account_id.as_deref());
        said.judge_place(&section, region.given(), endpoint, &databases);
    }
    let around = Surroundings {
        target: Some(name),
        resource_id: resource_id.as_deref(),
        host: endpoint.map(|endpoint| &*endpoint.host),
        region: region.given(),
    };
    let credential = credential::of(&mut section, around, environment);
    let user_credentials = read_user_credentials(&mut section, around, environment);
    if !is_broker && user_credentials.values().any(|kind| kind.broker().is_some()) {
        section.problem("users", "holds a `broker`, which only a target as a whole can be");
    }
    let (users, db_roles) = who::known(&section, said, (users, db_roles), &user_credentials);
    who::judge_user(&section, &users, default_db_user.as_ref());
    who::judge_roles(&section, &users, &db_roles);
    who::judge_database(&section, &databases, default_database.as_ref());
    let needed = needs_aws(credential.as_ref(), &user_credentials);
    let region = region_of(&section, region, endpoint, needed, described);
    let trust = match is_broker {
        true => server::trust_of_broker(ca_file),
        false => trust_of(&section, ca_file, endpoint, described),
    };
    let propagation = propagation::read_of(&mut section, is_broker);
    section.finish();
    let account_id = account_id.or_else(|| credential.as_ref().and_then(credential::account_of));
    let declared = said.map(|said| said.declared(region.as_ref(), &users));
    let names = names?;
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
        db_roles,
        cluster: said.map(|said| said.cluster().clone()),
        declared: declared.unwrap_or_default(),
        databases,
        default_database,
        default_db_user,
        credential: credential?,
        user_credentials,
        propagation,
    })
}

fn read_name(section: &Section<'_>, name: &str) -> Option<TargetName> {
    if name.contains('/') {
        section.problem(
            "(name)",
            "holds a `/`, which policies put between target and db user",
        );
    }
    section.convert("(name)", TargetName::new(name))
}

fn read_user_credentials(
    section: &mut Section<'_>,
    around: Surroundings<'_>,
    environment: Environment<'_>,
) -> BTreeMap<DbUser, CredentialKind> {
    let mut own = BTreeMap::new();
    for (user, mut user_section) in section.sections("users") {
        let user_name = user_section.convert("(name)", DbUser::new(&user));
        match user_section.section("credential") {
            Some(credential) => {
                let kind = credential::read(credential, around, environment);
                own.extend(user_name.zip(kind));
            }
            None => user_section.problem("credential", "is missing"),
        }
        user_section.finish();
    }
    own
}

fn needs_aws(credential: Option<&CredentialKind>, own: &BTreeMap<DbUser, CredentialKind>) -> bool {
    own.values().chain(credential).any(|kind| {
        matches!(
            kind,
            CredentialKind::Iam { .. } | CredentialKind::SecretsManager { .. }
        )
    })
}

#[cfg(test)]
mod tests;
