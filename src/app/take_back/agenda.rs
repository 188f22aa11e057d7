//! Which grants are over and have not been dealt with, and when the next one is.

use crate::domain::name::{DbRole, DbUser, TargetName};
use crate::provision::manifest::{Cluster, Manifest};
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

/// Grants of one user that are over, each role with its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Over {
    pub user: DbUser,
    pub roles: BTreeMap<DbRole, SystemTime>,
}

impl Over {
    /// The last of them.
    pub fn ended_at(&self) -> SystemTime {
        let ends = self.roles.values();
        ends.max().copied().unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

type Place = (TargetName, DbUser);

/// What has been dealt with.
#[derive(Debug, Default)]
pub struct Agenda {
    done: BTreeMap<Place, BTreeMap<DbRole, SystemTime>>,
    /// Taken away by this dbproxy, while sessions may be open still.
    revoked: BTreeSet<Place>,
}

impl Agenda {
    pub fn is_due(&self, manifest: &Manifest, served: &[TargetName], now: SystemTime) -> bool {
        let mut clusters = manifest.clusters.iter().filter(|(name, _)| served.contains(name));
        clusters.any(|(name, cluster)| !self.due(name, cluster, now).is_empty())
    }

    /// Users of which something has ended that is not dealt with, with all of theirs that has ended.
    pub fn due(&self, name: &TargetName, cluster: &Cluster, now: SystemTime) -> Vec<Over> {
        let over = cluster.users.iter().map(|(user, entry)| {
            let ended = entry.roles.iter().filter(|grant| grant.has_ended(now));
            let roles = ended.filter_map(|grant| Some((grant.role.clone(), grant.until?)));
            Over {
                user: user.clone(),
                roles: roles.collect(),
            }
        });
        over.filter(|over| !over.roles.is_empty() && !self.has_done(name, over))
            .collect()
    }

    fn has_done(&self, name: &TargetName, over: &Over) -> bool {
        let done = self.done.get(&(name.clone(), over.user.clone()));
        let is_done =
            |(role, until): (&DbRole, &SystemTime)| done.is_some_and(|done| done.get(role) == Some(until));
        over.roles.iter().all(is_done)
    }

    pub fn done(&mut self, name: &TargetName, over: Over) {
        let place = (name.clone(), over.user);
        self.revoked.remove(&place);
        self.done.insert(place, over.roles);
    }

    pub fn revoked(&mut self, name: &TargetName, user: &DbUser) {
        self.revoked.insert((name.clone(), user.clone()));
    }

    pub fn is_revoked(&self, name: &TargetName, user: &DbUser) -> bool {
        self.revoked.contains(&(name.clone(), user.clone()))
    }

    /// Users that are no longer in the manifest are `dbproxy apply`'s affair.
    pub fn forget_all_but(&mut self, manifest: &Manifest) {
        let is_there = |(name, user): &Place| {
            let cluster = manifest.clusters.get(name);
            cluster.is_some_and(|cluster| cluster.users.contains_key(user))
        };
        self.done.retain(|place, _| is_there(place));
        self.revoked.retain(is_there);
    }

    /// The next end of a grant.
    pub fn next(&self, manifest: &Manifest, served: &[TargetName], now: SystemTime) -> Option<SystemTime> {
        let clusters = manifest.clusters.iter().filter(|(name, _)| served.contains(name));
        let grants = clusters
            .flat_map(|(_, cluster)| cluster.users.values())
            .flat_map(|user| &user.roles);
        grants
            .filter_map(|grant| grant.until)
            .filter(|until| *until > now)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::manifest::read;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn manifest(until: &str) -> Manifest {
        let text = format!(
            "[clusters.a]\n[clusters.a.databases.app]\n[clusters.a.roles.app_owner]\ntemplate = \"owner\"\n\
             [clusters.a.roles.reader]\ntemplate = \"read-only\"\n[clusters.a.users.u]\n\
             roles = [\"reader\", {{ role = \"app_owner\", until = {until} }}]\n"
        );
        read(&text, at(0)).unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn each_end_is_dealt_with_once() {
        let name = TargetName::new("a").unwrap();
        let (served, first) = ([name.clone()], manifest("1970-01-01T00:00:10Z"));
        let cluster = |manifest: &Manifest| manifest.clusters[&name].clone();
        let mut agenda = Agenda::default();
        assert!(!agenda.is_due(&first, &served, at(9)));
        assert_eq!(agenda.next(&first, &served, at(9)), Some(at(10)));
        assert!(agenda.is_due(&first, &served, at(10)));
        assert!(!agenda.is_due(&first, &[], at(10)), "no other dbproxy's targets");
        assert_eq!(agenda.next(&first, &served, at(10)), None);
        let due = agenda.due(&name, &cluster(&first), at(10));
        let [over] = due.as_slice() else { panic!("{due:?}") };
        assert_eq!(over.roles.len(), 1);
        agenda.revoked(&name, &over.user);
        assert!(agenda.is_revoked(&name, &over.user));
        agenda.done(&name, over.clone());
        assert!(!agenda.is_revoked(&name, &over.user));
        assert!(!agenda.is_due(&first, &served, at(11)));
        // Given anew, and over again.
        let anew = manifest("1970-01-01T00:00:20Z");
        assert!(!agenda.is_due(&anew, &served, at(19)));
        assert!(agenda.is_due(&anew, &served, at(20)));
        agenda.forget_all_but(&Manifest::default());
        assert!(agenda.is_due(&first, &served, at(11)));
    }
}
