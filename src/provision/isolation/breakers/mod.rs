//! What breaks the isolation of tenants, each with what mends it.
//!
//! - [`reached`]: cells of the matrix that are not as the manifest says
//! - [`roles`], [`memberships`]: powers of users and of what they can become
//! - [`databases`]: what everybody may
//! - [`ways`]: ways out of a database
//! - [`definers`]: functions that run as somebody else
//! - [`notes`]: what is no breach, and worth knowing

mod databases;
mod definers;
mod memberships;
mod notes;
mod reached;
mod roles;
mod ways;

use super::facts::Facts;
use super::verdict::{Cells, Finding};
use crate::provision::name::RoleName;
use crate::provision::wanted::Wanted;

pub fn all(facts: &Facts, wanted: &Wanted, cells: &Cells) -> Vec<Finding> {
    let mut findings = Vec::new();
    reached::find(facts, wanted, cells, &mut findings);
    databases::find(facts, wanted, &mut findings);
    roles::find(facts, wanted, &mut findings);
    memberships::find(facts, wanted, &mut findings);
    ways::find(facts, wanted, &mut findings);
    definers::find(facts, &mut findings);
    notes::find(facts, wanted, &mut findings);
    findings
}

/// A few by name.
pub fn some<'a>(names: impl IntoIterator<Item = &'a RoleName>) -> String {
    let names: Vec<String> = names
        .into_iter()
        .map(|name| format!("{:?}", name.as_str()))
        .collect();
    match names.len().checked_sub(NAMED) {
        Some(more @ 1..) => {
            let few: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
            format!("{} and {more} more", few.join(", "))
        }
        _ => names.join(", "),
    }
}

const NAMED: usize = 6;
