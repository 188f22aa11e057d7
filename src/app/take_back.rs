//! Takes back in the database what was granted for a time, when that is over: the membership goes, and whoever is in
//! as the db user is put out.
//!
//! Several replicas do so at once. They wait for one another, by the lock of runs, and who comes second finds nothing left
//! to do but to end its own sessions.

mod agenda;
mod attempts;
mod open;

use super::book::{self, Book};
use super::provision::cluster::{Provisioning, TakeBackError};
use crate::access::audit::GrantEnded;
use crate::domain::name::{DbUser, TargetName};
use crate::domain::reason::CloseReason;
use crate::error::Chain;
use crate::platform::task::{Background, within};
use crate::provision::apply::ApplyError;
use crate::provision::manifest::Manifest;
use crate::provision::name::RoleName;
use crate::traffic::relay::Wish;
use crate::traffic::session::Shared;
use crate::traffic::upstream::dial;
use agenda::{Agenda, Over};
use attempts::{Attempts, Before};
use open::Open;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// Clocks are set, and machines sleep: never longer than this without a look at the time.
const LOOK: Duration = Duration::from_secs(60);
/// How long sessions have to end by themselves, with a word for the client, before the server ends them.
const LAST_WORDS: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);
/// A server that answers nothing any more is given up after this, and tried again like one that refuses.
const ANSWER: Duration = Duration::from_secs(120);
/// Answers of clusters on their way.
const ANSWERS: usize = 16;

#[derive(Debug)]
pub struct TakeBack {
    shared: Arc<Shared>,
    book: Arc<Book>,
    background: Background,
    dial: dial::Config,
    /// Targets that this dbproxy serves.
    served: Vec<TargetName>,
    agenda: Mutex<Agenda>,
}

/// What one attempt came to.
#[derive(Debug, Default)]
struct Done {
    /// Through this dbproxy.
    here: usize,
    in_database: u64,
}

/// Until dbproxy drains. Each cluster is worked at by itself: one that hangs holds up no other.
pub async fn run(house: TakeBack) {
    let house = Arc::new(house);
    let (answers, mut answered) = mpsc::channel(ANSWERS);
    let mut attempts = Attempts::default();
    loop {
        let wait = house.round(&mut attempts, &answers).await;
        tokio::select! {
            () = house.shared.shutdown.drain.cancelled() => return,
            () = house.book.changed.notified() => {}
            Some((name, all_done)) = answered.recv() => attempts.note(&name, all_done, Instant::now()),
            () = sleep(wait.min(LOOK)) => {}
        }
    }
}

impl TakeBack {
    pub fn new(
        (shared, book): (Arc<Shared>, Arc<Book>),
        background: Background,
        dial: dial::Config,
        served: Vec<TargetName>,
    ) -> Self {
        Self {
            shared,
            book,
            background,
            dial,
            served,
            agenda: Mutex::default(),
        }
    }

    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Clusters that this dbproxy leads to.
    fn clusters(&self, manifest: &Manifest) -> Vec<TargetName> {
        let catalog = &self.shared.catalog;
        let names = manifest.clusters.keys();
        let led_to = names.filter(|name| catalog.that_lead_to(name, &self.served).next().is_some());
        led_to.cloned().collect()
    }

    /// Begins what is due. How long until there is more to do.
    async fn round(
        self: &Arc<Self>,
        attempts: &mut Attempts,
        answers: &mpsc::Sender<(TargetName, bool)>,
    ) -> Duration {
        let now = self.shared.clock.now();
        let manifest = self.book.manifest();
        let is_due = self.agenda().is_due(&manifest, &self.clusters(&manifest), now);
        if is_due {
            // A grant may have been given anew a moment ago.
            book::notice(&self.shared, &self.book, book::Refused::default()).await;
        }
        let manifest = self.book.manifest();
        let clusters = self.clusters(&manifest);
        self.agenda().forget_all_but(&manifest);
        for name in &clusters {
            if attempts.is_under_way(name) {
                continue;
            }
            let cluster = manifest.clusters.get(name);
            let due = cluster.map(|cluster| self.agenda().due(name, cluster, now));
            let Some(due) = due.filter(|due| !due.is_empty()) else {
                attempts.forget(name);
                continue;
            };
            if let Some(before) = attempts.begin(name, Instant::now()) {
                self.set_to_work(name.clone(), manifest.clone(), due, before, answers.clone());
            }
        }
        let now = self.shared.clock.now();
        let end = self.agenda().next(&manifest, &clusters, now);
        let end = end.map(|end| end.duration_since(now).unwrap_or_default());
        let again = attempts.next();
        let again = again.map(|next| next.saturating_duration_since(Instant::now()));
        end.into_iter().chain(again).min().unwrap_or(LOOK)
    }

    fn set_to_work(
        self: &Arc<Self>,
        name: TargetName,
        manifest: Arc<Manifest>,
        due: Vec<Over>,
        before: Before,
        answers: mpsc::Sender<(TargetName, bool)>,
    ) {
        let (house, background, cluster) = (self.clone(), self.background.clone(), name.clone());
        self.background.spawn("take back in a cluster", async move {
            let work = async move { Box::pin(house.cluster(&cluster, &manifest, due, before)).await };
            // One that broke down is not done.
            let all_done = background.run(work).await.unwrap_or(false);
            let _ = answers.send((name, all_done)).await;
        });
    }

