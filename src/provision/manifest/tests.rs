//! The example, its meaning, and helpers that the other tests share.

mod edits;
mod mistakes;
mod properties;
mod wanted;

use super::{Manifest, read};
use std::time::{Duration, SystemTime};

pub const EXAMPLE: &str = include_str!("../../../policies/access.toml");

/// 2026-06-01T00:00:00Z
pub fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_272_000)
}

/// A manifest that must be right.
pub fn right(text: &str) -> Manifest {
    match read(text, now()) {
        Ok(manifest) => manifest,
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

#[test]
fn the_example_has_no_mistake() {
    let manifest = right(EXAMPLE);
    assert_eq!(manifest.notes, []);
    let names: Vec<_> = manifest.clusters.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["orders", "tenants"]);
    for cluster in manifest.clusters.values() {
        assert!(!cluster.wanted(now()).roles.is_empty());
    }
}
