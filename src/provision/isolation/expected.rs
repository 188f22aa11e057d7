//! What the manifest says of who reaches what.

use super::verdict::Level;
use crate::provision::name::{Database, RoleName, SchemaName};
use crate::provision::wanted::{Grantee, Grants, Kind, Privilege, Wanted, WantedSchema};
use std::collections::{BTreeMap, BTreeSet};

/// Of one user in one database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    pub connect: bool,
    pub owns: bool,
    pub creates: bool,
    pub schemas: BTreeMap<SchemaName, Bounds>,
}

/// Privileges on single objects are there only once the objects are, so they are no lower bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    pub least: Level,
    pub most: Level,
}

impl Expected {
    pub fn level(&self) -> Level {
        let inside = self.schemas.values().map(|bounds| bounds.most).max();
        match (self.connect, self.owns, self.creates) {
            (false, ..) => Level::None,
            (true, true, _) => Level::Own,
            (true, false, creates) => {
                let created = if creates { Level::Write } else { Level::Connect };
                created.max(inside.unwrap_or_default())
            }
        }
    }

    pub fn in_schema(&self, schema: &SchemaName) -> Bounds {
        let declared = self.schemas.get(schema).copied().unwrap_or_default();
        match self.owns {
            // An owner may have made schemas of its own.
            true => Bounds {
                most: Level::Own,
                ..declared
            },
            false => declared,
        }
    }
}

/// Roles of the manifest that the user is a member of in any way, itself included.
pub fn closure(wanted: &Wanted, user: &RoleName) -> BTreeSet<RoleName> {
    let mut reached = BTreeSet::from([user.clone()]);
    let mut open = vec![user.clone()];
    while let Some(member) = open.pop() {
        let of = wanted.roles.get(&member).map(|role| &role.member_of);
        for role in of.into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(role.clone()) {
                open.push(role.clone());
            }
        }
    }
    reached
}

pub fn expected(wanted: &Wanted, user: &RoleName, database: &Database) -> Expected {
    let Some(database) = wanted.databases.get(database) else {
        return Expected::default();
    };
    let roles = closure(wanted, user);
    let declared = of_grants(&roles, &database.grants);
    let owns = wanted.roles.contains_key(user) && roles.contains(&database.owner);
    let schemas = database.schemas.iter();
    Expected {
        connect: owns || declared.contains(&Privilege::Connect),
        owns,
        creates: owns || declared.contains(&Privilege::Create),
        schemas: schemas
            .map(|(name, schema)| (name.clone(), bounds(&roles, name, schema)))
            .collect(),
    }
}

fn bounds(roles: &BTreeSet<RoleName>, name: &SchemaName, schema: &WantedSchema) -> Bounds {
    if roles.contains(&schema.owner) {
        // The schema `public` keeps the owner it has.
        let least = match name.as_str() {
            "public" => Level::None,
            _ => Level::Own,
        };
        return Bounds {
            least,
            most: Level::Own,
        };
    }
    let own = of_grants(roles, &schema.grants);
    let all = schema.on_all.get(&Kind::Table);
    let all = all.map(|grants| of_grants(roles, grants)).unwrap_or_default();
    let tables = schema.on_one.iter().filter(|((kind, _), _)| *kind == Kind::Table);
    let one: BTreeSet<_> = tables.flat_map(|(_, grants)| of_grants(roles, grants)).collect();
    let created = if own.contains(&Privilege::Create) {
        Level::Write
    } else {
        Level::None
    };
    match own.contains(&Privilege::Usage) {
        true => Bounds {
            least: created.max(of_table(&all)),
            most: created.max(of_table(&all)).max(of_table(&one)),
        },
        false => Bounds {
            least: created,
            most: created,
        },
    }
}

fn of_table(privileges: &BTreeSet<Privilege>) -> Level {
    use Privilege::{Delete, Insert, Select, Truncate, Update};
    let any = |some: &[Privilege]| some.iter().any(|one| privileges.contains(one));
    match (any(&[Insert, Update, Delete, Truncate]), any(&[Select])) {
        (true, _) => Level::Write,
        (false, true) => Level::Read,
        (false, false) => Level::None,
    }
}

fn of_grants(roles: &BTreeSet<RoleName>, grants: &Grants) -> BTreeSet<Privilege> {
    let concerned = grants.iter().filter(|(grantee, _)| match grantee {
        Grantee::Public => true,
        Grantee::Role(role) => roles.contains(role),
    });
    concerned
        .flat_map(|(_, privileges)| privileges)
        .copied()
        .collect()
}
