//! The cluster as it will be when its provisioner has been made.

use super::founding::{Founding, STAND_IN};
use crate::provision::inspected::{Inspected, InspectedMembership};
use crate::provision::name::{RDS_IAM, RoleName};
use crate::provision::wanted::MembershipOptions;

/// From what an administrator found.
pub fn foreseen(inspected: &Inspected, provisioner: &RoleName, founding: &Founding) -> Inspected {
    let mut foreseen = inspected.clone();
    let administrator = foreseen.server.provisioner.clone();
    let options = MembershipOptions {
        admin: true,
        inherit: false,
        set: false,
    };
    let role = foreseen.roles.entry(provisioner.clone()).or_default();
    (role.login, role.inherit, role.create_role, role.create_db) = (true, true, true, true);
    let given = [RDS_IAM, "pg_monitor"].map(RoleName::new);
    for given in given.into_iter().flatten() {
        let has_it = |row: &InspectedMembership| row.role == given && row.options.admin;
        if !role.member_of.iter().any(has_it) {
            role.member_of.push(InspectedMembership {
                role: given,
                options,
                grantor: administrator.clone(),
            });
        }
    }
    foreseen.server.provisioner_is_superuser = role.superuser;
    foreseen.roles.retain(|name, _| name.as_str() != STAND_IN);
    for role in foreseen.roles.values_mut() {
        role.member_of.retain(|row| row.role.as_str() != STAND_IN);
    }
    foreseen.server.provisioner_may_create_roles = true;
    foreseen.server.provisioner_may_create_databases = true;
    foreseen.server.provisioner = provisioner.clone();
    for name in &founding.handed_over {
        if let Some(database) = foreseen.databases.get_mut(name) {
            database.owner = provisioner.clone();
        }
    }
    foreseen
}
