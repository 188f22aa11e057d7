//! What everybody may.

use super::some;
use crate::provision::isolation::facts::{DatabaseFacts, Facts};
use crate::provision::isolation::verdict::{Finding, Kind};
use crate::provision::name::{Database, RoleName};
use crate::provision::sql::identifier;
use crate::provision::wanted::{Privilege, Wanted};

/// What new databases are made of.
pub(super) const TEMPLATE: &str = "template1";

pub(super) fn find(facts: &Facts, wanted: &Wanted, findings: &mut Vec<Finding>) {
    for (name, database) in &facts.databases {
        enter(facts, wanted, name, database, findings);
        create(wanted, name, database, findings);
    }
}

fn enter(
    facts: &Facts,
    wanted: &Wanted,
    name: &Database,
    database: &DatabaseFacts,
    findings: &mut Vec<Finding>,
) {
    let is_ours = wanted.databases.contains_key(name);
    let copied = match name.as_str() {
        TEMPLATE => "; it is what new databases are copied from",
        _ => "",
    };
    let finding = |kind, what: String, mends: String| Finding {
        kind,
        database: Some(name.clone()),
        users: Vec::new(),
        what,
        mends,
    };
    let quoted = identifier(name);
    if database.public.contains(&Privilege::Connect) {
        let mends = match is_ours {
            true => "`dbproxy apply`".to_owned(),
            false => {
                let others = keepers(facts, wanted);
                format!(
                    "GRANT CONNECT ON DATABASE {quoted} TO {others}; REVOKE CONNECT, TEMPORARY ON DATABASE {quoted} FROM PUBLIC;"
                )
            }
        };
        let (kind, what) = match is_as_made(facts, name, database) {
            true => {
                let owner = database.owner.as_str();
                let what = format!(
                    "everybody may enter it, as PostgreSQL made it, and nobody but its owner {owner:?}, a superuser, can shut it; tenants have nothing there{copied}"
                );
                (Kind::Template, what)
            }
            false => (
                Kind::PublicConnect,
                format!(
                    "PUBLIC may connect, so every db user may{}{copied}",
                    others(facts, wanted)
                ),
            ),
        };
        findings.push(finding(kind, what, mends));
    }
    if database.public.contains(&Privilege::Create) {
        let what = format!("PUBLIC may create schemas in it{copied}");
        let mends = format!("REVOKE CREATE ON DATABASE {quoted} FROM PUBLIC;");
        findings.push(finding(Kind::PublicCreate, what, mends));
    }
}

/// A template of a superuser's in which nobody else can leave anything.
fn is_as_made(facts: &Facts, name: &Database, database: &DatabaseFacts) -> bool {
    let creates = database.public.contains(&Privilege::Create);
    let inside = database.inside.as_ref();
    let created_in = inside.is_some_and(|inside| !inside.public_creates_in.is_empty());
    name.as_str() == TEMPLATE && facts.is_superuser(&database.owner) && !creates && !created_in
}

/// Who else lives by it, perhaps: shutting the door would shut it to them.
fn others(facts: &Facts, wanted: &Wanted) -> String {
    let provisioner = &facts.cluster.server.provisioner;
    let roles = facts.cluster.roles.iter();
    let others = roles.filter(|(name, role)| {
        let known = wanted.roles.contains_key(*name) || wanted.break_glass.contains(*name);
        role.login && !role.superuser && !role.marked && !known && *name != provisioner
    });
    match some(others.map(|(name, _)| name)) {
        names if names.is_empty() => String::new(),
        names => format!(
            "; so may {names}, who are not of the manifest: before it is shut, GRANT CONNECT to those of them who need it"
        ),
    }
}

/// Who needs a database that is not the manifest's nevertheless.
fn keepers(facts: &Facts, wanted: &Wanted) -> String {
    let provisioner = [&facts.cluster.server.provisioner];
    let keepers: Vec<&RoleName> = provisioner.into_iter().chain(&wanted.break_glass).collect();
    let keepers: Vec<String> = keepers.into_iter().map(identifier).collect();
    keepers.join(", ")
}

fn create(wanted: &Wanted, name: &Database, database: &DatabaseFacts, findings: &mut Vec<Finding>) {
    let schemas = database
        .inside
        .iter()
        .flat_map(|inside| &inside.public_creates_in);
    for schema in schemas {
        let ours = wanted.databases.contains_key(name);
        let can_enter =
            ours || name.as_str() == TEMPLATE || database.by_role.values().any(|rights| rights.connect);
        if !can_enter {
            continue;
        }
        let copied = match name.as_str() {
            TEMPLATE => "; new databases begin with it",
            _ => "; what lies there, others may call by accident",
        };
        findings.push(Finding {
            kind: Kind::PublicCreate,
            database: Some(name.clone()),
            users: Vec::new(),
            what: format!("PUBLIC may create in schema {:?}{copied}", schema.as_str()),
            mends: format!("REVOKE CREATE ON SCHEMA {} FROM PUBLIC;", identifier(schema)),
        });
    }
}
