//! Which databases a db role opens.

use super::types::Cluster;
use crate::domain::name::DbRole;
use crate::provision::name::{Database, RoleName};
use crate::provision::wanted::{Grantee, Privilege, WantedDatabase};
use std::collections::BTreeSet;
use std::time::SystemTime;

impl Cluster {
    /// Databases that members of the role may connect to, because it owns them or has CONNECT.
    pub fn reached_by(&self, role: &DbRole) -> BTreeSet<Database> {
        let wanted = self.wanted(SystemTime::UNIX_EPOCH).databases.into_iter();
        let role = RoleName::from(role);
        let reached = wanted.filter(|(_, database)| reaches(database, &role));
        reached.map(|(name, _)| name).collect()
    }

    /// Roles that open this database.
    pub fn that_reach(&self, database: &Database) -> Vec<&DbRole> {
        let roles = self.roles.keys();
        roles
            .filter(|role| self.reached_by(role).contains(database))
            .collect()
    }
}

fn reaches(database: &WantedDatabase, role: &RoleName) -> bool {
    let granted = database.grants.get(&Grantee::Role(role.clone()));
    database.owner == *role || granted.is_some_and(|granted| granted.contains(&Privilege::Connect))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::manifest::read;
    use crate::provision::manifest::tests::EXAMPLE;

    #[test]
    fn roles_open_what_the_manifest_gives_them() {
        let manifest = read(EXAMPLE, SystemTime::UNIX_EPOCH).unwrap();
        let reached = |cluster: &str, role: &str| {
            let mut clusters = manifest.clusters.iter();
            let (_, cluster) = clusters.find(|(name, _)| name.as_str() == cluster).unwrap();
            let reached = cluster.reached_by(&DbRole::new(role).unwrap()).into_iter();
            reached.map(String::from).collect::<Vec<_>>()
        };
        assert_eq!(reached("orders", "owner"), ["app", "archive"]);
        assert_eq!(reached("orders", "read_write"), ["app"]);
        assert_eq!(reached("orders", "monitor"), ["app", "archive"]);
        assert_eq!(reached("orders", "capture"), ["app"]);
        assert_eq!(reached("tenants", "blue_owner"), ["blue"]);
        let tenants = manifest.clusters.values().last().unwrap();
        let green = tenants.that_reach(&Database::new("green").unwrap());
        let green: Vec<_> = green.into_iter().map(DbRole::as_str).collect();
        assert_eq!(green, ["green_owner", "green_rw"]);
    }
}
