//! Which db users and databases a target lists, and which it proposes.

use super::manifest::Said;
use crate::config::section::Section;
use crate::domain::name::{DatabaseName, DbRole, DbUser};
use crate::domain::target::{CredentialKind, Users};
use std::collections::BTreeMap;

pub fn read_users(section: &mut Section<'_>) -> Users {
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

pub fn read_databases(section: &mut Section<'_>) -> Vec<DatabaseName> {
    let names = section.strings("databases").unwrap_or_default();
    let names = names.iter();
    names
        .filter_map(|name| section.convert("databases", DatabaseName::new(name)))
        .collect()
}

pub fn read_default_database(section: &mut Section<'_>) -> Option<DatabaseName> {
    let name = section.string("default_database")?;
    section.convert("default_database", DatabaseName::new(name))
}

pub fn read_default_db_user(section: &mut Section<'_>) -> Option<DbUser> {
    let name = section.string("default_db_user")?;
    section.convert("default_db_user", DbUser::new(name))
}

/// `[targets.<name>.db_roles]`: `reader = ["app_ro", …]`
pub fn read_roles(section: &mut Section<'_>) -> BTreeMap<DbRole, Vec<DbUser>> {
    let Some(roles) = section.section("db_roles") else {
        return BTreeMap::new();
    };
    let mut read = BTreeMap::new();
    for (name, members) in roles.into_lists() {
        let members = members.iter();
        let members = members
            .filter_map(|user| section.convert("db_roles", DbUser::new(user)))
            .collect();
        if let Some(role) = section.convert("db_roles", DbRole::new(&name)) {
            read.insert(role, members);
        }
    }
    read
}

/// A member that the target does not list could never be asked for.
pub fn judge_roles(section: &Section<'_>, users: &Users, roles: &BTreeMap<DbRole, Vec<DbUser>>) {
    for (role, members) in roles {
        for user in members.iter().filter(|user| !users.lists(user)) {
            let what = format_args!("`{user}` (of `{role}`) is not in `db_users`");
            section.misfit("db_roles", what);
        }
    }
}

pub fn judge_user(section: &Section<'_>, users: &Users, default: Option<&DbUser>) {
    // A manifest may have none yet.
    let nobody = matches!(users, Users::Listed(list) if list.is_empty());
    if nobody && !section.is_filled("db_users") {
        section.problem("db_users", "lists nobody; `[\"*\"]` allows any db user");
    } else if let Some(user) = default.filter(|user| !users.lists(user)) {
        let what = format_args!("`{user}` is not in `db_users`");
        section.misfit("default_db_user", what);
    }
}

pub fn judge_database(section: &Section<'_>, listed: &[DatabaseName], default: Option<&DatabaseName>) {
    if let Some(database) = default.filter(|database| !listed.is_empty() && !listed.contains(database)) {
        let what = format_args!("`{database}` is not in `databases`");
        section.misfit("default_database", what);
    }
}

/// The db users that there are and the roles they have: by the manifest, or as they were written.
pub fn known(
    section: &Section<'_>,
    said: Option<Said<'_>>,
    (users, roles): (Users, BTreeMap<DbRole, Vec<DbUser>>),
    own: &BTreeMap<DbUser, CredentialKind>,
) -> (Users, BTreeMap<DbRole, Vec<DbUser>>) {
    let Some(said) = said else {
        return (with_own_credentials(users, own), roles);
    };
    let users = said.users(section, users, own);
    let roles = said.roles(section, roles, &users);
    (users, roles)
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
