//! What the operating system knows of this process.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getuid, set_dumpable_behavior, setrlimit};

/// The user id dbproxy runs as.
pub fn own_uid() -> u32 {
    getuid().as_raw()
}

/// Keeps tokens out of core files, and the memory out of reach of other processes of the same user
/// (`PR_SET_DUMPABLE`). A system that refuses has its own reasons; that is told, not fatal.
pub fn forbid_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let limited = setrlimit(Resource::Core, none);
    let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    if let Err(error) = limited.and(hidden) {
        tracing::warn!(%error, "core dumps cannot be forbidden");
    }
}
