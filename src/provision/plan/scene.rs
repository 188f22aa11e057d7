//! What is wanted beside what was found, with renames done and what was only borrowed taken out.

use super::draft::Draft;
use super::reach::{Way, reach};
use super::rename;
use super::text::shown;
use crate::provision::inspected::{Inspected, InspectedRole, Server};
use crate::provision::name::{RDS_IAM, RoleName};
use crate::provision::sql::identifier;
use crate::provision::wanted::{MembershipOptions, Wanted};
use std::collections::{BTreeMap, BTreeSet};

/// Roles of RDS that stand in for a superuser (RDS User Guide, "Understanding the rds_superuser role").
const RDS_SUPERUSER: &str = "rds_superuser";
/// May create extensions that are not trusted (RDS User Guide, "rds_extension").
const RDS_EXTENSION: &str = "rds_extension";
/// Logins of RDS itself.
const RDS_SERVICES: [&str; 3] = ["rdsadmin", "rdstopmgr", "rdsrepladmin"];

pub struct Scene<'a> {
    pub wanted: &'a Wanted,
    pub server: &'a Server,
    pub found: Inspected,
    /// What an earlier run lent to the provisioner and did not take back.
    pub left_over: BTreeMap<RoleName, MembershipOptions>,
    /// Roles that are to be dropped.
    pub leaving: BTreeSet<RoleName>,
    /// Roles that should be dropped and cannot: nobody is to be them any more.
    pub staying: BTreeSet<RoleName>,
    /// What the provisioner has by inheritance, itself included.
    inherited: BTreeSet<RoleName>,
    settable: BTreeSet<RoleName>,
    /// What it is a member of in any way.
    member_of: BTreeSet<RoleName>,
}

impl<'a> Scene<'a> {
    pub fn new(wanted: &'a Wanted, inspected: &'a Inspected, draft: &mut Draft) -> Self {
        let server = &inspected.server;
        let (mut found, renamed) = rename::plan(wanted, inspected, draft);
        let left_over = take_borrowed(wanted, &mut found);
        note_own_grants(&found, draft);
        let own = |way| reach(&found, &server.provisioner, way);
        let (inherited, settable, member_of) = (own(Way::Inherit), own(Way::Set), own(Way::Any));
        let mut scene = Self {
            wanted,
            server,
            found,
            left_over,
            leaving: BTreeSet::new(),
            staying: BTreeSet::new(),
            inherited,
            settable,
            member_of,
        };
        for role in &renamed {
            draft.administer(&scene, role);
        }
        let undeclared = super::drops::undeclared(&scene, draft);
        (scene.leaving, scene.staying) = (undeclared.leaving, undeclared.staying);
        scene
    }

    /// Declared in the manifest.
    pub fn is_wanted(&self, role: &RoleName) -> bool {
        self.wanted.roles.contains_key(role)
    }

    /// Declared now or once.
    pub fn is_managed(&self, role: &RoleName) -> bool {
        self.is_wanted(role) || self.found.roles.get(role).is_some_and(|role| role.marked)
    }

    /// There when the plan has run.
    pub fn will_exist(&self, role: &RoleName) -> bool {
        self.is_wanted(role) || self.found.roles.contains_key(role)
    }

    pub fn is_provisioner(&self, role: &RoleName) -> bool {
        *role == self.server.provisioner
    }

    pub fn is_superuser(&self, name: &str) -> bool {
        let mut roles = self.found.roles.iter();
        roles.any(|(role, found)| role.as_str() == name && found.superuser)
    }

    pub fn creates_roles(&self) -> bool {
        self.server.provisioner_is_superuser || self.server.provisioner_may_create_roles
    }

    pub fn creates_databases(&self) -> bool {
        self.server.provisioner_is_superuser || self.server.provisioner_may_create_databases
    }

    /// Whether a role of the catalogs cannot be altered at all (`AlterRole` in PostgreSQL: superusers by superusers only,
    /// and until PostgreSQL 15 replication roles too).
    pub fn is_out_of_reach(&self, role: &InspectedRole) -> bool {
        let replicates = role.replication && !self.server.has_membership_options();
        (role.superuser || replicates) && !self.server.provisioner_is_superuser
    }

