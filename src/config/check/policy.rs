//! `[policy]` and `[groups]`: which policies are in force, and who belongs together.

use crate::access::policy::entities::parse_principal;
use crate::access::policy::set::{Set, read};
use crate::access::policy::{Groups, Policy};
use crate::config::section::Section;
use crate::domain::target::Target;
use std::path::PathBuf;
use std::sync::Arc;

/// The policy as configured.
#[derive(Debug)]
pub struct PolicySetting {
    pub policy: Arc<Policy>,
    /// Where its files are; nowhere: the built-in rule.
    pub dir: Option<PathBuf>,
    /// What policies may speak of: all targets of the configuration, also those that are not served.
    pub catalog: Arc<[Target]>,
}

/// Reads and validates the set, so that its mistakes are told with all others.
pub fn read_policy(root: &mut Section<'_>) -> PolicySetting {
    let groups = read_groups(root);
    let Some(mut section) = root.section("policy") else {
        return PolicySetting {
            policy: Policy::built_in().into(),
            dir: None,
            catalog: Arc::default(),
        };
    };
    let dir = section.required("dir", "is missing: the directory that holds the policies");
    let dir = dir.map(PathBuf::from);
    let set = dir.as_deref().map(|dir| read(dir).and_then(Set::of));
    let policy = match set {
        Some(Ok(set)) => Policy::of(set, groups),
        Some(Err(problems)) => {
            for problem in problems.0 {
                section.problem("dir", problem);
            }
            Policy::built_in()
        }
        None => Policy::built_in(),
    };
    section.finish();
    PolicySetting {
        policy: policy.into(),
        dir,
        catalog: Arc::default(),
    }
}

fn read_groups(root: &mut Section<'_>) -> Groups {
    let Some(groups) = root.section("groups") else {
        return Groups::default();
    };
    let mut members = Vec::new();
    for (group, principals) in groups.into_lists() {
        // Those of a token are called `oidc:…`.
        if group.contains(':') {
            root.problem(
                "groups",
                format_args!("`{group}`: the name of a group holds no `:`"),
            );
        }
        for principal in principals {
            if let Some(principal) = root.convert("groups", parse_principal(&principal)) {
                members.push((group.clone(), principal));
            }
        }
    }
    Groups::new(members)
}