    /// Whether all is done.
    async fn cluster(&self, name: &TargetName, manifest: &Manifest, due: Vec<Over>, before: Before) -> bool {
        let opened = within(ANSWER, Box::pin(self.open(name, manifest))).await;
        let opened = opened.unwrap_or_else(|| Err(Failed::silent()));
        let mut all_done = true;
        for over in due {
            let mut done = Done::default();
            let outcome = match &opened {
                Ok(open) => within(ANSWER, Box::pin(self.user(name, open, &over, &mut done))).await,
                Err(why) => Some(Err(why.clone())),
            };
            let outcome = outcome.unwrap_or_else(|| Err(Failed::silent()));
            let is_done = outcome.is_ok();
            all_done &= is_done;
            self.tell(name, &over, &done, outcome, before).await;
            if is_done {
                self.agenda().done(name, over);
            }
        }
        all_done
    }

    /// `true` of the outcome: there was something to take back.
    async fn user(
        &self,
        name: &TargetName,
        open: &Open,
        over: &Over,
        done: &mut Done,
    ) -> Result<bool, Failed> {
        let roles: BTreeSet<RoleName> = over.roles.keys().map(RoleName::from).collect();
        let taken = open.home.take_back(&open.inspected, &over.user, &roles).await?;
        if taken {
            self.agenda().revoked(name, &over.user);
        }
        done.here = self.end_here(name, &over.user).await;
        // Where somebody else has revoked it, they end what is in the database: what is there now may be new.
        if !self.agenda().is_revoked(name, &over.user) {
            return Ok(false);
        }
        let mut left = 0_u64;
        // Each server of a cluster tells of its own sessions alone.
        for way in open.ways() {
            let ended = way.end_sessions(&over.user).await.map_err(TakeBackError::from)?;
            done.in_database = done.in_database.saturating_add(ended.ended);
            left = left.saturating_add(ended.left);
        }
        match left {
            0 => Ok(true),
            left => Err(TakeBackError::Open(left).into()),
        }
    }

    /// Ends the user's sessions here, through whatever target, and waits for a moment until they have ended. How many there
    /// were.
    async fn end_here(&self, name: &TargetName, user: &DbUser) -> usize {
        let shared = &self.shared;
        let own = || {
            let mut all = shared.registry.all();
            all.retain(|facts| {
                let target = shared.target_of(&facts.permit);
                target.cluster.as_ref() == Some(name) && facts.permit.db_user() == user
            });
            all
        };
        let sessions = own();
        for facts in &sessions {
            let wish = Wish::EndNow(CloseReason::GrantEnded);
            shared.registry.end(facts.session, wish, shared.clock.now());
        }
        let gone = async {
            while own()
                .iter()
                .any(|facts| sessions.iter().any(|old| old.session == facts.session))
            {
                sleep(POLL).await;
            }
        };
        let _ = timeout(LAST_WORDS, gone).await;
        sessions.len()
    }

    async fn tell(
        &self,
        name: &TargetName,
        over: &Over,
        done: &Done,
        outcome: Result<bool, Failed>,
        before: Before,
    ) {
        let roles: Vec<String> = over.roles.keys().map(ToString::to_string).collect();
        let (target, db_user, all) = (name.as_str(), over.user.as_str(), roles.join(", "));
        let nothing = matches!(outcome, Ok(false)) && done.here == 0;
        let error = match outcome {
            Ok(_) if nothing => return,
            Ok(_) => {
                tracing::warn!(
                    database_target = target,
                    db_user,
                    db_roles = all,
                    sessions_ended = done.here,
                    server_sessions_ended = done.in_database,
                    "a grant has ended and was taken back"
                );
                self.shared.metrics.grants_taken_back(true);
                None
            }
            Err(failed) if failed.busy => {
                tracing::info!(
                    database_target = target,
                    db_user,
                    error = failed.why,
                    "a grant has ended; somebody else is changing the cluster, so it is looked at again"
                );
                return;
            }
            Err(failed) => {
                tracing::error!(
                    database_target = target,
                    db_user,
                    db_roles = all,
                    error = failed.why,
                    again_in_seconds = before.pause.as_secs(),
                    "a grant has ended and could NOT be taken back: whoever has it in the database keeps it"
                );
                self.shared.metrics.grants_taken_back(false);
                Some(failed.why)
            }
        };
        // Once is enough for the record, until it is done.
        if error.is_some() && before.failed {
            return;
        }
        let ended = GrantEnded {
            target,
            db_user,
            roles: &roles,
            ended_at: over.ended_at(),
            error,
            sessions_ending: done.here,
            server_sessions_ended: done.in_database,
        };
        self.shared.audit.grant_ended(&ended).await;
    }
}

#[derive(Debug, Clone)]
struct Failed {
    why: String,
    /// Another run has the lock.
    busy: bool,
}

impl Failed {
    fn silent() -> Self {
        Self {
            why: format!("the server does not answer for {} seconds", ANSWER.as_secs()),
            busy: false,
        }
    }
}

impl From<TakeBackError> for Failed {
    fn from(error: TakeBackError) -> Self {
        Self {
            busy: matches!(error, TakeBackError::Apply(ApplyError::Busy(_))),
            why: Chain(&error).to_string(),
        }
    }
}
