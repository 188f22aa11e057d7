//! `[defaults]`: keys that every target has unless it sets them itself.

use super::credential::{self, Surroundings};
use super::names::read_port;
use super::propagation;
use super::server::{read_ca_file, read_region};
use super::who;
use crate::config::reference;
use crate::config::section::Section;
use crate::config::source::Environment;
use toml::Table;

/// The values that targets inherit.
#[derive(Debug, Clone, Default)]
pub struct Defaults(Table);

impl Defaults {
    /// Reads the table once by itself, so that a mistake is found even where every target sets the key.
    pub fn read(root: &mut Section<'_>, environment: Environment<'_>) -> Self {
        let Some(section) = root.section("defaults") else {
            return Self::default();
        };
        let known = |key: &str| reference::DEFAULTS.iter().any(|known| known.name == key);
        let mut values = section.table().clone();
        values.retain(|key, _| known(key));
        judge(section, environment);
        Self(values)
    }

    /// Whether the target is a broker, by itself or by default.
    pub fn make_broker(&self, target: &Section<'_>) -> bool {
        let table = match target.table().contains_key("credential") {
            true => target.table(),
            false => &self.0,
        };
        credential::is_broker_table(table)
    }

    pub fn fill(&self, target: &mut Section<'_>) {
        for (key, value) in &self.0 {
            target.fill(key, value.clone(), format!("defaults.{key}"));
        }
    }
}

fn judge(mut section: Section<'_>, environment: Environment<'_>) {
    read_region(&mut section);
    read_ca_file(&mut section);
    who::read_users(&mut section);
    who::read_databases(&mut section);
    read_port(&mut section, "port");
    who::read_default_database(&mut section);
    who::read_default_db_user(&mut section);
    section.string("account_id");
    propagation::read(&mut section);
    credential::of(&mut section, Surroundings::default(), environment);
    section.finish();
}
