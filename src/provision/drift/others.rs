//! What others let PUBLIC and managed roles do, which only they can take back: a plan has a note of it, and no step.

mod given;
mod objects;

use super::Facts;
use super::finding::{Finding, Mend};
use super::kind::Kind as DriftKind;
use crate::provision::inspected::{Contents, InspectedDatabase, InspectedSchema};
use crate::provision::name::{Database, RoleName, SchemaName};
use crate::provision::plan::difference::revoke;
use crate::provision::plan::inside::{DATABASE_OWNER, PUBLIC_SCHEMA};
use crate::provision::plan::text::privileges;
use crate::provision::sql::identifier;
use crate::provision::wanted::{Grantee, Grants, Kind, Privilege, WantedDatabase, WantedSchema};
use std::collections::BTreeSet;

pub fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let statements = facts.plan.steps.iter().flat_map(|step| {
        let place = step.database.as_ref();
        step.statements
            .iter()
            .map(move |statement| (place, statement.as_str()))
    });
    let statements: BTreeSet<_> = statements.collect();
    let mut findings = Vec::new();
    for (name, database) in &facts.inspected.databases {
        let site = Site {
            facts,
            statements: &statements,
            name,
            owner: &database.owner,
            wanted: facts.wanted.databases.get(name),
        };
        match (site.wanted, &database.contents) {
            (Some(wanted), Some(contents)) => site.inside(wanted, contents, &mut findings),
            (Some(_), None) => {}
            (None, _) => site.database(database, &mut findings),
        }
    }
    findings
}

/// One database.
struct Site<'a> {
    facts: &'a Facts<'a>,
    statements: &'a BTreeSet<(Option<&'a Database>, &'a str)>,
    name: &'a Database,
    owner: &'a RoleName,
    wanted: Option<&'a WantedDatabase>,
}

/// Who has what of it too much, and of whom.
struct TooMuch<'a> {
    what: &'a BTreeSet<Privilege>,
    grantee: &'a Grantee,
    /// `TABLE "s"."t"`, for people.
    on: String,
    because: String,
    mend: Mend,
}

