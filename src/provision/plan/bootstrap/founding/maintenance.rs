//! Who may enter the database that every cluster has.

use super::Work;
use crate::provision::name::RoleName;
use crate::provision::plan::text::{all, shown};
use crate::provision::sql::identifier;
use crate::provision::step::StepKind;
use crate::provision::wanted::{Grantee, Privilege};

impl Work<'_> {
    /// Every login role can enter `postgres` unless its owner says otherwise: users of one database must not meet those
    /// of another there.
    pub(super) fn close_maintenance(&mut self) {
        let name = self.names.maintenance.clone();
        let Some(found) = self.scene.found.databases.get(&name) else {
            return;
        };
        let everybody = found.grants.get(&Grantee::Public);
        let is_open = everybody.is_some_and(|held| held.contains(&Privilege::Connect));
        let database = identifier(&name);
        let remain = self.scene.wanted.break_glass.iter().chain([self.provisioner]);
        let remain = remain.filter(|role| {
            let found = self.scene.found.roles.get(*role);
            !found.is_some_and(|role| role.superuser)
        });
        let remain: Vec<String> = remain.map(identifier).collect();
        let mut statements: Vec<String> = match remain.is_empty() {
            true => Vec::new(),
            false => vec![format!(
                "GRANT CONNECT ON DATABASE {database} TO {}",
                remain.join(", ")
            )],
        };
        statements.push(format!(
            "REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC"
        ));
        if !is_open || self.scene.wanted.databases.contains_key(&name) {
            return;
        }
        if found.owner != *self.administrator() && !self.is_superuser() {
            let statements = statements.join("; ");
            return self.notes.push(format!(
                "every db user can enter database {}; its owner {} can mend that: {statements}",
                shown(&name),
                shown(&found.owner)
            ));
        }
        let others: Vec<&RoleName> = self
            .scene
            .bystanders()
            .filter(|role| *role != self.provisioner && *role != self.administrator())
            .collect();
        let (kind, whom) = match others.is_empty() {
            true => (StepKind::Ordinary, String::new()),
            false => (StepKind::Destructive, format!(", and so not {}", all(others))),
        };
        let title = format!("let nobody else into database {}{whom}", shown(&name));
        self.step_of(kind, title, None, statements);
    }
}
