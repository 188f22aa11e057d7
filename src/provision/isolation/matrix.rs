//! Every managed user beside every database: how far it comes, and how far it should.

use super::expected::{Expected, expected};
use super::facts::{DatabaseFacts, Facts, OnDatabase};
use super::login::Logins;
use super::verdict::{Cell, Cells, Level};
use crate::provision::name::{Database, RoleName, SchemaName};
use crate::provision::wanted::Wanted;
use std::collections::{BTreeMap, BTreeSet};

/// Databases of the manifest, then all others.
pub fn columns(facts: &Facts, wanted: &Wanted) -> Vec<Database> {
    let is_wanted = |name: &&Database| wanted.databases.contains_key(*name);
    let (ours, others): (Vec<_>, Vec<_>) = facts.databases.keys().partition(is_wanted);
    ours.into_iter().chain(others).cloned().collect()
}

pub fn cells(facts: &Facts, wanted: &Wanted, logins: &Logins) -> Cells {
    let mut cells = Cells::new();
    for user in &facts.users {
        let faces = facts.faces(user);
        for (name, database) in &facts.databases {
            let at = (user.clone(), name.clone());
            let mut cell = cell(&faces, user, database, &expected(wanted, user, name));
            if cell.expected > Level::None {
                cell.less.extend(cannot_log_in(facts, wanted, user));
            }
            cell.login = logins.get(&at).cloned().unwrap_or_default();
            cells.insert(at, cell);
        }
    }
    cells
}

/// Whatever its privileges are.
fn cannot_log_in(facts: &Facts, wanted: &Wanted, user: &RoleName) -> Option<String> {
    let found = facts.cluster.roles.get(user)?;
    let limit = wanted.roles.get(user).and_then(|role| role.connection_limit);
    match found.connection_limit {
        _ if !found.login => Some("may not log in (NOLOGIN)".to_owned()),
        Some(0) if limit != Some(0) => Some("may not log in (CONNECTION LIMIT 0)".to_owned()),
        _ => None,
    }
}

fn cell(faces: &BTreeSet<RoleName>, user: &RoleName, database: &DatabaseFacts, expected: &Expected) -> Cell {
    let rights = rights(faces, database);
    let connect = database.may_connect(user);
    let schemas = match connect {
        true => schemas(faces, database),
        false => BTreeMap::new(),
    };
    let inside = schemas.values().max().copied().unwrap_or_default();
    let found = match (connect, rights.own, rights.create) {
        (false, ..) => Level::None,
        (true, true, _) => Level::Own,
        (true, false, true) => Level::Write.max(inside),
        (true, false, false) => Level::Connect.max(inside),
    };
    let mut cell = Cell {
        found,
        expected: expected.level(),
        unseen: connect && database.inside.is_none(),
        schemas,
        ..Cell::default()
    };
    compare_database(&mut cell, rights, connect, expected);
    // Whoever owns the database and should not need not be told of every schema.
    if connect && (expected.owns || !rights.own) {
        compare_schemas(&mut cell, expected);
    }
    cell
}

/// What a user has as any of those it can be.
fn rights(faces: &BTreeSet<RoleName>, database: &DatabaseFacts) -> OnDatabase {
    let all = faces.iter().filter_map(|face| database.by_role.get(face));
    all.fold(OnDatabase::default(), |sum, one| OnDatabase {
        connect: sum.connect || one.connect,
        create: sum.create || one.create,
        own: sum.own || one.own,
    })
}

fn schemas(faces: &BTreeSet<RoleName>, database: &DatabaseFacts) -> BTreeMap<SchemaName, Level> {
    let schemas = database.inside.iter().flat_map(|inside| &inside.schemas);
    let reached = schemas.filter_map(|(name, levels)| {
        let level = faces.iter().filter_map(|face| levels.get(face)).max()?;
        (*level > Level::None).then(|| (name.clone(), *level))
    });
    reached.collect()
}

fn compare_database(cell: &mut Cell, rights: OnDatabase, connect: bool, expected: &Expected) {
    let all = [
        ("may connect", connect, expected.connect),
        ("owns the database", connect && rights.own, expected.owns),
        (
            "may create schemas",
            connect && rights.create && !rights.own,
            expected.creates,
        ),
    ];
    for (what, found, wanted) in all {
        if found && !wanted {
            cell.more.push(what.to_owned());
        }
    }
    match (connect, expected.connect) {
        (false, true) => cell.less.push("may not connect".to_owned()),
        _ if expected.owns && !rights.own => cell.less.push("does not own the database".to_owned()),
        _ => {}
    }
}

fn compare_schemas(cell: &mut Cell, expected: &Expected) {
    let known = cell.schemas.keys().chain(expected.schemas.keys());
    let known: BTreeSet<SchemaName> = known.cloned().collect();
    for name in known {
        let found = cell.schemas.get(&name).copied().unwrap_or_default();
        let bounds = expected.in_schema(&name);
        let told = |should: Level| {
            let (found, should) = (found.in_words(), should.in_words());
            format!("{found} in schema {:?}, where it says {should}", name.as_str())
        };
        if found > bounds.most {
            cell.more.push(told(bounds.most));
        } else if found < bounds.least && !cell.unseen {
            cell.less.push(told(bounds.least));
        }
    }
}
