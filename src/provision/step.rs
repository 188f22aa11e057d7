//! What is to be done, as data: shown, saved, reviewed, executed.

use super::name::{Database, RoleName};
use serde::{Deserialize, Serialize};

/// The way from what is inspected to what is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// What a reader should know and no step mends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One thing to do, with the statements that do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// For people: `create db user "app_ro"`.
    pub title: String,
    /// Where it runs; absent: for the whole cluster, in the database that the provisioner logs in to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
    /// As whom (`SET LOCAL ROLE`); absent: as the provisioner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_role: Option<RoleName>,
    /// Each a single one. `search_path` is empty, so names are qualified; an extension goes where its control file says,
    /// or else into `public`.
    pub statements: Vec<String>,
    pub kind: StepKind,
}

/// How much a step may take away, and whether it can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Adds, or makes what is there agree; in a transaction with its neighbours.
    Ordinary,
    /// Takes something away from somebody: needs `--allow-destructive`.
    Destructive,
    /// Cannot run in a transaction (`CREATE DATABASE`): runs alone, and is not undone by what fails later.
    Alone,
}
