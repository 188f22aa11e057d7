//! The access manifest: one file that says who may be whom in which database, for PostgreSQL, IAM and policy.
//!
//! [`read`] takes it in with every mistake at once; [`Cluster::wanted`] says what it means for one cluster;
//! [`edit`] changes it as its owner would have, with comments and order kept.

pub mod arn;
mod cluster;
pub mod edit;
pub mod file;
mod judge;
mod names;
mod node;
mod object;
mod principals;
mod problems;
mod reach;
mod resolve;
mod role;
#[cfg(test)]
mod tests;
mod types;
mod user;

pub use problems::{Problem, Problems};
pub use types::{
    Cluster, CrossAccount, DatabaseEntry, DbUserEntry, Explicit, Grant, Manifest, ObjectName, Rights, Role,
    Template,
};

use crate::domain::name::TargetName;
use node::Node;
use problems::Mistakes;
use std::time::SystemTime;
use toml_edit::Document;

/// Far above any manifest that people review.
pub const BYTES_MAX: usize = 1024 * 1024;
/// Clusters, and the databases, schemas and privileges of one thing.
pub const FEW_MAX: usize = 500;
/// Roles, users and principals of one cluster.
pub const MANY_MAX: usize = 5_000;

/// Reads and judges the manifest as a whole. `now` only tells which grants have ended, which is worth a note.
pub fn read(text: &str, now: SystemTime) -> Result<Manifest, Problems> {
    let mistakes = Mistakes::new(text);
    let mut manifest = Manifest::default();
    if text.len() > BYTES_MAX {
        mistakes.at(
            0,
            "",
            format_args!("{} bytes, the limit is {BYTES_MAX}", text.len()),
        );
        return Err(mistakes.into_problems());
    }
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            mistakes.at(error.span().map_or(0, |span| span.start), "", error.message());
            return Err(mistakes.into_problems());
        }
    };
    let mut root = Node::root(document.as_table(), &mistakes);
    for (name, node) in root.tables("clusters", FEW_MAX) {
        let key = node.key().to_owned();
        let name = mistakes.keep(&key, None, TargetName::new(&name));
        if let (Some(name), Some(cluster)) = (name, cluster::read(node)) {
            judge::cluster(&cluster, &key, now, &mistakes);
            manifest.clusters.insert(name, cluster);
        }
    }
    root.finish();
    let (problems, notes) = mistakes.into_parts();
    manifest.notes = notes;
    match problems.is_empty() {
        true => Ok(manifest),
        false => Err(problems),
    }
}
