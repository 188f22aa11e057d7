//! What is odd about the policies in force, in the log: most people never run `policy check`.

use crate::access::catalog::Catalog;
use crate::access::policy::{Policy, lint};

/// How many are told; `policy check` tells all.
const TOLD_MAX: usize = 20;

/// Tells what is odd about the set in force. `catalog` has all targets of the configuration, also those that this
/// dbproxy does not serve: a set may be that of several.
pub fn tell(policy: &Policy, catalog: &Catalog) {
    let set = policy.set();
    let Some(set) = set.as_ref() else { return };
    let unknown = lint::unknown_names(set, &catalog.targets(), policy.groups());
    let all = set.warnings.iter().chain(&unknown);
    for problem in all.clone().take(TOLD_MAX) {
        let line = problem.place.as_ref().map_or(0, |place| place.line);
        tracing::warn!(
            file = %problem.file.display(),
            line,
            help = problem.help.as_deref().unwrap_or_default(),
            "policies: {}",
            problem.message
        );
    }
    let untold = all.count().saturating_sub(TOLD_MAX);
    if untold > 0 {
        tracing::warn!(
            untold,
            "policies: there are more warnings; `dbproxy policy check` tells all"
        );
    }
}
