//! What the operating system knows of this process.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, getuid, set_dumpable_behavior, setrlimit,
};

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

/// Raises the limit of open files to what the system allows this process; returns it. A session takes
/// two.
pub fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let in_force = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    in_force.unwrap_or(u64::MAX)
}
