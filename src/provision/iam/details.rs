//! Reads what `aws iam get-account-authorization-details` prints: one file or several, of one account or several.
//!
//! Lenient about what is not compared, strict about what is: a part that is missing would read as something nobody is
//! allowed, so it is a mistake.

mod entry;
mod fields;

use super::found::{Found, FoundHeld, FoundManaged, FoundPrincipal};
use crate::provision::manifest::arn::AccountId;
use entry::{Key, Reader, account_of, arn, group, name_of, policy, role, user};
use fields::{At, Mistaken};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Of one file: far above what an account with all quotas used up prints.
pub const BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Mistakes that are told.
const TOLD_MAX: usize = 20;

/// What is wrong, each with its file and place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n  "))]
pub struct DetailsError(pub Vec<String>);

/// Accounts while they are read.
#[derive(Debug, Default)]
pub struct Details {
    accounts: BTreeMap<Key, Account>,
    /// Policies of AWS itself: any account may have them.
    shared: BTreeMap<String, FoundManaged>,
    /// A last page has no account's name on it.
    has_last_page: bool,
    mistakes: Vec<String>,
}

#[derive(Debug, Default)]
struct Account {
    principals: BTreeMap<String, FoundPrincipal>,
    /// Names of groups, which is all that a user's entry says.
    members: BTreeMap<String, BTreeSet<String>>,
    groups: BTreeMap<String, FoundHeld>,
    managed: BTreeMap<String, FoundManaged>,
    /// A page that was the last one.
    is_whole: bool,
}

impl Details {
    /// One file, or one page of it.
    pub fn take(&mut self, file: &str, bytes: &[u8]) {
        let mut mistaken = Mistaken::new(file);
        match serde_json::from_slice::<Value>(bytes) {
            Ok(value) if value.is_object() => self.page(&value, &mut mistaken),
            Ok(_) => mistaken.add("", "is no JSON object"),
            Err(error) => mistaken.add("", &format!("is no JSON: {error}")),
        }
        self.mistakes.extend(mistaken.told);
    }

    fn page(&mut self, page: &Value, mistaken: &mut Mistaken) {
        let page = At::root(page);
        let lists = ["UserDetailList", "GroupDetailList", "RoleDetailList", "Policies"];
        for name in lists.into_iter().filter(|name| !page.has(name)) {
            let what = "is missing: this is not what `aws iam get-account-authorization-details` prints, or not all of it";
            mistaken.add(name, what);
        }
        let mut own = BTreeSet::new();
        for (name, read) in [
            ("UserDetailList", user as Reader),
            ("GroupDetailList", group),
            ("RoleDetailList", role),
        ] {
            for entry in page.list(name, mistaken) {
                let Some((key, arn)) = arn(&entry, mistaken) else {
                    continue;
                };
                own.insert(key.clone());
                read(self.accounts.entry(key).or_default(), arn, &entry, mistaken);
            }
        }
        let policies = page.list("Policies", mistaken);
        for (arn, policy) in policies.iter().filter_map(|entry| policy(entry, mistaken)) {
            match account_of(&arn) {
                None => self.shared.insert(arn, policy),
                Some(key) => {
                    own.insert(key.clone());
                    self.accounts.entry(key).or_default().managed.insert(arn, policy)
                }
            };
        }
        let is_last = !page
            .value("IsTruncated")
            .and_then(Value::as_bool)
            .unwrap_or_default();
        self.has_last_page |= is_last && own.is_empty();
        for key in own {
            self.accounts.entry(key).or_default().is_whole |= is_last;
        }
    }

    /// All accounts of all files.
    pub fn finish(mut self) -> Result<Vec<Found>, DetailsError> {
        let mut found = Vec::new();
        for ((partition, account), read) in std::mem::take(&mut self.accounts) {
            if !read.is_whole && !self.has_last_page {
                self.mistakes.push(format!(
                    "account {account}: the last page is missing (IsTruncated)"
                ));
            }
            found.push(self.join(partition, account, read));
        }
        if found.is_empty() && self.mistakes.is_empty() {
            self.mistakes
                .push("there is no user, group or role in these files".to_owned());
        }
        let more = self.mistakes.len().saturating_sub(TOLD_MAX);
        self.mistakes.truncate(TOLD_MAX);
        if more > 0 {
            self.mistakes.push(format!("and {more} more"));
        }
        match self.mistakes.is_empty() {
            true => Ok(found),
            false => Err(DetailsError(self.mistakes)),
        }
    }

    /// Groups by ARN in the place of their names; whether all policies are there that somebody has.
    fn join(&mut self, partition: String, account: AccountId, mut read: Account) -> Found {
        let by_name: BTreeMap<String, String> = read
            .groups
            .keys()
            .map(|arn| (name_of(arn).to_owned(), arn.clone()))
            .collect();
        for (user, names) in &read.members {
            for name in names {
                match (by_name.get(name), read.principals.get_mut(user)) {
                    (Some(arn), Some(principal)) => {
                        principal.groups.insert(arn.clone());
                    }
                    _ => self.mistakes.push(format!(
                        "{user} is in the group `{name}`, which GroupDetailList does not have"
                    )),
                }
            }
        }
        let all = read.principals.values().map(|principal| &principal.held);
        for arn in all.chain(read.groups.values()).flat_map(|held| &held.attached) {
            if let Some(policy) = self.shared.get(arn) {
                read.managed.insert(arn.clone(), policy.clone());
            }
        }
        let principals = read
            .principals
            .iter()
            .map(|(arn, principal)| (arn, &principal.held));
        for (arn, held) in principals.chain(&read.groups) {
            for policy in held
                .attached
                .iter()
                .filter(|policy| !read.managed.contains_key(*policy))
            {
                let what = "which Policies does not have: leave out --filter, or add the policy's page";
                self.mistakes
                    .push(format!("{arn} has the policy {policy}, {what}"));
            }
        }
        Found {
            partition,
            account,
            principals: read.principals,
            groups: read.groups,
            managed: read.managed,
        }
    }
}

#[cfg(test)]
mod tests;
