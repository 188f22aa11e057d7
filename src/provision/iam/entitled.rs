//! What each IAM principal is entitled to, merged over clusters.

use super::{Mistake, Site};
use crate::domain::name::DbUser;
use crate::provision::manifest::CrossAccount;
use crate::provision::manifest::arn::PrincipalArn;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entitled {
    /// ARNs of db users.
    pub connect: BTreeSet<String>,
    /// ARNs of roles.
    pub assume: BTreeSet<String>,
    /// The principal is a role that the manifest itself declares.
    pub made: Option<Made>,
}

/// A role that is to be made, for principals of other accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub trusts: BTreeSet<PrincipalArn>,
    pub external_id: String,
    pub max_session: Duration,
}

type All = BTreeMap<PrincipalArn, Entitled>;

/// At a moment: who might be a db user for a time only is not entitled to it any more.
pub fn gather(sites: &[Site<'_>], now: SystemTime, mistakes: &mut Vec<Mistake>) -> All {
    let mut all = All::new();
    for site in sites {
        let users = site.cluster.users.iter().filter(|(_, user)| user.rds_iam);
        let mut arns: BTreeMap<&DbUser, BTreeSet<String>> = BTreeMap::new();
        for (name, user) in users {
            match site.arns(name) {
                Ok(own) => {
                    arns.insert(name, own);
                }
                Err(mistake) => mistakes.push(mistake),
            }
            for principal in user.principals_at(now) {
                if site.judge(principal, mistakes) {
                    connect(&mut all, principal, arns.get(name));
                } else if !site.cluster.is_covered(name, principal) {
                    mistakes.push(foreign(site, principal));
                }
            }
        }
        for broker in &site.cluster.broker_principals {
            if site.judge(broker, mistakes) {
                arns.values().for_each(|own| connect(&mut all, broker, Some(own)));
            } else {
                mistakes.push(foreign(site, broker));
            }
        }
        for cross in &site.cluster.cross_account {
            cross_account(&mut all, site, cross, &arns, mistakes);
        }
    }
    all
}

fn connect(all: &mut All, principal: &PrincipalArn, arns: Option<&BTreeSet<String>>) {
    let entitled = all.entry(principal.clone()).or_default();
    entitled.connect.extend(arns.into_iter().flatten().cloned());
}

fn foreign(site: &Site<'_>, principal: &PrincipalArn) -> Mistake {
    Mistake::Foreign {
        cluster: site.name.clone(),
        principal: principal.clone(),
    }
}

fn cross_account(
    all: &mut All,
    site: &Site<'_>,
    cross: &CrossAccount,
    arns: &BTreeMap<&DbUser, BTreeSet<String>>,
    mistakes: &mut Vec<Mistake>,
) {
    let (partition, account) = (site.region.partition(), &site.account);
    let role = format!("arn:{partition}:iam::{account}:role/{}", cross.name);
    // The manifest's reader judged the name.
    let Ok(role) = PrincipalArn::new(&role) else {
        return;
    };
    let entitled = all.entry(role.clone()).or_default();
    let own = cross.users.iter().filter_map(|user| arns.get(user));
    entitled.connect.extend(own.flatten().cloned());
    let made = Made {
        trusts: cross.trusts.clone(),
        external_id: cross.external_id.clone(),
        max_session: cross.max_session,
    };
    if *entitled.made.get_or_insert_with(|| made.clone()) != made {
        mistakes.push(Mistake::TwoRoles { role: role.clone() });
    }
    for trusted in &cross.trusts {
        site.judge(trusted, mistakes);
        let trusted = all.entry(trusted.clone()).or_default();
        trusted.assume.insert(role.as_str().to_owned());
    }
}
