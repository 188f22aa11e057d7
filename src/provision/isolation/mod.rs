//! Who can reach what in a cluster, and what breaks the walls between its tenants.
//!
//! - [`catalogs`]: the catalogs of every database, read into [`facts`]; the server's own functions say who has what
//! - [`login`]: what the server does when a db user logs in
//! - [`judge`]: facts in, [`verdict`] out; pure. [`matrix`] is about who reaches what, [`breakers`] about why that is more
//!   than it should be
//! - [`expected`]: what the manifest says of the same

pub mod breakers;
pub mod catalogs;
pub mod expected;
pub mod facts;
pub mod login;
pub mod matrix;
pub mod verdict;

#[cfg(test)]
mod tests;

use super::wanted::Wanted;
use facts::Facts;
use login::Logins;
use verdict::{Verdict, Weight};

/// Facts in, verdict out.
pub fn judge(facts: &Facts, wanted: &Wanted, logins: &Logins) -> Verdict {
    let cells = matrix::cells(facts, wanted, logins);
    let mut findings = breakers::all(facts, wanted, &cells);
    // What breaks isolation comes first; else in the order in which they were looked for.
    findings.sort_by_key(|finding| finding.kind.weight() != Weight::Breaks);
    Verdict {
        users: facts.users.iter().cloned().collect(),
        databases: matrix::columns(facts, wanted),
        cells,
        findings,
    }
}
