//! What the rows of the file mean, judged against the configuration.

use super::super::args;
use super::super::asked::{self, Decision};
use super::mistakes::Mistakes;
use super::rows::{CallerRow, CaseRow, Row, Text};
use super::{Case, Expected};
use crate::access::policy::entities::parse_principal;
use crate::access::policy::{Action, Circumstances, Problem, Question, role};
use crate::config::{Settings, values};
use crate::domain::caller::Caller;
use crate::domain::name::{DbRole, DbUser};
use crate::domain::target::{Target, Users};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use toml::Spanned;

const DAY: Duration = Duration::from_secs(86_400);

/// Sound callers, and the names also of those that are not.
#[derive(Default)]
pub struct Callers {
    pub sound: Vec<(String, Caller)>,
    names: HashSet<String>,
}

pub struct Reader<'a> {
    settings: &'a Settings,
    targets: BTreeMap<&'a str, Arc<Target>>,
    /// Ids of the policies in force; nothing: the built-in rule.
    ids: Option<HashSet<String>>,
    pub mistakes: Mistakes<'a>,
}

impl<'a> Reader<'a> {
    pub fn new(settings: &'a Settings, mistakes: Mistakes<'a>) -> Self {
        let targets = settings.targets.iter();
        let set = settings.policy.policy.set();
        let ids = set.as_ref().as_ref().map(|set| {
            let rules = set.rules().iter();
            rules.map(|rule| rule.id.to_string()).collect()
        });
        Self {
            settings,
            targets: targets
                .map(|target| (target.name.as_str(), Arc::new(target.clone())))
                .collect(),
            ids,
            mistakes,
        }
    }

    pub fn callers(&mut self, rows: Vec<Row<CallerRow>>) -> Callers {
        let mut callers = Callers::default();
        for mut row in rows {
            let name = row.fields.name.take();
            let name = self.name(&row, name, &mut callers.names, "caller");
            let principal = row.fields.principal.take();
            let principal = self.mistakes.required(&row, "principal", principal);
            let principal = principal.and_then(|text| self.keep(&text, parse_principal(text.get_ref())));
            let proof = row.fields.proof.take();
            let proof = proof.and_then(|text| self.keep(&text, args::proof(text.get_ref())));
            let (Some(name), Some(principal)) = (name, principal) else {
                continue;
            };
            let proof = proof.unwrap_or_else(|| asked::proof_of(&principal));
            let mut caller = Caller::new(principal, proof);
            caller.groups = row.fields.groups;
            caller.groups.sort();
            caller.email = row.fields.email;
            caller.mfa = row.fields.mfa;
            callers.sound.push((name, caller));
        }
        callers
    }

    pub fn cases(&mut self, rows: Vec<Row<CaseRow>>, callers: &Callers) -> Vec<Case> {
        let mut names = HashSet::new();
        let mut cases = Vec::new();
        for mut row in rows {
            let name = row.fields.name.take();
            let name = self.name(&row, name, &mut names, "case");
            let expected = self.expected(&mut row);
            let question = self.question(&mut row, callers);
            if let (Some(name), Some(question), Some(expected)) = (name, question, expected) {
                cases.push(Case {
                    name,
                    place: self.place(&row),
                    question,
                    expected,
                });
            }
        }
        cases
    }

    /// Two of the same name could not be told apart in what is printed.
    fn name<T>(
        &mut self,
        row: &Row<T>,
        name: Option<Text>,
        taken: &mut HashSet<String>,
        kind: &str,
    ) -> Option<String> {
        let name = self.mistakes.required(row, "name", name)?;
        let span = name.span();
        let name = name.into_inner();
        if name.is_empty() || name.chars().any(char::is_control) {
            self.mistakes.at(&span, "a name is one line, and not empty");
        }
        if !taken.insert(name.clone()) {
            self.mistakes.at(&span, format!("another {kind} has this name"));
        }
        Some(name)
    }

    fn question(&mut self, row: &mut Row<CaseRow>, callers: &Callers) -> Option<Question> {
        let (caller, target) = (row.fields.caller.take(), row.fields.target.take());
        let caller = self.mistakes.required(row, "caller", caller);
        let caller = caller.and_then(|name| self.caller(&name, callers));
        let target = self.mistakes.required(row, "target", target);
        let target = target.and_then(|name| self.target(&name));
        let db_user = row.fields.db_user.take();
        let db_user = self.mistakes.required(row, "db_user", db_user);
        let db_user = db_user.and_then(|name| self.db_user(&name, target.as_deref()));
        let action = self.action(row);
        let role = self.role(row);
        let around = self.around(row, target.as_deref());
        let (target, db_user) = (target?, db_user?);
        let named = row.fields.database.as_ref();
        let span = named.map_or(row.span.clone(), Spanned::span);
        let named = named.map(|name| name.get_ref().as_str());
        let database = asked::database(named, &target, &db_user);
        Some(Question {
            caller: caller?,
            action: action?,
            database: self.mistakes.keep(&span, database)?,
            role: role?,
            around: around?,
            target,
            db_user,
        })
    }

