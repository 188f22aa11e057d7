//! Databases that are the administrator's and are to be the provisioner's.

use super::Work;
use crate::provision::name::{Database, RoleName};
use crate::provision::plan::text::{shown, some};
use crate::provision::sql::identifier;

impl Work<'_> {
    /// Databases that were there before, such as the one a cluster is created with: only their owner can give them away.
    pub(super) fn hand_over(&mut self, stand_in: Option<&RoleName>) {
        let own = self.own_databases();
        if own.is_empty() {
            return;
        }
        let (provisioner, administrator) = (identifier(self.provisioner), identifier(self.administrator()));
        let title = format!("give {} to the provisioner", some(&own));
        let alter = own
            .iter()
            .map(|name| format!("ALTER DATABASE {} OWNER TO {provisioner}", identifier(name)));
        let alter: Vec<String> = alter.collect();
        self.handed_over.extend(own);
        if self.is_superuser() {
            return self.step(title, None, alter);
        }
        let options = match self.scene.server.has_membership_options() {
            true => " WITH INHERIT FALSE, SET TRUE",
            false => "",
        };
        let lend = format!("GRANT {provisioner} TO {administrator}{options}");
        let give_back = format!("REVOKE {provisioner} FROM {administrator}");
        let (lending, giving) = (
            format!("let {} hand over its databases", shown(self.administrator())),
            format!("{} is not the provisioner any more", shown(self.administrator())),
        );
        match stand_in {
            // One step: in the same transaction, and seen by nobody.
            None => {
                let back = match self.scene.server.has_membership_options() {
                    true => format!("{give_back} GRANTED BY {administrator}"),
                    false => give_back,
                };
                let statements = [lend].into_iter().chain(alter).chain([back]);
                self.step(title, None, statements.collect());
            }
            Some(stand_in) => {
                self.step(lending, Some(stand_in), vec![lend]);
                self.step(title, None, alter);
                self.step(giving, Some(stand_in), vec![give_back]);
            }
        }
    }

    /// Databases of the manifest that are the administrator's.
    pub(super) fn own_databases(&self) -> Vec<Database> {
        let wanted = self.scene.wanted.databases.iter();
        let own = wanted.filter(|(name, wanted)| {
            let found = self.scene.found.databases.get(*name);
            found.is_some_and(|found| found.owner == *self.administrator() && found.owner != wanted.owner)
        });
        own.map(|(name, _)| name.clone()).collect()
    }
}
