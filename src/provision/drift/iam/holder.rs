//! What one principal holds of policies, its groups' included, as far as it is about one action.

use super::rule::{May, Rule, may, rules};
use crate::provision::iam::found::{Found, FoundHeld, FoundPrincipal};

/// A rule, and the policy it stands in, for people.
pub type Placed = (String, Rule);

pub struct Holder<'f> {
    pub arn: &'f str,
    /// Those about `rds-db:connect`.
    pub connect: Vec<Placed>,
}

pub fn holders(found: &Found) -> Vec<Holder<'_>> {
    let principals = found.principals.iter();
    let all = principals.map(|(arn, principal)| Holder {
        arn,
        connect: about(found, principal, "rds-db:connect"),
    });
    all.collect()
}

/// The rules about an action, whatever they say of it.
pub fn about(found: &Found, principal: &FoundPrincipal, action: &str) -> Vec<Placed> {
    let mut placed = Vec::new();
    collect(found, &principal.held, "", action, &mut placed);
    for arn in &principal.groups {
        if let Some(held) = found.groups.get(arn) {
            let name = arn.rsplit('/').next().unwrap_or(arn);
            collect(found, held, &format!(" of group {name}"), action, &mut placed);
        }
    }
    placed
}

fn collect(found: &Found, held: &FoundHeld, of: &str, action: &str, placed: &mut Vec<Placed>) {
    let inline = held.inline.iter();
    let inline = inline.map(|(name, document)| (format!("inline policy {name}{of}"), document));
    let attached = held.attached.iter().filter_map(|arn| {
        let managed = found.managed.get(arn)?;
        Some((format!("managed policy {}{of}", managed.name), &managed.document))
    });
    for (place, document) in inline.chain(attached) {
        let rules = rules(document).filter(|rule| rule.is_about(action));
        placed.extend(rules.map(|rule| (place.clone(), rule)));
    }
}

impl Holder<'_> {
    pub fn may_connect(&self, arn: &str) -> May {
        may(self.connect.iter().map(|(_, rule)| rule), arn)
    }

    /// `role orders-app`
    pub fn shown(&self) -> String {
        shown(self.arn)
    }
}

/// `arn:aws:iam::111122223333:role/a/b` -> `role b`: within its account the name says who it is.
pub fn shown(arn: &str) -> String {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or(arn);
    match resource.split_once('/') {
        Some((kind, path)) => format!("{kind} {}", path.rsplit('/').next().unwrap_or(path)),
        None => resource.to_owned(),
    }
}
