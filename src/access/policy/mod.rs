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
use crate::domain::name::{DatabaseName, DbRole, DbUser};
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
/// Ends of grants that are tried to know how long a permit holds.
const ENDS_TRIED: usize = 16;
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
    /// How much had changed when it was given.
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
    /// Counts what else has changed that policies judge by.
    outdated: AtomicU64,
}

const BUILT_IN: &str = "builtin:local-caller-any-listed-user";

impl Policy {
    /// The rule that holds while no set is configured.
    pub fn built_in() -> Self {
        Self {
            groups: Groups::default(),
            set: ArcSwap::from_pointee(None),
            generation: AtomicU64::new(0),
            outdated: AtomicU64::new(0),
        }
    }

    pub fn of(set: Set, groups: Groups) -> Self {
        Self {
            groups,
            set: ArcSwap::from_pointee(Some(set)),
            generation: AtomicU64::new(0),
            outdated: AtomicU64::new(0),
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

    /// Whether what gave this permit is still in force. What is in force now may permit all the same.
    pub fn is_current(&self, permit: &Permit) -> bool {
        self.basis() == permit.generation
    }

    /// What policies judge by has changed: permits that were given before must be asked about again.
    pub fn outdate(&self) {
        self.outdated.fetch_add(1, Ordering::SeqCst);
    }

    fn basis(&self) -> u64 {
        let sets = self.generation.load(Ordering::SeqCst);
        sets.saturating_add(self.outdated.load(Ordering::SeqCst))
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
        let generation = self.basis();
        match self.verdict(&question) {
            Verdict::Permit {
                policies,
                max_session,
            } => {
                let terms = self.terms(&question, policies, max_session, generation);
                Ok(Permit::of(Arc::new(question), terms))
            }
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

    /// Asks once more what a permit was given for, at another time and maybe of other policies, or with another
    /// manifest: `target` is what is known of the target now. The new permit's time counts from the beginning of the old
    /// one's. An error is why the session must end.
    pub fn renew(
        &self,
        permit: &Permit,
        target: &Arc<Target>,
        now: SystemTime,
    ) -> Result<Permit, CloseReason> {
        let mut question = Question::clone(&permit.question);
        let asked = Arc::new(Question {
            target: target.clone(),
            ..question.clone()
        });
        question.target = target.clone();
        question.around.now = now;
        let generation = self.basis();
        if !target.users.lists(&question.db_user) || !target.allows_database(&question.database) {
            return Err(CloseReason::PolicyChanged);
        }
        match self.verdict(&question) {
            Verdict::Permit {
                policies,
                max_session,
            } => {
                let terms = self.terms(&question, policies, max_session, generation);
                Ok(Permit::of(asked, terms))
            }
            Verdict::Deny { .. } | Verdict::Faulty { .. } => Err(match self.ended(&question) {
                (roles, None) if roles.is_empty() => CloseReason::PolicyChanged,
                _ => CloseReason::GrantEnded,
            }),
        }
    }

    /// What the policy in force says, without a permit: for `explain` and for watching sessions.
    pub fn verdict(&self, question: &Question) -> Verdict {
        self.verdict_with(question, Some(question.around.now))
    }

    /// With the grants of a moment, or with all that ever were. A db user whose roles have all ended is nobody's, whatever
    /// policies say: it is to be empty-handed, and may not be so in the database yet.
    fn verdict_with(&self, question: &Question, at: Option<SystemTime>) -> Verdict {
        if question.target.declared.is_over(&question.db_user, at) {
            return Verdict::Deny { policies: Vec::new() };
        }
        match &**self.set.load() {
            Some(set) => set.ask(question, self.groups.of(&question.caller.principal), at),
            None => built_in(&question.caller),
        }
    }

    fn terms(
        &self,
        question: &Question,
        policies: Vec<Arc<str>>,
        max_session: Option<Duration>,
        generation: u64,
    ) -> Terms {
        Terms {
            policies,
            max_session,
            grants_end: self.grants_end(question),
            generation,
        }
    }

    /// When what is permitted now ends, because it rests on a grant of the manifest that does.
    fn grants_end(&self, question: &Question) -> Option<SystemTime> {
        let ends =
            question
                .target
                .declared
                .ends(&question.caller.principal, &question.db_user, question.around.now);
        let last = ends.len() <= ENDS_TRIED;
        let mut tried = ends.iter().take(ENDS_TRIED);
        let ending = tried.find(|end| !self.verdict_with(question, Some(**end)).is_permit());
        match (ending, last) {
            (Some(end), _) => Some(*end),
            (None, true) => None,
            // Too soon is mended by asking again.
            (None, false) => ends.iter().nth(ENDS_TRIED).copied(),
        }
    }

    /// Grants that have ended, and when the caller ceased to be named, if but for that it were permitted.
    fn ended(&self, question: &Question) -> (Vec<(DbRole, SystemTime)>, Option<SystemTime>) {
        let (declared, now) = (&question.target.declared, question.around.now);
        let roles = declared.ended(&question.db_user, now);
        let named = declared.named_until(&question.caller.principal, &question.db_user, now);
        let is_any = !roles.is_empty() || named.is_some();
        match is_any && self.verdict_with(question, None).is_permit() {
            true => (roles, named),
            false => (Vec::new(), None),
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
        let mut denied = NotPermitted::of(question, forbidden_by, instead);
        (denied.ended, denied.named_until) = self.ended(question);
        Denial::NotPermitted(Box::new(denied))
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

/// What a permit is given on.
struct Terms {
    policies: Vec<Arc<str>>,
    max_session: Option<Duration>,
    grants_end: Option<SystemTime>,
    generation: u64,
}

impl Permit {
    fn of(question: Arc<Question>, terms: Terms) -> Self {
        let Terms {
            policies,
            max_session,
            grants_end,
            generation,
        } = terms;
        let by_policy = max_session.and_then(|limit| question.around.now.checked_add(limit));
        let by_policy = by_policy.map(|end| (end, CloseReason::PermitExpired));
        let by_proof = question
            .caller
            .expires
            .map(|end| (end, CloseReason::ProofExpired));
        let by_grant = grants_end.map(|end| (end, CloseReason::GrantEnded));
        let ends = by_policy.into_iter().chain(by_proof).chain(by_grant);
        Self {
            policies: policies.into(),
            expires: ends.min_by_key(|(end, _)| *end),
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
