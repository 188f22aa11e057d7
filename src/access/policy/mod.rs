//! May this caller be this db user on this database? Owns [`Permit`]: nothing else can make one,
//! and without one no credential is minted and no server is dialled.
//!
//! - [`question`]: what is asked
//! - [`set`]: Cedar policies, read and validated strictly; [`entities`]: the question in their words
//! - [`operate`]: what operators ask: view, terminate, reload
//! - [`lint`]: policies against the catalog: what they name and nobody has
//! - [`denial`]: why not, and what the caller may be instead
//!
//! Without a configured set one rule is built in: a local caller may be any db user its target lists.

pub mod denial;
pub mod entities;
pub mod lint;
pub mod operate;
pub mod problem;
pub mod question;
pub mod set;

pub use denial::{Alternatives, Denial, NotPermitted};
pub use operate::{Operation, OperatorDenial};
pub use problem::{Problem, Problems, Severity};
pub use question::{Action, Circumstances, Question, role};
pub use set::{Set, Verdict};

use crate::domain::caller::{Caller, Principal};
use crate::domain::name::{DatabaseName, DbUser};
use crate::domain::reason::CloseReason;
use crate::domain::target::{Target, Users};
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Db users of a target that are tried to say whom a caller may be.
const CANDIDATES_MAX: usize = 200;
/// And databases, where the one asked for is none of the target's.
const DATABASES_TRIED: usize = 8;
/// For the sake of a hint alone it is fewer db users, and not for long: who is denied must not cost others much more
/// than who is let in.
const HINT_CANDIDATES: usize = 32;
const HINT_TIME: Duration = Duration::from_millis(100);

/// The proof that policy said yes, and to what. Its fields are private so that only
/// [`Policy::decide`] makes one.
#[derive(Debug, Clone)]
pub struct Permit {
    question: Arc<Question>,
    policies: Arc<[Arc<str>]>,
    expires: Option<(SystemTime, CloseReason)>,
    /// Which of the sets that were in force gave it.
    generation: u64,
}

impl Permit {
    pub fn caller(&self) -> &Caller {
        &self.question.caller
    }

    pub fn target(&self) -> &Arc<Target> {
        &self.question.target
    }

    pub fn db_user(&self) -> &DbUser {
        &self.question.db_user
    }

    pub fn database(&self) -> &DatabaseName {
        &self.question.database
    }

    /// What was asked; asked again when policies change.
    pub fn question(&self) -> &Arc<Question> {
        &self.question
    }

    /// Ids of the policies that decided.
    pub fn policies(&self) -> &[Arc<str>] {
        &self.policies
    }

    /// When the session must end, and why: by policy, or because the caller's proof ends.
    pub fn expires(&self) -> Option<(SystemTime, CloseReason)> {
        self.expires
    }
}

/// Groups of the configuration: which principals are in them.
#[derive(Debug, Clone, Default)]
pub struct Groups(HashMap<Principal, Vec<String>>);

impl Groups {
    pub fn new(members: impl IntoIterator<Item = (String, Principal)>) -> Self {
        let mut groups: HashMap<Principal, Vec<String>> = HashMap::new();
        for (group, principal) in members {
            groups.entry(known_by(&principal)).or_default().push(group);
        }
        Self(groups)
    }

    /// Whether anybody is in this group.
    pub fn has(&self, group: &str) -> bool {
        self.0.values().flatten().any(|known| known == group)
    }

    fn of(&self, principal: &Principal) -> &[String] {
        self.0.get(&known_by(principal)).map_or(&[], Vec::as_slice)
    }
}

/// A role is the same with and without the name of its permission set.
fn known_by(principal: &Principal) -> Principal {
    match principal {
        Principal::IamRole { arn, .. } => Principal::IamRole {
            arn: arn.clone(),
            permission_set: None,
        },
        other => other.clone(),
    }
}

