//! One thing that has drifted.

use super::kind::{Kind, Severity};
use crate::domain::name::TargetName;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    /// None where it concerns none in particular.
    pub cluster: Option<TargetName>,
    /// Of the cluster.
    pub database: Option<String>,
    /// Who or what: `db user "app"`.
    pub subject: String,
    /// A sentence without its full stop.
    pub what: String,
    pub mend: Mend,
}

/// What a person can do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mend {
    /// For a shell.
    Command(String),
    /// For a session of somebody who may.
    Sql(String),
    /// To the manifest or to a policy, in words.
    Edit(String),
}

impl Mend {
    /// What the key of JSON says.
    pub fn how(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Sql(_) => "sql",
            Self::Edit(_) => "edit",
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Self::Command(text) | Self::Sql(text) | Self::Edit(text) => text,
        }
    }
}

impl Finding {
    pub fn severity(&self) -> Severity {
        self.kind.severity()
    }
}

/// The worst first, each once.
pub fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    let key = |finding: &Finding| {
        (
            finding.severity(),
            finding.kind,
            finding.database.clone(),
            finding.subject.clone(),
            finding.what.clone(),
        )
    };
    findings.sort_by_cached_key(key);
    findings.dedup();
    findings
}

/// A name as a shell takes it.
pub fn shell(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match !name.is_empty() && name.chars().all(plain) {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', "'\\''")),
    }
}
