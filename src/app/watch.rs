//! Keeps asking: sessions end when their permit does, and policies that change are asked again about all.

use super::book::{self, Book};
use super::oddities;
use super::reload::record;
use super::turn::Turn;
use crate::access::audit::By;
use crate::access::policy::Policy;
use crate::access::policy::set::{PolicyFile, Set, read};
use crate::admin::Reloaded;
use crate::config::PolicySetting;
use crate::error::Chain;
use crate::platform::task::aside;
use crate::traffic::relay::Wish;
use crate::traffic::session::Shared;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often sessions are looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// How often the files are read.
const READ: Duration = Duration::from_secs(5);
const TOO_LONG: &str = "the policies could not be read: it takes too long";

/// What was read last, to notice what is new.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    files: Vec<PolicyFile>,
    /// Why there is nothing to compare with: told once, not every five seconds.
    unreadable: Option<String>,
}

/// Where the policies are.
#[derive(Debug, Clone)]
pub struct Place {
    pub dir: PathBuf,
    turn: Turn,
}

impl Place {
    /// Nowhere: the built-in rule is in force.
    pub fn of(setting: &PolicySetting) -> Option<Self> {
        Some(Self {
            dir: setting.dir.clone()?,
            turn: Turn::default(),
        })
    }
}

/// Ends sessions whose time is over, until the end. Nothing that can be slow stands in its way.
pub async fn sweep(shared: Arc<Shared>, grace: Duration) {
    let mut ticks = every(SWEEP);
    loop {
        tokio::select! {
            () = shared.shutdown.end.cancelled() => return,
            _ = ticks.tick() => {}
        }
        shared.registry.sweep(shared.clock.now(), grace);
        shared.audit.try_again();
    }
}

/// Looks after policies and the access manifest until the end.
pub async fn files(shared: Arc<Shared>, place: Option<Place>, book: Option<Arc<Book>>) {
    let mut ticks = every(READ);
    // They have been read a moment ago.
    ticks.reset();
    let (mut seen, mut refused) = (Seen::default(), book::Refused::default());
    loop {
        tokio::select! {
            () = shared.shutdown.end.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Some(book) = &book {
            refused = book::notice(&shared, book, refused).await;
        }
        if let Some(place) = &place {
            seen = notice(&shared, place, seen).await;
        }
    }
}

fn every(time: Duration) -> Interval {
    let mut ticks = interval(time);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Reads the policies again, and puts on record what has become of it if they have changed.
async fn notice(shared: &Arc<Shared>, place: &Place, seen: Seen) -> Seen {
    let (seen, outcome) = reload(shared, place, seen, false).await;
    if let Some(outcome) = outcome {
        let ending = *outcome.as_ref().unwrap_or(&0);
        let mut reloaded = Reloaded::default();
        reloaded.note("policy", outcome.map(|_| ()));
        record(shared, &By::FileChange, &reloaded, ending).await;
    }
    seen
}

/// Reads the policies again. A set with a mistake never replaces one in force; its mistakes are logged once. Returns
/// what was read, to be compared next time, and, if it is new, how many sessions end or why the set is not in force.
pub async fn reload(
    shared: &Arc<Shared>,
    place: &Place,
    seen: Seen,
    asked: bool,
) -> (Seen, Option<Result<usize, String>>) {
    match read_anew(&shared.policy, place, seen.clone(), asked).await {
        Some(Read::Same(seen)) => (seen, None),
        None => (seen, Some(Err("the policies could not be read".to_owned()))),
        Some(Read::Broken(seen, why)) => {
            tracing::error!(error = %why, "policies were not reloaded, the present ones stay in force");
            shared.metrics.policy_reloaded(false);
            (seen, Some(Err(why)))
        }
        Some(Read::Replaced(seen, count)) => {
            let ended = aside({
                let shared = shared.clone();
                move || review(&shared)
            });
            let ended = ended.await.unwrap_or_default();
            shared.metrics.policy_reloaded(true);
            tracing::info!(policies = count, sessions_ended = ended, "policies reloaded");
            oddities::tell(&shared.policy, &shared.catalog);
            (seen, Some(Ok(ended)))
        }
    }
}

enum Read {
    Same(Seen),
    Broken(Seen, String),
    Replaced(Seen, usize),
}

/// `None`: it broke down.
async fn read_anew(policy: &Arc<Policy>, place: &Place, seen: Seen, asked: bool) -> Option<Read> {
    let dir = place.dir.clone();
    let read = place.turn.read(move || read(&dir)).await;
    let (turn, files) = match read {
        Some((turn, Ok(files))) => (turn, files),
        Some((_, Err(problems))) => return Some(unreadable(seen, Chain(&problems).to_string(), asked)),
        None => return Some(unreadable(seen, TOO_LONG.to_owned(), asked)),
    };
    let policy = policy.clone();
    let judged = aside(move || {
        let _turn = turn;
        judge(&policy, files, &seen, asked)
    });
    judged.await
}

fn unreadable(seen: Seen, why: String, asked: bool) -> Read {
    if !asked && seen.unreadable.as_ref() == Some(&why) {
        return Read::Same(seen);
    }
    let unreadable = Some(why.clone());
    Read::Broken(Seen { unreadable, ..seen }, why)
}

fn judge(policy: &Policy, files: Vec<PolicyFile>, seen: &Seen, asked: bool) -> Read {
    let in_force = policy.set();
    let present = (*in_force).as_ref().map_or(&[][..], |set| set.files.as_slice());
    // In force already (somebody may have asked for it meanwhile), or refused already.
    let is_known = files == present || files == seen.files;
    let seen = |files| Seen {
        files,
        unreadable: None,
    };
    if !asked && is_known {
        return Read::Same(seen(files));
    }
    match Set::of(files.clone()) {
        Ok(set) => {
            let count = set.rules().len();
            policy.replace(set);
            Read::Replaced(seen(files), count)
        }
        Err(problems) => Read::Broken(seen(files), Chain(&problems).to_string()),
    }
}

/// Asks about every live session again; those that are not permitted any more end, the others have their time anew.
/// How many end.
pub(super) fn review(shared: &Shared) -> usize {
    let now = shared.clock.now();
    let mut ended = 0usize;
    for facts in shared.registry.all() {
        let target = shared.target_of(&facts.permit);
        match shared.policy.renew(&facts.permit, &target, now) {
            Ok(permit) => shared.registry.renew(facts.session, permit),
            Err(reason) => {
                ended = ended.saturating_add(1);
                shared.registry.end(facts.session, Wish::EndWhenIdle(reason), now);
            }
        }
    }
    ended
}
