//! The databases dbproxy knows, each by its own short name. A client cannot add one; what is known of one may change while
//! dbproxy runs, because the access manifest is read again.

use crate::domain::name::TargetName;
use crate::domain::target::Target;
use arc_swap::ArcSwap;
use std::sync::Arc;

/// One database, and what is known of it now.
#[derive(Debug)]
pub struct Entry {
    name: TargetName,
    current: ArcSwap<Target>,
}

impl Entry {
    pub fn new(target: Target) -> Self {
        Self {
            name: target.name.clone(),
            current: ArcSwap::from_pointee(target),
        }
    }

    pub fn name(&self) -> &TargetName {
        &self.name
    }

    pub fn now(&self) -> Arc<Target> {
        self.current.load_full()
    }
}

/// All targets, in the order they were configured.
#[derive(Debug, Default)]
pub struct Catalog(Vec<Arc<Entry>>);

impl Catalog {
    pub fn new(targets: impl IntoIterator<Item = Target>) -> Self {
        let entries = targets.into_iter().map(|target| Arc::new(Entry::new(target)));
        Self(entries.collect())
    }

    pub fn entry(&self, name: &TargetName) -> Option<&Arc<Entry>> {
        self.0.iter().find(|entry| entry.name == *name)
    }

    /// Those of these names that lead to the cluster of the access manifest.
    pub fn that_lead_to<'a>(
        &'a self,
        cluster: &'a TargetName,
        names: &'a [TargetName],
    ) -> impl Iterator<Item = Arc<Target>> {
        let entries = self.0.iter().filter(|entry| names.contains(&entry.name));
        let targets = entries.map(|entry| entry.now());
        targets.filter(|target| target.cluster.as_ref() == Some(cluster))
    }

    pub fn targets(&self) -> Vec<Arc<Target>> {
        self.0.iter().map(|entry| entry.now()).collect()
    }

    /// Those that are named alike are replaced; there are no others to come, and none go.
    pub fn replace(&self, targets: impl IntoIterator<Item = Target>) {
        for target in targets {
            if let Some(entry) = self.entry(&target.name) {
                entry.current.store(Arc::new(target));
            }
        }
    }
}
