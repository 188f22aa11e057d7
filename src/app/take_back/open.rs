//! The ways into a cluster, as its provisioner.

use super::super::provision::ClusterDoors;
use super::{Failed, Provisioning, TakeBack};
use crate::domain::name::TargetName;
use crate::domain::target::Target;
use crate::error::Chain;
use crate::provision::inspected::Inspected;
use crate::provision::manifest::{Cluster, Manifest};
use std::sync::Arc;

/// One cluster, opened and looked at.
pub struct Open {
    /// Through which it is changed.
    pub home: Provisioning,
    pub inspected: Inspected,
    /// Other servers of it, where there are sessions to end.
    others: Vec<Provisioning>,
}

impl Open {
    pub fn ways(&self) -> impl Iterator<Item = &Provisioning> {
        [&self.home].into_iter().chain(&self.others)
    }
}

impl TakeBack {
    pub(super) async fn open(&self, name: &TargetName, manifest: &Manifest) -> Result<Open, Failed> {
        let gone = || Failed {
            why: "the target is gone".to_owned(),
            busy: false,
        };
        let cluster = manifest.clusters.get(name).ok_or_else(gone)?;
        let mut targets: Vec<_> = self.shared.catalog.that_lead_to(name, &self.served).collect();
        // The one of its name is the one that `dbproxy apply` goes through.
        targets.sort_by_key(|target| target.name != *name);
        let mut known = Vec::new();
        let mut ways = Vec::new();
        for target in targets {
            if !known.contains(&target.dial) {
                known.push(target.dial.clone());
                ways.push(self.way(&target, cluster)?);
            }
        }
        let mut ways = ways.into_iter();
        let home = ways.next().ok_or_else(gone)?;
        let inspected = home.look().await.map_err(|error| failed(&error))?;
        Ok(Open {
            home,
            inspected,
            others: ways.collect(),
        })
    }

    fn way(&self, target: &Arc<Target>, cluster: &Cluster) -> Result<Provisioning, Failed> {
        let credentials = self.shared.credentials.clone();
        let provisioner = cluster.provisioner.clone();
        let doors = ClusterDoors::with(credentials, self.dial, &self.background, target, provisioner);
        let doors = doors.map_err(|error| failed(&error))?;
        Ok(Provisioning::by(doors, cluster.clone()))
    }
}

fn failed(error: &dyn std::error::Error) -> Failed {
    Failed {
        why: Chain(error).to_string(),
        busy: false,
    }
}
