//! What the manifest grants is what the documents allow, whatever their form.

mod account;
mod limits;
mod meaning;
mod others;
mod properties;
mod steps;
mod there_and_back;

use super::render::json;
use super::{Known, Mistake, Mistakes, Policies, Site, policies};
use crate::provision::manifest::{Manifest, read};
use serde_json::Value;
use std::time::SystemTime;

pub fn manifest(text: &str) -> Manifest {
    match read(text, SystemTime::UNIX_EPOCH) {
        Ok(manifest) => manifest,
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

pub fn sites<'m>(manifest: &'m Manifest, known: &Known) -> Result<Vec<Site<'m>>, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let clusters = manifest.clusters.iter();
    let sites = clusters.filter_map(|(name, cluster)| Site::new(name, cluster, known, &mut mistakes));
    let sites = sites.collect();
    if mistakes.is_empty() {
        Ok(sites)
    } else {
        Err(mistakes)
    }
}

pub fn made(text: &str) -> Result<Policies, Mistakes> {
    made_with(text, &Known::default())
}

pub fn made_with(text: &str, known: &Known) -> Result<Policies, Mistakes> {
    let manifest = manifest(text);
    policies(
        &sites(&manifest, known).map_err(Mistakes)?,
        SystemTime::UNIX_EPOCH,
    )
}

/// Printed, and read again.
pub fn printed(text: &str) -> Value {
    serde_json::from_str(&json::render(&made(text).unwrap())).unwrap()
}

/// The texts of a string or a list.
pub fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        other => other
            .as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap())
            .collect(),
    }
}
