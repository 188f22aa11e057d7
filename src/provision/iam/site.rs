//! A cluster with the three facts that ARNs of its db users need.

use super::Mistake;
use crate::domain::endpoint::Region;
use crate::domain::name::{DbUser, TargetName};
use crate::domain::target::Target;
use crate::platform::aws::policy_document::dbuser_arn;
use crate::provision::manifest::Cluster;
use crate::provision::manifest::arn::{AccountId, PrincipalArn};
use std::collections::BTreeSet;

/// What the configuration's target of the same name knows.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub account: Option<String>,
    pub region: Option<Region>,
    pub resource_id: Option<String>,
}

impl Known {
    /// Of a broker nothing is known: it is not the database.
    pub fn of(target: &Target) -> Option<Self> {
        target.credential.broker().is_none().then(|| Self {
            account: target.account_id.clone(),
            region: Some(target.region.clone()),
            resource_id: target.resource_id.clone(),
        })
    }
}

#[derive(Debug, Clone)]
pub struct Site<'m> {
    pub name: &'m TargetName,
    pub cluster: &'m Cluster,
    pub account: AccountId,
    pub region: Region,
    pub resource_ids: BTreeSet<String>,
}

impl<'m> Site<'m> {
    /// The manifest's own facts come first.
    pub fn new(
        name: &'m TargetName,
        cluster: &'m Cluster,
        known: &Known,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Self> {
        let mut resource_ids = cluster.resource_ids.clone();
        if resource_ids.is_empty() {
            resource_ids.extend(known.resource_id.clone());
        }
        let region = cluster.region.clone().or_else(|| known.region.clone());
        let account = cluster.account.clone().or_else(|| {
            let account = known.account.as_deref()?;
            let read = AccountId::new(account);
            if read.is_none() {
                mistakes.push(Mistake::Account {
                    cluster: name.clone(),
                    account: account.to_owned(),
                });
            }
            read
        });
        for (what, is_missing) in [
            ("account_id", account.is_none() && known.account.is_none()),
            ("region", region.is_none()),
            ("resource_ids", resource_ids.is_empty()),
        ] {
            if is_missing {
                let cluster = name.clone();
                mistakes.push(Mistake::Missing { cluster, what });
            }
        }
        (!resource_ids.is_empty()).then_some(())?;
        Some(Self {
            name,
            cluster,
            account: account?,
            region: region?,
            resource_ids,
        })
    }

    /// Whether the manifest alone has what a site needs.
    pub fn is_complete(cluster: &Cluster) -> bool {
        cluster.account.is_some() && cluster.region.is_some() && !cluster.resource_ids.is_empty()
    }

    /// The ARNs of a db user, one a resource id; or why it has none that mean it alone.
    pub fn arns(&self, user: &DbUser) -> Result<BTreeSet<String>, Mistake> {
        let arn = |id: &String| dbuser_arn(&self.region, self.account.as_str(), id, user);
        let arns: BTreeSet<String> = self.resource_ids.iter().map(arn).collect();
        let (cluster, user) = (self.name.clone(), user.clone());
        if arns.iter().any(|arn| arn.contains(['*', '?', '$'])) {
            return Err(Mistake::Wild { cluster, user });
        }
        // IAM API Reference, `PutRolePolicy`: the alphabet of a document.
        let is_unwritable = |c: char| c.is_control() || c > '\u{ff}';
        if arns.iter().any(|arn| arn.contains(is_unwritable)) {
            return Err(Mistake::Unwritable { cluster, user });
        }
        Ok(arns)
    }

    /// Whether a principal is of this partition; and of this account.
    pub fn judge(&self, principal: &PrincipalArn, mistakes: &mut Vec<Mistake>) -> bool {
        let partition = self.region.partition();
        if partition != principal.partition() {
            mistakes.push(Mistake::Partition {
                cluster: self.name.clone(),
                principal: principal.clone(),
                partition,
            });
        }
        *principal.account() == self.account
    }
}
