//! Policies against the catalog: names that nobody has are most likely misspelt.

use super::entities::db_user_id;
use super::problem::Problem;
use super::set::{Rule, Set};
use crate::domain::target::{Target, Users};
use cedar_policy::EntityUid;

/// What the policies of `set` name that no target has.
pub fn unknown_names(set: &Set, targets: &[Target]) -> Vec<Problem> {
    let named = |rule: &'_ Rule| {
        let unknown: Vec<_> = rule
            .named()
            .filter(|uid| !is_known(uid, targets))
            .cloned()
            .collect();
        unknown
            .into_iter()
            .map(|uid| warning(rule, &uid, targets))
            .collect::<Vec<_>>()
    };
    set.rules().iter().flat_map(named).collect()
}

/// Principals come from elsewhere, so any may exist.
fn is_known(uid: &EntityUid, targets: &[Target]) -> bool {
    let id: &str = uid.id().as_ref();
    match uid.type_name().to_string().as_str() {
        "Cluster" => targets.iter().any(|target| target.name.as_str() == id),
        "DbRole" => targets.iter().any(|target| {
            let mut roles = target.db_roles.keys();
            roles.any(|role| format!("{}/{role}", target.name) == id)
        }),
        "DbUser" => targets.iter().any(|target| match &target.users {
            Users::Any => id
                .strip_prefix(target.name.as_str())
                .is_some_and(|rest| rest.starts_with('/')),
            Users::Listed(users) => users.iter().any(|user| db_user_id(target, user) == id),
        }),
        _ => true,
    }
}

fn warning(rule: &Rule, uid: &EntityUid, targets: &[Target]) -> Problem {
    let known: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    Problem::warning(
        &rule.file,
        format!(
            "policy `{}` names {uid}, which the configuration does not have",
            rule.id
        ),
    )
    .help(format!("targets of the configuration: {}", known.join(", ")))
}
