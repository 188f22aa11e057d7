//! Keeps asking: sessions end when their permit does, and policies that change are asked again about all.

use crate::access::policy::set::{PolicyFile, Set, read};
use crate::access::policy::{Policy, Problems};
use crate::domain::reason::CloseReason;
use crate::error::Chain;
use crate::platform::task::aside;
use crate::traffic::relay::Wish;
use crate::traffic::session::Shared;
use crate::traffic::session::registry::is_still_permitted;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often sessions are looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// Every so many looks the policies' files are read: a change counts within five seconds.
const SWEEPS_BETWEEN_READS: u32 = 5;

/// Looks after sessions and policies until the end.
pub async fn run(shared: Arc<Shared>, dir: Option<PathBuf>, grace: Duration) {
    let mut ticks = interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Vec::new();
    let mut count = 0u32;
    loop {
        tokio::select! {
            () = shared.shutdown.end.cancelled() => return,
            _ = ticks.tick() => {}
        }
        shared.registry.sweep(shared.clock.now(), grace);
        count = count.wrapping_add(1);
        if let Some(dir) = dir
            .as_ref()
            .filter(|_| count.is_multiple_of(SWEEPS_BETWEEN_READS))
        {
            seen = reload(&shared, dir, seen, false).await.0;
        }
    }
}

/// Reads the policies again. A set with a mistake never replaces one in force; its mistakes are logged once. Returns
/// what was read, to be compared next time, and why the set is not in force.
pub async fn reload(
    shared: &Arc<Shared>,
    dir: &Path,
    seen: Vec<PolicyFile>,
    asked: bool,
) -> (Vec<PolicyFile>, Result<(), String>) {
    let (dir, policy) = (dir.to_owned(), shared.policy.clone());
    let again = seen.clone();
    let read = aside(move || read_anew(&policy, &dir, &seen, asked)).await;
    match read {
        Some(Read::Same) => (again, Ok(())),
        None => (again, Err("the policies could not be read".to_owned())),
        Some(Read::Broken(files, problems)) => {
            tracing::error!(error = %Chain(&problems), "policies were not reloaded, the present ones stay in force");
            shared.metrics.policy_reloaded(false);
            (files, Err(Chain(&problems).to_string()))
        }
        Some(Read::Replaced(files, count)) => {
            let ended = aside({
                let shared = shared.clone();
                move || review(&shared)
            });
            let ended = ended.await.unwrap_or_default();
            shared.metrics.policy_reloaded(true);
            tracing::info!(policies = count, sessions_ended = ended, "policies reloaded");
            (files, Ok(()))
        }
    }
}

enum Read {
    Same,
    Broken(Vec<PolicyFile>, Problems),
    Replaced(Vec<PolicyFile>, usize),
}

fn read_anew(policy: &Policy, dir: &Path, seen: &[PolicyFile], asked: bool) -> Read {
    let in_force = policy.set();
    let present = (*in_force).as_ref().map_or(&[][..], |set| set.files.as_slice());
    let files = match read(dir) {
        Ok(files) => files,
        // Not to be told every five seconds; a missing directory has no text to compare.
        Err(problems) if asked || !seen.is_empty() || present.is_empty() => {
            return Read::Broken(Vec::new(), problems);
        }
        Err(_) => return Read::Same,
    };
    // In force already (somebody may have asked for it meanwhile), or refused already.
    if !asked && (files == present || files == seen) {
        return Read::Same;
    }
    match Set::of(files.clone()) {
        Ok(set) => {
            let count = set.rules().len();
            policy.replace(set);
            Read::Replaced(files, count)
        }
        Err(problems) => Read::Broken(files, problems),
    }
}

/// Asks about every live session again; those that are not permitted any more end. How many do.
fn review(shared: &Shared) -> usize {
    let now = shared.clock.now();
    let mut ended = 0usize;
    for facts in shared.registry.all() {
        if !is_still_permitted(&shared.policy, &facts.permit, now) {
            ended = ended.saturating_add(1);
            let wish = Wish::EndWhenIdle(CloseReason::PolicyChanged);
            shared.registry.end(facts.session, wish, now);
        }
    }
    ended
}
