//! Where the access manifest, the database and IAM have moved apart: a list of findings, each with what mends it. Pure.
//!
//! - [`database`]: the steps of a [`plan`](super::plan) as findings, and what no step mends ([`steps`], [`roles`], [`logins`],
//!   [`others`], [`provisioner`])
//! - [`iam`]: what policies let whom be, against what the manifest lets whom be
//! - [`usage`]: users whom the audit log has not seen
//!
//! Nothing is read here. What was not looked at is not judged: a finding rests on what both sides say.

mod finding;
pub mod iam;
mod kind;
mod logins;
mod others;
mod provisioner;
mod roles;
pub(super) mod statement;
mod steps;
#[cfg(test)]
mod tests;
pub mod usage;

pub use finding::{Finding, Mend};
pub use kind::{Kind, Plane, Severity};

use super::inspected::Inspected;
use super::manifest::Cluster;
use super::plan::Obstacle;
use super::step::Plan;
use super::wanted::Wanted;
use crate::domain::name::TargetName;

/// One cluster as the manifest wants it and as it was found.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub name: &'a TargetName,
    pub cluster: &'a Cluster,
    pub wanted: &'a Wanted,
    pub inspected: &'a Inspected,
    /// The way from the one to the other; its steps are incomplete where there are obstacles.
    pub plan: &'a Plan,
    pub obstacles: &'a [Obstacle],
}

/// What the catalogs of a cluster say that the manifest does not, and the other way round.
pub fn database(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = steps::findings(facts);
    findings.extend(roles::findings(facts));
    findings.extend(others::findings(facts));
    findings.extend(provisioner::findings(facts));
    finding::sorted(findings)
}