    /// May change, grant and revoke this role. One that is created by this plan is its creator's to administer.
    pub fn administers(&self, role: &RoleName) -> bool {
        let Some(found) = self.found.roles.get(role) else {
            return true;
        };
        if self.server.provisioner_is_superuser {
            return true;
        }
        if found.superuser {
            return false;
        }
        if !self.server.has_membership_options() {
            return self.creates_roles();
        }
        let admin = |holder: &RoleName| {
            let holder = self.found.roles.get(holder);
            holder.is_some_and(|holder| {
                holder
                    .member_of
                    .iter()
                    .any(|m| m.role == *role && m.options.admin)
            })
        };
        self.inherited.iter().any(admin) || self.rds_lets_grant(role)
    }

    /// RDS lets its administrators grant its own roles and PostgreSQL's without ADMIN.
    fn rds_lets_grant(&self, role: &RoleName) -> bool {
        let role = role.as_str();
        self.is_member_of(RDS_SUPERUSER) && (role == RDS_IAM || role.starts_with("pg_"))
    }

    fn is_member_of(&self, name: &str) -> bool {
        self.member_of.iter().any(|role| role.as_str() == name)
    }

    pub fn creates_untrusted_extensions(&self) -> bool {
        self.server.provisioner_is_superuser
            || self.is_member_of(RDS_SUPERUSER)
            || self.is_member_of(RDS_EXTENSION)
    }

    /// Can `SET ROLE` to it, now or with a grant to itself.
    pub fn may_act_as(&self, role: &RoleName) -> bool {
        self.server.provisioner_is_superuser || self.settable.contains(role) || self.administers(role)
    }

    /// Has the powers that borrowing would give.
    pub fn has(&self, role: &RoleName, inherit: bool) -> bool {
        self.settable.contains(role) && (!inherit || self.inherited.contains(role))
    }

    /// May revoke what this role granted (`GRANTED BY`).
    pub fn acts_for(&self, grantor: &RoleName) -> bool {
        self.server.provisioner_is_superuser || self.inherited.contains(grantor)
    }

    pub fn is_by_iam(&self) -> bool {
        self.is_member_of(RDS_IAM)
    }

    /// People and programs that are not managed and may be living by what everybody may do.
    pub fn bystanders(&self) -> impl Iterator<Item = &RoleName> {
        let counts = |(name, role): &(&RoleName, &InspectedRole)| {
            role.login
                && !role.superuser
                && !self.is_managed(name)
                && !self.is_provisioner(name)
                && !self.wanted.break_glass.contains(*name)
                && !RDS_SERVICES.contains(&name.as_str())
        };
        self.found.roles.iter().filter(counts).map(|(name, _)| name)
    }
}

/// A role of others may have been lent for a run that broke (`DROP OWNED` until PostgreSQL 15), or be meant so.
fn note_own_grants(found: &Inspected, draft: &mut Draft) {
    let provisioner = &found.server.provisioner;
    let rows = found.roles.get(provisioner).map(|own| own.member_of.as_slice());
    let own = rows.unwrap_or_default().iter().filter(|row| {
        let system = row.role.as_str().starts_with("rds_") || row.role.as_str().starts_with("pg_");
        row.grantor == *provisioner && !row.options.admin && !system
    });
    for row in own {
        draft.note(format!(
            "{} is a member of {} by its own grant, which a run that broke may have left: REVOKE {} FROM {}",
            shown(provisioner),
            shown(&row.role),
            identifier(&row.role),
            identifier(provisioner)
        ));
    }
}

/// Memberships that the provisioner gave itself: no plan ends with one, so they are left over from a run that broke.
fn take_borrowed(wanted: &Wanted, found: &mut Inspected) -> BTreeMap<RoleName, MembershipOptions> {
    let marked = |role: &RoleName| found.roles.get(role).is_some_and(|role| role.marked);
    let owns = |role: &RoleName| {
        let schemas = |database: &crate::provision::wanted::WantedDatabase| {
            database.owner == *role || database.schemas.values().any(|schema| schema.owner == *role)
        };
        wanted.databases.values().any(schemas)
    };
    let provisioner = found.server.provisioner.clone();
    let Some(own) = found.roles.get(&provisioner) else {
        return BTreeMap::new();
    };
    let (borrowed, kept): (Vec<_>, Vec<_>) = own.member_of.iter().cloned().partition(|membership| {
        let role = &membership.role;
        let ours = wanted.roles.contains_key(role) || owns(role) || marked(role);
        membership.grantor == provisioner && !membership.options.admin && ours
    });
    if let Some(own) = found.roles.get_mut(&provisioner) {
        own.member_of = kept;
    }
    borrowed
        .into_iter()
        .map(|membership| (membership.role, membership.options))
        .collect()
}