/// The policy in force.
#[derive(Debug)]
pub struct Policy {
    groups: Groups,
    /// `None`: the built-in rule.
    set: ArcSwap<Option<Set>>,
    /// Counts the sets that have been in force.
    generation: AtomicU64,
}

const BUILT_IN: &str = "builtin:local-caller-any-listed-user";

impl Policy {
    /// The rule that holds while no set is configured.
    pub fn built_in() -> Self {
        Self {
            groups: Groups::default(),
            set: ArcSwap::from_pointee(None),
            generation: AtomicU64::new(0),
        }
    }

    pub fn of(set: Set, groups: Groups) -> Self {
        Self {
            groups,
            set: ArcSwap::from_pointee(Some(set)),
            generation: AtomicU64::new(0),
        }
    }

    pub fn is_built_in(&self) -> bool {
        self.set.load().is_none()
    }

    /// From now on this set is in force. Only a validated one can be given.
    pub fn replace(&self, set: Set) {
        self.set.store(Arc::new(Some(set)));
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether the set that gave this permit is still in force. One that is not may permit all the same.
    pub fn is_current(&self, permit: &Permit) -> bool {
        self.generation.load(Ordering::SeqCst) == permit.generation
    }

    /// How many sets were in force before this one.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// The set in force, if one is configured.
    pub fn set(&self) -> Arc<Option<Set>> {
        self.set.load_full()
    }

    /// Groups of the configuration.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Groups of the configuration that the principal is in.
    pub fn groups_of(&self, principal: &Principal) -> &[String] {
        self.groups.of(principal)
    }

    /// Decides about exactly the db user that the question names.
    pub fn decide(&self, question: Question) -> Result<Permit, Denial> {
        if !question.target.users.lists(&question.db_user) {
            return Err(self.not_listed(&question));
        }
        self.judge_database(&question)?;
        // Before the verdict: a set that comes in between makes the permit an old one.
        let generation = self.generation.load(Ordering::SeqCst);
        match self.verdict(&question) {
            Verdict::Permit {
                policies,
                max_session,
            } => Ok(Permit::of(Arc::new(question), policies, max_session, generation)),
            Verdict::Deny { policies } => {
                let forbidden_by = policies.iter().map(ToString::to_string).collect();
                Err(self.not_permitted(&question, forbidden_by))
            }
            Verdict::Faulty { faults } => Err(Denial::Evaluation { faults }),
        }
    }

    /// Decides for a client: one that names no db user of the target gets the one that it may be, if there
    /// is just one, or the target's default.
    pub fn choose(&self, question: Question) -> Result<Permit, Denial> {
        if question.target.users.lists(&question.db_user) {
            return self.decide(question);
        }
        self.judge_database(&question)?;
        let permitted = self.permitted(&question);
        let default = question.target.default_db_user.as_ref();
        let chosen = match permitted.as_slice() {
            [only] => Some(only),
            several => several.iter().find(|user| Some(*user) == default),
        };
        match chosen {
            Some(user) => self.decide(Question {
                db_user: user.clone(),
                ..question
            }),
            None if permitted.is_empty() => Err(self.not_listed(&question)),
            None => Err(Denial::Several {
                user: question.db_user.clone(),
                target: question.target.name.to_string(),
                permitted,
            }),
        }
    }

    /// Asks once more what a permit was given for, at another time and maybe of other policies. The new permit's time
    /// counts from the beginning of the old one's.
    pub fn renew(&self, permit: &Permit, now: SystemTime) -> Option<Permit> {
        let mut question = Question::clone(&permit.question);
        question.around.now = now;
        let generation = self.generation.load(Ordering::SeqCst);
        match self.verdict(&question) {
            Verdict::Permit {
                policies,
                max_session,
            } => {
                let asked = permit.question.clone();
                Some(Permit::of(asked, policies, max_session, generation))
            }
            Verdict::Deny { .. } | Verdict::Faulty { .. } => None,
        }
    }

    /// What the policy in force says, without a permit: for `explain` and for watching sessions.
    pub fn verdict(&self, question: &Question) -> Verdict {
        match &**self.set.load() {
            Some(set) => set.ask(question, self.groups.of(&question.caller.principal)),
            None => built_in(&question.caller),
        }
    }

    /// The db users of the target that the caller may be, everything else as asked.
    pub fn permitted(&self, question: &Question) -> Vec<DbUser> {
        let candidates = candidates(question).iter();
        candidates
            .filter(|user| self.may_be(question, user))
            .cloned()
            .collect()
    }

    /// The same for a hint: as many as are found in a moment, and whether those are all.
    fn alternatives(&self, question: &Question) -> Alternatives {
        let begun = Instant::now();
        let mut permitted = Vec::new();
        for (count, user) in candidates(question).iter().enumerate() {
            if count >= HINT_CANDIDATES || begun.elapsed() > HINT_TIME {
                return Alternatives {
                    permitted,
                    are_all: false,
                };
            }
            if self.may_be(question, user) {
                permitted.push(user.clone());
            }
        }
        Alternatives {
            permitted,
            are_all: true,
        }
    }

    fn may_be(&self, question: &Question, user: &DbUser) -> bool {
        let asked = Question {
            db_user: user.clone(),
            ..question.clone()
        };
        matches!(self.verdict(&asked), Verdict::Permit { .. })
    }

    fn not_permitted(&self, question: &Question, forbidden_by: Vec<String>) -> Denial {
        let instead = self.alternatives(question);
        Denial::NotPermitted(Box::new(NotPermitted::of(question, forbidden_by, instead)))
    }

    /// Who may be nobody learns no names: not which db users there are, nor which databases.
    fn not_listed(&self, question: &Question) -> Denial {
        let instead = self.alternatives(question);
        match instead.permitted.is_empty() {
            true => Denial::NotPermitted(Box::new(NotPermitted::of(question, Vec::new(), instead))),
            false => Denial::UserNotListed {
                user: question.db_user.clone(),
                target: question.target.name.to_string(),
                permitted: instead.permitted,
            },
        }
    }

    fn judge_database(&self, question: &Question) -> Result<(), Denial> {
        let (target, database) = (&question.target, &question.database);
        if target.allows_database(database) {
            return Ok(());
        }
        let may_be_somebody = target.databases.iter().take(DATABASES_TRIED).any(|listed| {
            let asked = Question {
                database: listed.clone(),
                ..question.clone()
            };
            !self.alternatives(&asked).permitted.is_empty()
        });
        match may_be_somebody {
            true => Err(Denial::DatabaseNotListed {
                database: database.clone(),
                target: target.name.to_string(),
                listed: target.databases.clone(),
            }),
            false => Err(self.not_permitted(question, Vec::new())),
        }
    }
}

fn candidates(question: &Question) -> &[DbUser] {
    match &question.target.users {
        Users::Listed(listed) => listed.get(..CANDIDATES_MAX).unwrap_or(listed),
        Users::Any => &[],
    }
}

impl Permit {
    fn of(
        question: Arc<Question>,
        policies: Vec<Arc<str>>,
        max_session: Option<Duration>,
        generation: u64,
    ) -> Self {
        let by_policy = max_session.and_then(|limit| question.around.now.checked_add(limit));
        let by_policy = by_policy.map(|end| (end, CloseReason::PermitExpired));
        let by_proof = question
            .caller
            .expires
            .map(|end| (end, CloseReason::ProofExpired));
        Self {
            policies: policies.into(),
            expires: by_policy.into_iter().chain(by_proof).min_by_key(|(end, _)| *end),
            question,
            generation,
        }
    }
}

fn built_in(caller: &Caller) -> Verdict {
    match caller.principal {
        Principal::Local { .. } => Verdict::Permit {
            policies: vec![BUILT_IN.into()],
            max_session: None,
        },
        _ => Verdict::Deny { policies: Vec::new() },
    }
}
