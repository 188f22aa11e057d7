//! The databases dbproxy knows, each by its own short name. A client cannot add one.

use crate::domain::name::TargetName;
use crate::domain::target::Target;
use std::sync::Arc;

/// All targets, in the order they were configured.
#[derive(Debug, Clone, Default)]
pub struct Catalog(Vec<Arc<Target>>);

impl Catalog {
    pub fn new(targets: impl IntoIterator<Item = Target>) -> Self {
        Self(targets.into_iter().map(Arc::new).collect())
    }

    pub fn target(&self, name: &TargetName) -> Option<&Arc<Target>> {
        self.0.iter().find(|target| target.name == *name)
    }

    pub fn targets(&self) -> &[Arc<Target>] {
        &self.0
    }
}
