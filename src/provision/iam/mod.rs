//! The IAM policies that a manifest implies: who may `rds-db:connect` as whom, by exact ARNs; and the way to them from
//! what an account has. Pure, but for [`apply`].
//!
//! - [`site`]: a cluster with the three facts that its ARNs need
//! - [`entitled`]: what each principal is entitled to, over all clusters
//! - [`document`]: statements, packed into documents below IAM's limits
//! - [`bundle`]: one principal's documents, and how they come to it
//! - [`provisioner`]: what the provisioner itself may
//! - [`render`]: all of them as text
//! - [`found`]: what an account has ([`read`] from what IAM tells, [`details`] from what the AWS CLI prints), and what of it is dbproxy's [`own`]
//! - [`scope`]: what the manifest speaks for; what is dbproxy's own and speaks of something else is another manifest's
//! - [`rights`]: what a document says, however it is written
//! - [`difference`]: the [`step`]s from what was found to what is wanted; [`apply`] takes them

pub mod apply;
pub mod bundle;
pub mod details;
pub mod difference;
pub mod document;
pub mod entitled;
pub mod found;
mod mistake;
pub mod own;
pub mod provisioner;
mod read;
pub mod render;
pub mod rights;
pub mod scope;
pub mod site;
pub mod step;
#[cfg(test)]
mod tests;

pub use bundle::{Bundle, Holder, Placement};
pub use mistake::{Mistake, Mistakes};
pub use site::{Known, Site};

use super::manifest::arn::PrincipalArn;
use entitled::Entitled;
use scope::Scope;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// Everything that the clusters imply for IAM, and what is worth knowing about it.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    /// By principal.
    pub bundles: Vec<Bundle>,
    pub notes: Vec<String>,
    /// What they are about, and nothing beyond.
    pub scope: Scope,
}

/// What the principals of these clusters need at a moment, each of them once.
pub fn policies(sites: &[Site<'_>], now: SystemTime) -> Result<Policies, Mistakes> {
    let mut mistakes = Vec::new();
    let entitled: BTreeMap<PrincipalArn, Entitled> = entitled::gather(sites, now, &mut mistakes);
    let mut policies = Policies::default();
    for (principal, entitled) in entitled {
        match Bundle::new(principal, entitled) {
            Ok(bundle) => {
                policies.notes.extend(bundle.note());
                policies.bundles.push(bundle);
            }
            Err(mistake) => mistakes.push(mistake),
        }
    }
    policies.scope = Scope::new(sites, &policies.bundles);
    match mistakes.is_empty() {
        true => Ok(policies),
        false => Err(Mistakes(mistakes)),
    }
}
