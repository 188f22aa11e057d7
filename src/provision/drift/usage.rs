//! Which db users the audit log has seen, and when last. It sees what went through dbproxy, and nothing else.

use super::finding::{Finding, Mend, shell, sorted};
use super::kind::Kind;
use crate::domain::name::{DbRole, DbUser, TargetName};
use crate::provision::manifest::{Cluster, Rights, Template};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

/// Pairs of target and user that are kept; a log of more is not one of this manifest.
const PAIRS_MAX: usize = 100_000;
const DAY_SECONDS: u64 = 86_400;

/// What a log says, line by line.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// By target and db user.
    last: BTreeMap<(String, String), SystemTime>,
    oldest: Option<SystemTime>,
}

/// Why nothing is judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotJudged {
    #[error("the audit files have no line with a time")]
    Empty,
    #[error("the audit files begin at {0}, which is not {1} days ago")]
    TooShort(Timestamp, u64),
}

impl Usage {
    /// One line of the audit.
    pub fn take(&mut self, line: &Value) {
        let says = |name: &str| line.get(name).and_then(Value::as_str);
        let Some(time) = says("time").and_then(|time| time.parse::<Timestamp>().ok()) else {
            return;
        };
        let time = SystemTime::from(time);
        self.oldest = Some(self.oldest.map_or(time, |oldest| oldest.min(time)));
        let is_use = matches!(says("event"), Some("session.opened" | "session.closed"));
        let (Some(target), Some(user), true) = (says("target"), says("db_user"), is_use) else {
            return;
        };
        let key = (target.to_owned(), user.to_owned());
        let known = self.last.len();
        match self.last.get_mut(&key) {
            Some(last) => *last = time.max(*last),
            None if known < PAIRS_MAX => {
                self.last.insert(key, time);
            }
            None => {}
        }
    }

    fn last(&self, targets: &BTreeSet<String>, user: &str) -> Option<SystemTime> {
        let of = |target: &String| self.last.get(&(target.clone(), user.to_owned())).copied();
        targets.iter().filter_map(of).max()
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub name: &'a TargetName,
    pub cluster: &'a Cluster,
    /// All that lead to the cluster.
    pub targets: &'a BTreeSet<String>,
    pub days: u64,
    pub now: SystemTime,
}

pub fn findings(asked: &Question<'_>, usage: &Usage) -> Result<Vec<Finding>, NotJudged> {
    let oldest = usage.oldest.ok_or(NotJudged::Empty)?;
    let length = Duration::from_secs(asked.days.saturating_mul(DAY_SECONDS));
    let since = asked.now.checked_sub(length).unwrap_or(SystemTime::UNIX_EPOCH);
    if oldest > since {
        let oldest = Timestamp::try_from(oldest).unwrap_or(Timestamp::UNIX_EPOCH);
        return Err(NotJudged::TooShort(oldest, asked.days));
    }
    let is_used = |user: &DbUser| {
        usage
            .last(asked.targets, user.as_str())
            .is_some_and(|last| last >= since)
    };
    let users = asked.cluster.users.keys();
    let unused: BTreeSet<&DbUser> = users.filter(|user| !is_used(user)).collect();
    let users = unused.iter().map(|user| unused_user(asked, usage, user));
    let roles = asked.cluster.roles.iter().filter(|(name, role)| {
        let is_owner = matches!(
            role.rights,
            Rights::Template {
                template: Template::Owner,
                ..
            }
        );
        !is_owner && members(asked, name).all(|user| unused.contains(user))
    });
    let roles = roles.map(|(name, _)| unused_role(asked, name));
    Ok(sorted(users.chain(roles).collect()))
}

fn members<'a>(asked: &Question<'a>, role: &'a DbRole) -> impl Iterator<Item = &'a DbUser> + use<'a> {
    let now = asked.now;
    let has = move |grant: &crate::provision::manifest::Grant| grant.role == *role && !grant.has_ended(now);
    let users = asked.cluster.users.iter();
    users
        .filter(move |(_, user)| user.roles.iter().any(has))
        .map(|(name, _)| name)
}

fn unused_user(asked: &Question<'_>, usage: &Usage, user: &DbUser) -> Finding {
    let last = match usage.last(asked.targets, user.as_str()).map(Timestamp::try_from) {
        Some(Ok(last)) => format!("last at {last:.0}"),
        _ => "and at no time before in these files".to_owned(),
    };
    told(
        asked,
        Kind::UnusedUser,
        format!("db user {:?}", user.as_str()),
        format!("nobody was it through dbproxy for {} days, {last}", asked.days),
        Mend::Command(format!(
            "dbproxy revoke {} --cluster {} --allow-destructive",
            shell(user.as_str()),
            asked.name
        )),
    )
}

fn unused_role(asked: &Question<'_>, role: &DbRole) -> Finding {
    let what = match members(asked, role).next() {
        Some(_) => format!("no user that has it was used for {} days", asked.days),
        None => "no user of the manifest has it".to_owned(),
    };
    let key = format!("clusters.{}.roles.{:?}", asked.name, role.as_str());
    let mend = Mend::Edit(format!(
        "take [{key}] out of the manifest, where users name it too, and run dbproxy apply {} --allow-destructive",
        asked.name
    ));
    told(
        asked,
        Kind::UnusedRole,
        format!("db role {:?}", role.as_str()),
        what,
        mend,
    )
}

fn told(asked: &Question<'_>, kind: Kind, subject: String, what: String, mend: Mend) -> Finding {
    Finding {
        kind,
        cluster: Some(asked.name.clone()),
        database: None,
        subject,
        what,
        mend,
    }
}
