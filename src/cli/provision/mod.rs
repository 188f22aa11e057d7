//! What the commands of provisioning share.
//!
//! - [`args`]: their flags
//! - [`manifest`]: the file that holds the manifest, read and replaced as a whole
//! - [`at`]: the way to the cluster of a command
//! - [`sites`]: the facts that ARNs need; [`iam`]: IAM of the account
//! - [`show`]: plans as people and programs read them; [`progress`]: how a run goes on
//! - [`plan_file`]: what was reviewed is what runs
//! - [`change`], [`diff`]: a grant or a revocation from the manifest to the database

pub mod args;
pub mod at;
pub mod change;
mod diff;
mod failure;
pub mod iam;
pub mod manifest;
pub mod plan_file;
pub mod progress;
pub mod show;
pub mod sites;
