//! Where settings come from: a TOML file and the environment. The only reader of either.

use std::path::{Path, PathBuf};
use toml::Table;

/// Reads environment variables; tests give their own.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process environment. A value that is not UTF-8 counts as absent.
#[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
pub fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Why the configuration file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("cannot read the configuration file `{path}`")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the configuration file `{path}` is not valid TOML: {message}")]
    Toml { path: PathBuf, message: String },
}

/// The settings of a file, and which file it was.
#[derive(Debug, Default)]
pub struct FileSettings {
    pub path: Option<PathBuf>,
    pub table: Table,
}

/// Reads the named file, or the first that exists of the default places; none is fine.
pub fn read(named: Option<&Path>, environment: Environment<'_>) -> Result<FileSettings, SourceError> {
    let found = match named {
        Some(path) => Some(path.to_owned()),
        None => default_places(environment)
            .into_iter()
            .find(|path| path.is_file()),
    };
    let Some(path) = found else {
        return Ok(FileSettings::default());
    };
    let text = std::fs::read_to_string(&path).map_err(|source| SourceError::Read {
        path: path.clone(),
        source,
    })?;
    match text.parse() {
        Ok(table) => Ok(FileSettings {
            path: Some(path),
            table,
        }),
        Err(error) => Err(SourceError::Toml {
            path,
            message: error.to_string(),
        }),
    }
}

fn default_places(environment: Environment<'_>) -> Vec<PathBuf> {
    let user = environment("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(environment("HOME")?).join(".config")));
    let mut places = vec![PathBuf::from("dbproxy.toml")];
    places.extend(user.map(|dir| dir.join("dbproxy/config.toml")));
    places.push(PathBuf::from("/etc/dbproxy/config.toml"));
    places
}
