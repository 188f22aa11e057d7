//! `manifest` and `[provision]`: the access manifest, which catalog and policies take from, too.

use super::choose::{Configured, Written, read_target, read_targets};
use crate::config::section::{Problems, Section};
use crate::config::source::Environment;
use crate::config::target::manifest::Source;
use crate::config::target::{Defaults, Described};
use crate::domain::target::Target;
use crate::error::Chain;
use crate::platform::clock::Clock;
use crate::provision::manifest::{self, Manifest, file};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Table;

/// The access manifest as configured.
#[derive(Debug, Clone)]
pub struct ManifestSetting {
    pub path: PathBuf,
    /// What it was read from.
    pub text: String,
    pub manifest: Arc<Manifest>,
    /// Grants that have ended are taken back in the database.
    pub take_back: bool,
    /// The targets as they were written, to be read once more with another manifest.
    written: Vec<Written>,
    defaults: Defaults,
}

/// The manifest, and the targets of the file with what it says of them. `None`: it cannot be used, and what targets then
/// lack is no mistake of theirs.
pub fn with_targets(
    root: &mut Section<'_>,
    defaults: &Defaults,
    environment: Environment<'_>,
) -> Option<(Option<ManifestSetting>, Vec<Configured>)> {
    let mut manifest = match read(root) {
        Given::Not => None,
        Given::As(setting) => Some(*setting),
        Given::Wrong => {
            root.sections("targets");
            return None;
        }
    };
    let source = manifest.as_ref().map(ManifestSetting::source);
    let (configured, written) = read_targets(root, defaults, environment, source);
    if let Some(setting) = &mut manifest {
        setting.written = written;
        setting.defaults = defaults.clone();
    }
    Some((manifest, configured))
}

/// Whether the key is there, and what came of it.
enum Given {
    Not,
    Wrong,
    As(Box<ManifestSetting>),
}

/// Where the manifest is, by the configuration.
pub fn manifest_path(file: &Table) -> Option<PathBuf> {
    file.get("manifest")
        .and_then(|path| path.as_str())
        .map(PathBuf::from)
}

fn read(root: &mut Section<'_>) -> Given {
    let named = root.table().contains_key("manifest");
    let path = root.string("manifest").map(PathBuf::from);
    let take_back = read_provision(root);
    let Some(path) = path else {
        if take_back {
            root.problem(
                "provision.take_back",
                "goes with `manifest`, which says when grants end",
            );
        }
        return if named { Given::Wrong } else { Given::Not };
    };
    match root.convert("manifest", load(&path)) {
        Some((text, manifest)) => Given::As(Box::new(ManifestSetting {
            path,
            text,
            manifest: Arc::new(manifest),
            take_back,
            written: Vec::new(),
            defaults: Defaults::default(),
        })),
        None => Given::Wrong,
    }
}

fn read_provision(root: &mut Section<'_>) -> bool {
    let Some(mut section) = root.section("provision") else {
        return false;
    };
    let take_back = section.boolean("take_back").unwrap_or(false);
    section.finish();
    take_back
}

fn load(path: &Path) -> Result<(String, Manifest), String> {
    let text = file::load(path).map_err(|error| Chain(&error).to_string())?;
    judge(path, text)
}

fn judge(path: &Path, text: String) -> Result<(String, Manifest), String> {
    let manifest = manifest::read(&text, Clock::system().now());
    let manifest = manifest.map_err(|mistakes| format!("{}: {mistakes}", path.display()))?;
    Ok((text, manifest))
}

impl ManifestSetting {
    fn source(&self) -> Source<'_> {
        Source {
            path: &self.path,
            manifest: &self.manifest,
        }
    }

    /// The text as it is now.
    pub fn text_now(&self) -> Result<String, String> {
        file::load(&self.path).map_err(|error| Chain(&error).to_string())
    }

    /// The manifest of another text, and the targets of the configuration with it. All is well, or nothing is.
    pub fn with(
        &self,
        text: String,
        environment: Environment<'_>,
    ) -> Result<(Manifest, Vec<Target>), String> {
        let (_, manifest) = judge(&self.path, text)?;
        let source = Source {
            path: &self.path,
            manifest: &manifest,
        };
        let problems = RefCell::new(Problems::default());
        let mut targets = Vec::new();
        for (name, path, table) in &self.written {
            let section = Section::new(path.clone(), table.clone(), &problems);
            let around = (&self.defaults, environment);
            let target = read_target(name, section, around, Some(source), Described::InFile);
            targets.extend(target);
        }
        let problems = problems.into_inner();
        match problems.is_empty() {
            true => Ok((manifest, targets)),
            false => Err(problems.lines().join("; ")),
        }
    }
}

#[cfg(test)]
mod tests;
