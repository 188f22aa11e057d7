//! Ways out of a database: to others, to the server's machine.

use crate::provision::isolation::facts::{DatabaseFacts, Facts, ForeignServer, Inside};
use crate::provision::isolation::verdict::{Finding, Kind};
use crate::provision::name::{Database, RoleName};
use crate::provision::sql::identifier;
use crate::provision::wanted::Wanted;
use std::collections::BTreeSet;

/// One database that somebody looked into.
struct Place<'a> {
    facts: &'a Facts,
    name: &'a Database,
    database: &'a DatabaseFacts,
    inside: &'a Inside,
}

impl Place<'_> {
    fn tell(
        &self,
        findings: &mut Vec<Finding>,
        kind: Kind,
        roles: &BTreeSet<RoleName>,
        (what, mends): (String, String),
    ) {
        let users = self.facts.users_among(self.database, roles);
        if !users.is_empty() {
            findings.push(Finding {
                kind,
                database: Some(self.name.clone()),
                users,
                what,
                mends,
            });
        }
    }
}

pub(super) fn find(facts: &Facts, wanted: &Wanted, findings: &mut Vec<Finding>) {
    for (name, database) in &facts.databases {
        let Some(inside) = &database.inside else {
            continue;
        };
        let place = Place {
            facts,
            name,
            database,
            inside,
        };
        dblink(&place, wanted, findings);
        foreign(&place, findings);
        languages(&place, findings);
        large_objects(&place, wanted, findings);
    }
}

/// Where the manifest asks for it, somebody has thought about it.
fn dblink(place: &Place<'_>, wanted: &Wanted, findings: &mut Vec<Finding>) {
    let declared = wanted.databases.get(place.name);
    let declared = declared.is_some_and(|database| database.extensions.contains_key("dblink"));
    let kind = match declared {
        true => Kind::DeclaredExtension,
        false => Kind::Dblink,
    };
    let what = "extension dblink: the server connects, for whoever may execute its functions, to any database it reaches";
    let mends = "DROP EXTENSION dblink; or REVOKE EXECUTE ON FUNCTION dblink_connect(text), … FROM PUBLIC;";
    place.tell(
        findings,
        kind,
        &place.inside.dblink,
        (what.to_owned(), mends.to_owned()),
    );
}

fn foreign(place: &Place<'_>, findings: &mut Vec<Finding>) {
    for (wrapper, roles) in &place.inside.wrappers {
        let what = format!(
            "USAGE on foreign data wrapper {wrapper:?}: it may name any server, and the database connects there"
        );
        let mends = format!(
            "REVOKE USAGE ON FOREIGN DATA WRAPPER {} FROM …;",
            identifier(wrapper)
        );
        place.tell(findings, Kind::ForeignData, roles, (what, mends));
    }
    for (name, server) in &place.inside.servers {
        for (roles, means) in [
            (stored(server), "logs in there with what a user mapping stores"),
            (
                server.usage.difference(&stored(server)).cloned().collect(),
                "may log in there with a password of its own",
            ),
        ] {
            let what = format!(
                "USAGE on foreign server {name:?} (wrapper {:?}): it {means}",
                server.wrapper
            );
            let mends = format!("REVOKE USAGE ON FOREIGN SERVER {} FROM …;", identifier(name));
            place.tell(findings, Kind::ForeignServer, &roles, (what, mends));
        }
    }
}

/// Who needs no password of its own, and can read what the mapping has.
fn stored(server: &ForeignServer) -> BTreeSet<RoleName> {
    match server.mapped_for_all {
        true => server.usage.clone(),
        false => server.usage.intersection(&server.mapped).cloned().collect(),
    }
}

fn languages(place: &Place<'_>, findings: &mut Vec<Finding>) {
    for (language, roles) in &place.inside.languages {
        let what = format!(
            "USAGE on the untrusted language {language:?}: functions in it do what the server's own process may do"
        );
        let mends = format!(
            "REVOKE USAGE ON LANGUAGE {} FROM PUBLIC; or drop it where nothing needs it",
            identifier(language)
        );
        place.tell(findings, Kind::Language, roles, (what, mends));
    }
}

fn large_objects(place: &Place<'_>, wanted: &Wanted, findings: &mut Vec<Finding>) {
    let entered = place.database.by_role.values().any(|rights| rights.connect);
    let counts = wanted.databases.contains_key(place.name) || entered;
    if place.inside.large_objects_open && counts {
        findings.push(Finding {
            kind: Kind::LargeObjects,
            database: Some(place.name.clone()),
            users: Vec::new(),
            what: "lo_compat_privileges is on: everybody reads and writes every large object".to_owned(),
            mends: "Set lo_compat_privileges to off, for the cluster and for the database".to_owned(),
        });
    }
}