    fn caller(&mut self, name: &Text, callers: &Callers) -> Option<Caller> {
        let found = callers.sound.iter().find(|(known, _)| known == name.get_ref());
        if !callers.names.contains(name.get_ref()) {
            self.mistakes.at(&name.span(), "no [[caller]] has this name");
        }
        found.map(|(_, caller)| caller.clone())
    }

    fn target(&mut self, name: &Text) -> Option<Arc<Target>> {
        let found = self.targets.get(name.get_ref().as_str()).cloned();
        if found.is_none() {
            let known: Vec<&str> = self.targets.keys().copied().collect();
            let what = format!("no such target; the configuration has {}", known.join(", "));
            self.mistakes.at(&name.span(), what);
        }
        found
    }

    /// A db user that the target does not have is denied whatever the policies say, so a case about one
    /// would test nothing.
    fn db_user(&mut self, name: &Text, target: Option<&Target>) -> Option<DbUser> {
        let user = self.keep(name, DbUser::new(name.get_ref()))?;
        let target = target?;
        if let Users::Listed(listed) = &target.users
            && !listed.contains(&user)
        {
            let listed: Vec<&str> = listed.iter().map(DbUser::as_str).collect();
            let what = format!(
                "target `{}` has no such db user; it has {}",
                target.name,
                listed.join(", ")
            );
            self.mistakes.at(&name.span(), what);
            return None;
        }
        Some(user)
    }

    fn action(&mut self, row: &mut Row<CaseRow>) -> Option<Action> {
        match row.fields.action.take() {
            None => Some(Action::Connect),
            Some(text) => self.keep(&text, args::action(text.get_ref())),
        }
    }

    /// Outside: whether it is sound; inside: whether there is one.
    fn role(&mut self, row: &mut Row<CaseRow>) -> Option<Option<DbRole>> {
        match row.fields.role.take() {
            None => Some(None),
            Some(text) => self.keep(&text, role(text.get_ref())),
        }
    }

    fn around(&mut self, row: &mut Row<CaseRow>, target: Option<&Target>) -> Option<Circumstances> {
        let source = row.fields.source.take();
        let source = source.map(|text| {
            let what = || format!("`{}` is not an IP address", text.get_ref());
            self.keep(&text, text.get_ref().parse().map_err(|_| what()))
        });
        let now = match row.fields.now.take() {
            None => self.mistakes.keep(&row.span, time(asked::NOW)),
            Some(value) => {
                let text = match value.get_ref() {
                    toml::Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                self.mistakes.keep(&value.span(), time(&text))
            }
        };
        let listener = row.fields.listener.take();
        let usual = || target.map(|target| asked::listener(self.settings, target));
        Some(Circumstances {
            // Outside: whether there is one; inside: whether it is sound.
            source: source.map_or(Some(None), |sound| sound.map(Some))?,
            tls: row.fields.tls.unwrap_or(true),
            now: now?,
            application: row.fields.application.take().unwrap_or_default(),
            listener: listener.or_else(usual).unwrap_or_default(),
        })
    }

    fn expected(&mut self, row: &mut Row<CaseRow>) -> Option<Expected> {
        let decision = row.fields.decision.take();
        let decision = self.mistakes.required(row, "decision", decision);
        let policies = row.fields.policies.take().map(|ids| self.policies(ids));
        let limit = row.fields.max_session.take();
        if let (Some(limit), Some(decision)) = (&limit, &decision)
            && *decision.get_ref() != Decision::Permit
        {
            let what = "only a permit has a longest session";
            self.mistakes.at(&limit.span(), what);
        }
        let max_session = limit.map(|limit| self.keep(&limit, session(limit.get_ref())));
        Some(Expected {
            decision: decision?.into_inner(),
            policies,
            max_session: max_session.map_or(Some(None), |sound| sound.map(Some))?,
            errors: row.fields.errors,
        })
    }

    /// An id that no policy has is misspelt, or the policy is gone.
    fn policies(&mut self, ids: Vec<Text>) -> Vec<String> {
        let mut policies = Vec::with_capacity(ids.len());
        for id in ids {
            let known = self.ids.as_ref().is_none_or(|known| known.contains(id.get_ref()));
            if !known {
                self.mistakes.at(&id.span(), "no policy has this id");
            }
            policies.push(id.into_inner());
        }
        policies.sort();
        policies
    }

    fn keep<T>(&mut self, text: &Text, result: Result<T, impl std::fmt::Display>) -> Option<T> {
        self.mistakes.keep(&text.span(), result)
    }

    fn place(&self, row: &Row<CaseRow>) -> String {
        let here = Problem::error(self.mistakes.path, "").at(self.mistakes.text, row.span.start, 1);
        let line = here.place.map_or(1, |place| place.line);
        format!("{}:{line}", self.mistakes.path.display())
    }
}

fn time(text: &str) -> Result<SystemTime, String> {
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(time.into()),
        Err(_) => Err(format!("`{text}` is not a time such as {}", asked::NOW)),
    }
}

/// As `@max_session` writes it.
fn session(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse().ok());
    match days.and_then(|days| DAY.checked_mul(days)) {
        Some(days) => Ok(days),
        None => values::duration(text)
            .map_err(|_| format!("`{text}` is not a duration such as `30m`, `8h` or `7d`")),
    }
}