impl Site<'_> {
    /// Not of the manifest: managed roles have nothing there.
    fn database(&self, found: &InspectedDatabase, findings: &mut Vec<Finding>) {
        let extra = self.extra(&Grants::new(), &found.grants, &found.owner, &[]);
        self.of_thing(
            None,
            &format!("DATABASE {}", identifier(self.name)),
            &found.owner,
            &extra,
            findings,
        );
    }

    fn inside(&self, wanted: &WantedDatabase, contents: &Contents, findings: &mut Vec<Finding>) {
        for (name, found) in &contents.schemas {
            let listed = wanted.schemas.get(name);
            self.schema(name, listed, found, findings);
            self.objects(name, listed, found, findings);
        }
        self.given(wanted, contents, findings);
    }

    /// Those of the manifest have its owners, but for `public`.
    fn schema(
        &self,
        name: &SchemaName,
        listed: Option<&WantedSchema>,
        found: &InspectedSchema,
        findings: &mut Vec<Finding>,
    ) {
        let is_public = name.as_str() == PUBLIC_SCHEMA;
        if listed.is_some() && !is_public {
            return;
        }
        let mut wanted = listed.map(|schema| schema.grants.clone()).unwrap_or_default();
        if let Some(schema) = listed {
            let both = [Privilege::Usage, Privilege::Create];
            let owner = Grantee::Role(schema.owner.clone());
            wanted.entry(owner).or_default().extend(both);
        }
        let of_public: &[Privilege] = if is_public { &[Privilege::Create] } else { &[] };
        let owner = self.owner_of(found);
        let extra = self.extra(&wanted, &found.grants, owner, of_public);
        self.of_thing(
            Some(self.name),
            &format!("SCHEMA {}", identifier(name)),
            owner,
            &extra,
            findings,
        );
    }

    /// What a step takes is left out.
    fn of_thing(
        &self,
        place: Option<&Database>,
        on: &str,
        owner: &RoleName,
        extra: &Grants,
        findings: &mut Vec<Finding>,
    ) {
        for (grantee, what) in extra {
            let statement = revoke(what, on, grantee);
            if !self.statements.contains(&(place, statement.as_str())) {
                findings.push(self.told(TooMuch {
                    what,
                    grantee,
                    on: on.to_owned(),
                    because: format!("it belongs to {:?}", owner.as_str()),
                    mend: Mend::Sql(format!("{statement};")),
                }));
            }
        }
    }

    /// A plan has steps for what this role owns, or will create, in a schema.
    fn is_planned(&self, listed: Option<&WantedSchema>, found: &InspectedSchema, owner: &RoleName) -> bool {
        let of_schema = self.owner_of(found);
        let is_ours = *of_schema == self.facts.inspected.server.provisioner
            || self.is_managed(of_schema)
            || self.wanted.is_some_and(|wanted| wanted.owner == *of_schema);
        let planned = match listed {
            Some(schema) => Some(&schema.owner),
            None => is_ours.then_some(of_schema),
        };
        planned == Some(owner) || self.is_leaving(owner)
    }

    fn is_managed(&self, role: &RoleName) -> bool {
        self.facts.wanted.roles.contains_key(role) || self.is_leaving(role)
    }

    /// Its end is a finding of its own.
    fn is_leaving(&self, role: &RoleName) -> bool {
        let is_marked = self
            .facts
            .inspected
            .roles
            .get(role)
            .is_some_and(|role| role.marked);
        is_marked && !self.facts.wanted.roles.contains_key(role)
    }

    fn owner_of<'f>(&'f self, schema: &'f InspectedSchema) -> &'f RoleName {
        match (schema.owner.as_str(), self.wanted) {
            (DATABASE_OWNER, Some(wanted)) => &wanted.owner,
            (DATABASE_OWNER, None) => self.owner,
            _ => &schema.owner,
        }
    }

    /// What managed roles and PUBLIC have and should not; of PUBLIC only these.
    fn extra(&self, wanted: &Grants, found: &Grants, owner: &RoleName, public: &[Privilege]) -> Grants {
        let extra = found.iter().filter_map(|(grantee, found)| {
            let wanted = wanted.get(grantee);
            let counts = |privilege: &&Privilege| match grantee {
                Grantee::Public => public.contains(privilege),
                Grantee::Role(role) => role != owner && self.facts.wanted.roles.contains_key(role),
            };
            let extra = found.iter().filter(counts).copied();
            let extra = extra.filter(|privilege| wanted.is_none_or(|wanted| !wanted.contains(privilege)));
            let extra: BTreeSet<Privilege> = extra.collect();
            (!extra.is_empty()).then(|| (grantee.clone(), extra))
        });
        extra.collect()
    }

    fn told(&self, found: TooMuch<'_>) -> Finding {
        let (what, on, because) = (privileges(found.what), found.on, found.because);
        let (kind, subject, what) = match found.grantee {
            Grantee::Public => {
                let what = format!(
                    "everybody has {what} on {on}, and the manifest gives it to nobody but its roles"
                );
                (DriftKind::PublicPrivilege, "PUBLIC".to_owned(), what)
            }
            Grantee::Role(role) => {
                let what = format!("has {what} on {on}, which the manifest does not give it");
                (DriftKind::ExtraPrivilege, self.subject(role), what)
            }
        };
        Finding {
            kind,
            cluster: Some(self.facts.name.clone()),
            database: Some(self.name.to_string()),
            subject,
            what: format!("{what}; {because}, who alone can take it back"),
            mend: found.mend,
        }
    }

    fn subject(&self, role: &RoleName) -> String {
        let login = self.facts.wanted.roles.get(role).is_some_and(|role| role.login);
        format!("db {} {:?}", if login { "user" } else { "role" }, role.as_str())
    }
}

/// Every function comes with EXECUTE for PUBLIC, and PUBLIC is left alone where the manifest says nothing.
fn of_public(listed: bool, kind: Kind) -> &'static [Privilege] {
    match listed && kind != Kind::Function {
        true => &Privilege::ALL,
        false => &[],
    }
}
