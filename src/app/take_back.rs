//! Takes back in the database what was granted for a time, when that is over: the membership goes, and whoever is in
//! as the db user is put out.
//!
//! Several replicas do so at once. They wait for one another, by the lock of runs, and who comes second finds nothing left
//! to do but to end its own sessions.

mod agenda;
mod attempts;

use super::book::{self, Book};
use super::provision::ClusterDoors;
use super::provision::cluster::{Provisioning, TakeBackError};
use crate::access::audit::GrantEnded;
use crate::domain::name::{DbUser, TargetName};
use crate::domain::reason::CloseReason;
use crate::error::Chain;
use crate::platform::task::Background;
use crate::provision::apply::ApplyError;
use crate::provision::inspected::Inspected;
use crate::provision::manifest::Cluster;
use crate::provision::name::RoleName;
use crate::traffic::relay::Wish;
use crate::traffic::session::Shared;
use crate::traffic::upstream::dial;
use agenda::{Agenda, Over};
use attempts::Attempts;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Clocks are set, and machines sleep: never longer than this without a look at the time.
const LOOK: Duration = Duration::from_secs(60);
/// How long sessions have to end by themselves, with a word for the client, before the server ends them.
const LAST_WORDS: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct TakeBack {
    pub shared: Arc<Shared>,
    pub book: Arc<Book>,
    pub background: Background,
    pub dial: dial::Config,
    /// Targets that this dbproxy serves.
    pub served: Vec<TargetName>,
}

/// What one attempt came to.
#[derive(Debug, Default)]
struct Done {
    /// Through this dbproxy.
    here: usize,
    in_database: u64,
}

/// Until dbproxy drains.
pub async fn run(house: TakeBack) {
    let mut agenda = Agenda::default();
    let mut attempts = Attempts::default();
    loop {
        let wait = house.round(&mut agenda, &mut attempts).await;
        tokio::select! {
            () = house.shared.shutdown.drain.cancelled() => return,
            () = house.book.changed.notified() => {}
            () = sleep(wait.min(LOOK)) => {}
        }
    }
}

impl TakeBack {
    /// Does what is due. How long until there is more to do.
    async fn round(&self, agenda: &mut Agenda, attempts: &mut Attempts) -> Duration {
        let now = self.shared.clock.now();
        if agenda.is_due(&self.book.manifest(), &self.served, now) {
            // A grant may have been given anew a moment ago.
            book::notice(&self.shared, &self.book, book::Refused::default()).await;
        }
        let manifest = self.book.manifest();
        agenda.forget_all_but(&manifest);
        for name in &self.served {
            let cluster = manifest.clusters.get(name);
            let due = cluster.map(|cluster| (cluster, agenda.due(name, cluster, now)));
            let Some((cluster, due)) = due.filter(|(_, due)| !due.is_empty()) else {
                attempts.forget(name);
                continue;
            };
            if attempts.is_time(name, Instant::now()) {
                let all_done = self.cluster(name, cluster, due, agenda, attempts).await;
                attempts.note(name, all_done, Instant::now());
            }
        }
        let now = self.shared.clock.now();
        let end = agenda.next(&manifest, &self.served, now);
        let end = end.map(|end| end.duration_since(now).unwrap_or_default());
        let again = attempts.next();
        let again = again.map(|next| next.saturating_duration_since(Instant::now()));
        end.into_iter().chain(again).min().unwrap_or(LOOK)
    }

    /// Whether all is done.
    async fn cluster(
        &self,
        name: &TargetName,
        cluster: &Cluster,
        due: Vec<Over>,
        agenda: &mut Agenda,
        attempts: &Attempts,
    ) -> bool {
        let opened = self.open(name, cluster).await;
        let mut all_done = true;
        for over in due {
            let (done, outcome) = match &opened {
                Ok((provisioning, inspected)) => {
                    self.user(name, provisioning, inspected, &over, agenda).await
                }
                Err(why) => (Done::default(), Err(why.clone())),
            };
            let is_done = outcome.is_ok();
            all_done &= is_done;
            self.tell(name, &over, &done, outcome, attempts).await;
            if is_done {
                agenda.done(name, over);
            }
        }
        all_done
    }

    async fn open(&self, name: &TargetName, cluster: &Cluster) -> Result<(Provisioning, Inspected), Failed> {
        let failed = |error: &dyn std::error::Error| Failed {
            why: Chain(error).to_string(),
            busy: false,
        };
        let entry = self.shared.catalog.entry(name);
        let target = entry.map(|entry| entry.now()).ok_or_else(|| Failed {
            why: "the target is gone".to_owned(),
            busy: false,
        })?;
        let credentials = self.shared.credentials.clone();
        let provisioner = cluster.provisioner.clone();
        let doors = ClusterDoors::with(credentials, self.dial, &self.background, &target, provisioner);
        let provisioning = Provisioning::by(doors.map_err(|error| failed(&error))?, cluster.clone());
        let inspected = provisioning.look().await.map_err(|error| failed(&error))?;
        Ok((provisioning, inspected))
    }

    /// `Some(true)` of the outcome: there was something to take back.
    async fn user(
        &self,
        name: &TargetName,
        provisioning: &Provisioning,
        inspected: &Inspected,
        over: &Over,
        agenda: &mut Agenda,
    ) -> (Done, Result<bool, Failed>) {
        let mut done = Done::default();
        let roles: BTreeSet<RoleName> = over.roles.keys().map(RoleName::from).collect();
        let taken = match provisioning.take_back(inspected, &over.user, &roles).await {
            Ok(taken) => taken,
            Err(error) => return (done, Err(error.into())),
        };
        if taken {
            agenda.revoked(name, &over.user);
        }
        done.here = self.end_here(name, &over.user).await;
        // Where somebody else has revoked it, they end what is in the database: what is there now may be new.
        if !agenda.is_revoked(name, &over.user) {
            return (done, Ok(false));
        }
        match provisioning.end_sessions(&over.user).await {
            Ok(ended) => {
                done.in_database = ended.ended;
                match ended.left {
                    0 => (done, Ok(true)),
                    left => (done, Err(TakeBackError::Open(left).into())),
                }
            }
            Err(error) => (done, Err(TakeBackError::from(error).into())),
        }
    }

    /// Ends the user's sessions here, and waits for a moment until they have ended. How many there were.
    async fn end_here(&self, name: &TargetName, user: &DbUser) -> usize {
        let shared = &self.shared;
        let own = || {
            let mut all = shared.registry.all();
            all.retain(|facts| facts.permit.target().name == *name && facts.permit.db_user() == user);
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
        attempts: &Attempts,
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
                    again_in_seconds = attempts.pause(name).as_secs(),
                    "a grant has ended and could NOT be taken back: whoever has it in the database keeps it"
                );
                self.shared.metrics.grants_taken_back(false);
                Some(failed.why)
            }
        };
        // Once is enough for the record, until it is done.
        if error.is_some() && attempts.is_repeated(name) {
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

impl From<TakeBackError> for Failed {
    fn from(error: TakeBackError) -> Self {
        Self {
            busy: matches!(error, TakeBackError::Apply(ApplyError::Busy(_))),
            why: Chain(&error).to_string(),
        }
    }
}
