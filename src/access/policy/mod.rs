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

pub use denial::{Denial, NotPermitted};
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
use std::time::SystemTime;

/// Db users of a target that are tried to say whom a caller may be.
const CANDIDATES_MAX: usize = 200;

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
        judge_database(&question)?;
        // Before the verdict: a set that comes in between makes the permit an old one.
        let generation = self.generation.load(Ordering::SeqCst);
        match self.verdict(&question) {
            Verdict::Permit {
                policies,
                max_session,
            } => {
                let by_policy = max_session.and_then(|limit| question.around.now.checked_add(limit));
                let by_policy = by_policy.map(|end| (end, CloseReason::PermitExpired));
                let by_proof = question
                    .caller
                    .expires
                    .map(|end| (end, CloseReason::ProofExpired));
                Ok(Permit {
                    policies: policies.into(),
                    expires: by_policy.into_iter().chain(by_proof).min_by_key(|(end, _)| *end),
                    question: Arc::new(question),
                    generation,
                })
            }
            Verdict::Deny { policies } => {
                let forbidden_by = policies.iter().map(ToString::to_string).collect();
                let permitted = self.permitted(&question);
                let denied = NotPermitted::of(&question, forbidden_by, permitted);
                Err(Denial::NotPermitted(Box::new(denied)))
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
        judge_database(&question)?;
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

    /// What the policy in force says, without a permit: for `explain` and for watching sessions.
    pub fn verdict(&self, question: &Question) -> Verdict {
        match &**self.set.load() {
            Some(set) => set.ask(question, self.groups.of(&question.caller.principal)),
            None => built_in(&question.caller),
        }
    }

    /// The db users of the target that the caller may be, everything else as asked.
    pub fn permitted(&self, question: &Question) -> Vec<DbUser> {
        let Users::Listed(listed) = &question.target.users else {
            return Vec::new();
        };
        let may_be = |user: &&DbUser| {
            let asked = Question {
                db_user: (*user).clone(),
                ..question.clone()
            };
            matches!(self.verdict(&asked), Verdict::Permit { .. })
        };
        listed
            .iter()
            .take(CANDIDATES_MAX)
            .filter(may_be)
            .cloned()
            .collect()
    }

    fn not_listed(&self, question: &Question) -> Denial {
        Denial::UserNotListed {
            user: question.db_user.clone(),
            target: question.target.name.to_string(),
            permitted: self.permitted(question),
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

fn judge_database(question: &Question) -> Result<(), Denial> {
    let (target, database) = (&question.target, &question.database);
    match target.allows_database(database) {
        true => Ok(()),
        false => Err(Denial::DatabaseNotListed {
            database: database.clone(),
            target: target.name.to_string(),
            listed: target.databases.clone(),
        }),
    }
}
