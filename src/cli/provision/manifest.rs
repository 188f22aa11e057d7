//! The file of the access manifest.

use crate::cli::exit::Failure;
use crate::domain::name::TargetName;
use crate::platform::clock::Clock;
use crate::provision::manifest::{self, Cluster, Manifest, file};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A manifest and the text it was read from.
pub struct ManifestFile {
    path: PathBuf,
    pub text: String,
    pub manifest: Manifest,
}

impl ManifestFile {
    /// All mistakes at once, each with its line and column.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = read(path)?;
        let manifest = manifest::read(&text, Clock::system().now());
        let manifest = manifest.map_err(|mistakes| {
            let text = format!("{}: {mistakes}", path.display());
            Failure::text(1, text)
        })?;
        Ok(Self {
            path: path.to_owned(),
            text,
            manifest,
        })
    }

    /// The cluster of that name; without one the only one there is.
    pub fn cluster(&self, named: Option<&str>) -> Result<(TargetName, Cluster), Failure> {
        let clusters = &self.manifest.clusters;
        let found = match named {
            Some(name) => clusters.iter().find(|(known, _)| known.as_str() == name),
            None if clusters.len() == 1 => clusters.iter().next(),
            None => None,
        };
        let known: Vec<&str> = clusters.keys().map(TargetName::as_str).collect();
        let path = self.path.display();
        match (found, named) {
            (Some((name, cluster)), _) => Ok((name.clone(), cluster.clone())),
            (None, Some(name)) => {
                let mut failure = Failure::text(1, format!("{path} has no cluster `{name}`"));
                failure.hint = Some(format!("It has: {}", known.join(", ")));
                Err(failure)
            }
            (None, None) if known.is_empty() => Err(Failure::text(1, format!("{path} has no cluster"))),
            (None, None) => {
                let mut failure = Failure::text(1, format!("{path} has several clusters: name one"));
                failure.hint = Some(format!("It has: {}", known.join(", ")));
                Err(failure)
            }
        }
    }

    /// What is no mistake and worth knowing, with its place.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let path = self.path.display();
        self.manifest
            .notes
            .iter()
            .map(move |note| format!("{path}:{note}"))
    }

    /// Puts another text in the place of this one, unless somebody else has done so meanwhile.
    pub fn replace(&self, text: &str) -> Result<(), Failure> {
        self.replace_if(&self.text, text)
    }

    /// Takes [`Self::replace`] back.
    pub fn restore(&self, replaced_by: &str) -> Result<(), Failure> {
        self.replace_if(replaced_by, &self.text)
    }

    fn replace_if(&self, expected: &str, text: &str) -> Result<(), Failure> {
        if read(&self.path)? != expected {
            let path = self.path.display();
            let what = format!("{path} was changed by somebody else meanwhile, and is left as it is");
            return Err(Failure::text(1, what));
        }
        write(&self.path, text).map_err(|error| cannot("write", &self.path, &error))
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    file::load(path).map_err(Failure::usage)
}

pub fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::text(1, format!("cannot {what} {}: {error}", path.display()))
}

/// Readers see the old file or the new one, whole, also after a crash. What a link points to is replaced, not the link,
/// and the mode stays.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let path = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        found => found?,
    };
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(beside);
    let written = write_beside(&path, &beside, text).and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
        return written;
    }
    match path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        Some(dir) => File::open(dir)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

fn write_beside(path: &Path, beside: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(beside)?;
    match fs::metadata(path) {
        Ok(old) => file.set_permissions(old.permissions())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
