//! What others will let PUBLIC and managed roles do with what they create, and what was given on.

use super::{Site, TooMuch, of_public};
use crate::provision::drift::finding::{Finding, Mend};
use crate::provision::drift::kind::Kind as DriftKind;
use crate::provision::inspected::Contents;
use crate::provision::name::{RoleName, SchemaName};
use crate::provision::plan::text::{all_of, grantee as quoted, privileges};
use crate::provision::sql::identifier;
use crate::provision::wanted::{Grantee, Grants, Kind, WantedDatabase};

impl Site<'_> {
    pub(super) fn given(&self, wanted: &WantedDatabase, contents: &Contents, findings: &mut Vec<Finding>) {
        for (name, found) in &contents.schemas {
            let listed = wanted.schemas.get(name);
            for ((creator, kind), grants) in &found.defaults {
                if self.is_planned(listed, found, creator) {
                    continue;
                }
                let wanted = listed.and_then(|schema| schema.on_all.get(kind));
                let wanted = wanted.cloned().unwrap_or_default();
                let extra = self.extra(&wanted, grants, creator, of_public(listed.is_some(), *kind));
                self.to_come(Some(name), creator, *kind, &extra, findings);
            }
        }
        let owners = wanted.owners();
        for ((creator, kind), grants) in &contents.defaults {
            if !owners.contains(creator) && !self.is_leaving(creator) {
                let extra = self.extra(&Grants::new(), grants, creator, of_public(true, *kind));
                self.to_come(None, creator, *kind, &extra, findings);
            }
        }
        for (giver, to) in &contents.given_on {
            findings.extend(self.given_on(giver, to));
        }
    }

    fn to_come(
        &self,
        schema: Option<&SchemaName>,
        creator: &RoleName,
        kind: Kind,
        extra: &Grants,
        findings: &mut Vec<Finding>,
    ) {
        let objects = all_of(kind);
        let (place, shown) = match schema {
            Some(schema) => (
                format!(" IN SCHEMA {}", identifier(schema)),
                format!("schema {:?}", schema.as_str()),
            ),
            None => (String::new(), "any schema".to_owned()),
        };
        for (grantee, what) in extra {
            let statement = format!(
                "ALTER DEFAULT PRIVILEGES FOR ROLE {}{place} REVOKE {} ON {objects} FROM {};",
                identifier(creator),
                privileges(what),
                quoted(grantee)
            );
            let creator = creator.as_str();
            findings.push(self.told(TooMuch {
                what,
                grantee,
                on: format!(
                    "what will be created: {} of {creator:?} in {shown}",
                    objects.to_lowercase()
                ),
                because: format!("it is of the default privileges of {creator:?}"),
                mend: Mend::Sql(statement),
            }));
        }
    }

    /// By a grant option: what an owner revokes does not touch it.
    fn given_on(&self, giver: &RoleName, to: &Grantee) -> Option<Finding> {
        let (kind, subject) = match to {
            Grantee::Public => (DriftKind::PublicPrivilege, "PUBLIC".to_owned()),
            Grantee::Role(role) if self.facts.wanted.roles.contains_key(role) => {
                (DriftKind::ExtraPrivilege, self.subject(role))
            }
            Grantee::Role(_) => return None,
        };
        let giver = giver.as_str();
        Some(Finding {
            kind,
            cluster: Some(self.facts.name.clone()),
            database: Some(self.name.to_string()),
            subject,
            what: format!("has privileges that {giver:?} gave on by a grant option, and alone can take back"),
            mend: Mend::Edit(format!(
                "let an administrator revoke them as {giver:?} (SET ROLE), and its grant option with them"
            )),
        })
    }
}
