//! Permissions that cover more than they name.

use super::allowed::{arn, only_cluster, under};
use super::holder::Holder;
use super::pattern::{ANYTHING, Pattern};
use super::rule::{May, Rule};
use super::{Account, CONNECT};
use crate::provision::drift::finding::{Finding, Mend};
use crate::provision::drift::kind::Kind;
use crate::provision::iam::Site;
use std::collections::BTreeSet;

/// A name and a resource id that nothing has: what covers these covers everything.
const ANY_USER: &str = ANYTHING;
const ANY_ID: &str = ANYTHING;
/// Names that a sentence lists.
const SHOWN_MAX: usize = 5;

/// `pattern`: none of `NotResource`.
pub fn finding(
    account: &Account<'_>,
    holder: &Holder<'_>,
    place: &str,
    rule: &Rule,
    pattern: Option<&Pattern>,
) -> Option<Finding> {
    let mut cover = Cover {
        account,
        holder,
        rule,
        pattern,
        most: May::No,
    };
    let covered = cover.all();
    if covered.is_empty() {
        return None;
    }
    let condition = match rule.has_condition {
        true => under(May::UnderCondition),
        false => under(cover.most),
    };
    let by = match pattern {
        Some(pattern) => format!("Resource `{}`", pattern.text),
        None => "NotResource".to_owned(),
    };
    let what = format!(
        "{place} allows rds-db:connect{condition} by {by}{}: it covers {}",
        action(rule),
        covered.join("; ")
    );
    Some(Finding {
        kind: Kind::WildcardArn,
        cluster: only_cluster(account),
        database: None,
        subject: holder.shown(),
        what,
        mend: Mend::Edit(format!(
            "put exact ARNs there (`dbproxy iam-policy` prints those of the manifest), or name `{}` in \
             `unmanaged_principals` of the cluster if it is known and right",
            holder.arn
        )),
    })
}

/// How the action is written, if not plainly.
fn action(rule: &Rule) -> String {
    if rule.actions.is_not {
        return " with NotAction".to_owned();
    }
    let mut actions = rule.actions.patterns.iter();
    match actions.find(|action| action.fits(CONNECT)) {
        Some(action) if action.text != CONNECT => format!(" with Action `{}`", action.text),
        _ => String::new(),
    }
}

/// What one of a principal's permissions covers, denials taken away.
struct Cover<'a> {
    account: &'a Account<'a>,
    holder: &'a Holder<'a>,
    rule: &'a Rule,
    pattern: Option<&'a Pattern>,
    most: May,
}

impl Cover<'_> {
    fn all(&mut self) -> Vec<String> {
        let mut covered = Vec::new();
        for site in &self.account.sites {
            if self.user(site, ANY_USER) {
                covered.push(format!("every db user of cluster {}", site.name));
                continue;
            }
            let names = self.names(site).into_iter();
            let some: Vec<String> = names.filter(|name| self.user(site, name)).collect();
            if !some.is_empty() {
                covered.push(format!("{} of cluster {}", few(&some), site.name));
            } else if self.users_to_come(site) {
                covered.push(format!("db users of cluster {} that do not exist yet", site.name));
            }
        }
        let elsewhere = self.account.sites.first().map(|site| arn(site, ANY_ID, ANY_USER));
        if elsewhere.is_some_and(|arn| self.arn(&arn)) {
            covered.push("every other cluster of the account, those to come included".to_owned());
        }
        covered
    }

    fn user(&mut self, site: &Site<'_>, user: &str) -> bool {
        let arns = site.resource_ids.iter().map(|id| arn(site, id, user));
        // All of them: each may say how.
        arns.filter(|arn| self.arn(arn)).count() > 0
    }

    /// Whoever makes a user whose name fits hands it over.
    fn users_to_come(&mut self, site: &Site<'_>) -> bool {
        let Some(pattern) = self.pattern else {
            return false;
        };
        // Of an ARN the name is the end.
        let before = |id: &String| arn(site, id, ANY_USER).strip_suffix(ANY_USER).map(str::to_owned);
        let places = site.resource_ids.iter().filter_map(before);
        let names: BTreeSet<String> = places.flat_map(|place| pattern.ends_after(&place)).collect();
        names.iter().any(|name| self.user(site, name))
    }

    fn arn(&mut self, arn: &str) -> bool {
        let fits = match self.pattern {
            Some(pattern) => pattern.fits(arn),
            None => self.rule.resources.covers(arn, true),
        };
        let may = if fits {
            self.holder.may_connect(arn)
        } else {
            May::No
        };
        self.most = may.max(self.most);
        may != May::No
    }

    /// Db users that a pattern may mean: those that are known, and the one that it spells out.
    fn names(&self, site: &Site<'_>) -> BTreeSet<String> {
        let declared = site.cluster.users.iter().filter(|(_, user)| user.rds_iam);
        let mut names: BTreeSet<String> = declared.map(|(name, _)| name.to_string()).collect();
        names.insert(site.cluster.provisioner.to_string());
        if let Some(inspected) = self.account.facts.inspected.get(site.name) {
            let logins = inspected.roles.iter().filter(|(_, role)| role.login);
            names.extend(logins.map(|(name, _)| name.to_string()));
        }
        let spelled = self.pattern.and_then(|pattern| pattern.text.rsplit_once('/'));
        names.extend(spelled.and_then(|(_, name)| Pattern::new(name).only()));
        names
    }
}

fn few(names: &[String]) -> String {
    let more = names.len().saturating_sub(SHOWN_MAX);
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN_MAX)
        .map(|name| format!("{name:?}"))
        .collect();
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
