//! Policies against the catalog: names that nobody has are most likely misspelt.

use super::Groups;
use super::entities::{db_user_id, parse_principal};
use super::operate::BROKER;
use super::problem::{Problem, Severity};
use super::set::{Rule, Set};
use crate::domain::target::{Target, Users};
use cedar_policy::EntityUid;
use std::borrow::Borrow;

/// What the policies of `set` name, in their heads or conditions, that neither a target nor a group of the
/// configuration has, and that no caller can be. A `forbid` of a target that there is none is an error.
pub fn unknown_names(set: &Set, targets: &[impl Borrow<Target>], groups: &Groups) -> Vec<Problem> {
    let targets: Vec<&Target> = targets.iter().map(Borrow::borrow).collect();
    let targets = targets.as_slice();
    let of_rule = |rule: &'_ Rule| {
        let named = rule.named();
        let warnings = named.iter().filter_map(|uid| warning(rule, uid, targets, groups));
        warnings.collect::<Vec<_>>()
    };
    set.rules().iter().flat_map(of_rule).collect()
}

fn warning(rule: &Rule, uid: &EntityUid, targets: &[&Target], groups: &Groups) -> Option<Problem> {
    let (kind, id): (String, &str) = (uid.type_name().to_string(), uid.id().as_ref());
    let warn = |what: &str| Problem::warning(&rule.file, format!("policy `{}` names {uid}, {what}", rule.id));
    match kind.as_str() {
        "Cluster" | "DbRole" | "DbUser" if is_of_a_target(&kind, id, targets) => None,
        "Cluster" | "DbRole" | "DbUser" => {
            let known: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
            let help = format!("targets of the configuration: {}", known.join(", "));
            let problem = warn("which the configuration does not have").help(help);
            Some(match !rule.is_permit() && !is_below_a_target(id, targets) {
                // It forbids nothing, and whoever wrote it relies on it.
                true => Problem {
                    severity: Severity::Error,
                    ..problem
                },
                false => problem,
            })
        }
        "Broker" => (id != BROKER).then(|| {
            warn("which the configuration does not have")
                .help(format!("the only one is Broker::\"{BROKER}\""))
        }),
        // Those of tokens have the prefix of their issuer, and only the issuer knows which there are.
        "Group" => (!id.contains(':') && !groups.has(id)).then(|| {
            warn("which has no member in the configuration")
                .help("a group of `[groups]`, or one of a token with its issuer's prefix, as in Group::\"oidc:data\"")
        }),
        "Action" => None,
        // Principals come from elsewhere: any may exist whose name has the form of its kind. A quote in it is an
        // issuer's affair.
        _ if id.contains(['"', '\\']) => None,
        _ => {
            let fault = parse_principal(&format!("{kind}::\"{id}\"")).err()?;
            Some(warn("which no caller can be").help(fault))
        }
    }
}

/// Whether the part before the slash is a target.
fn is_below_a_target(id: &str, targets: &[&Target]) -> bool {
    let name = id.split_once('/').map_or(id, |(name, _)| name);
    targets.iter().any(|target| target.name.as_str() == name)
}

fn is_of_a_target(kind: &str, id: &str, targets: &[&Target]) -> bool {
    match kind {
        "Cluster" => targets.iter().any(|target| target.name.as_str() == id),
        "DbRole" => targets.iter().any(|target| {
            let mut roles = target.db_roles.keys();
            roles.any(|role| format!("{}/{role}", target.name) == id)
        }),
        _ => targets.iter().any(|target| match &target.users {
            Users::Any => id
                .strip_prefix(target.name.as_str())
                .is_some_and(|rest| rest.starts_with('/')),
            Users::Listed(users) => users.iter().any(|user| db_user_id(target, user) == id),
        }),
    }
}
