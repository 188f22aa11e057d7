//! What is on objects of others in the schemas of a managed database.

use super::{Site, TooMuch, of_public};
use crate::provision::drift::finding::{Finding, Mend};
use crate::provision::inspected::{InspectedObject, InspectedSchema};
use crate::provision::name::SchemaName;
use crate::provision::plan::difference::revoke;
use crate::provision::plan::text::{object, one_of, some};
use crate::provision::wanted::{Grants, Kind, WantedSchema};
use std::collections::BTreeMap;

/// Names in one statement.
const NAMES_MAX: usize = 100;

impl Site<'_> {
    pub(super) fn objects(
        &self,
        schema: &SchemaName,
        listed: Option<&WantedSchema>,
        found: &InspectedSchema,
        findings: &mut Vec<Finding>,
    ) {
        let mut lists: BTreeMap<_, Vec<&str>> = BTreeMap::new();
        let of_others = found.objects.iter();
        let of_others = of_others.filter(|(_, object)| !self.is_planned(listed, found, &object.owner));
        for ((kind, name), InspectedObject { owner, grants }) in of_others {
            let wanted = wanted_on(listed, *kind, name);
            for (grantee, what) in self.extra(&wanted, grants, owner, of_public(listed.is_some(), *kind)) {
                lists.entry((*kind, what, grantee, owner)).or_default().push(name);
            }
        }
        for ((kind, what, grantee, owner), names) in lists {
            let known = names.iter().filter_map(|name| object(schema, kind, name));
            let known: Vec<String> = known.collect();
            let statements = known.chunks(NAMES_MAX).map(|names| {
                let on = format!("{} {}", one_of(kind), names.join(", "));
                format!("{};", revoke(&what, &on, &grantee))
            });
            let mend = match known.is_empty() {
                true => Mend::Edit(format!("let {:?} take it back", owner.as_str())),
                false => Mend::Sql(statements.collect::<Vec<_>>().join(" ")),
            };
            let kind = one_of(kind).to_lowercase();
            findings.push(self.told(TooMuch {
                what: &what,
                grantee: &grantee,
                on: format!("{kind} {} in schema {:?}", some(names), schema.as_str()),
                because: format!("it belongs to {:?}", owner.as_str()),
                mend,
            }));
        }
    }
}

fn wanted_on(listed: Option<&WantedSchema>, kind: Kind, name: &str) -> Grants {
    let mut grants = Grants::new();
    if let Some(schema) = listed {
        let on_one = schema.on_one.get(&(kind, name.to_owned()));
        let lists = schema.on_all.get(&kind).into_iter().chain(on_one);
        for (grantee, privileges) in lists.flatten() {
            grants.entry(grantee.clone()).or_default().extend(privileges);
        }
    }
    grants
}
