//! The files of a set: every `*.cedar` of a directory.

use super::super::problem::{Problem, Problems};
use super::SCHEMA;
use crate::platform::file;
use aws_lc_rs::digest::{Context, SHA256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Longest file that is read.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
const FILES_MAX: usize = 1_000;
/// Where the schema stands for editors and people.
const SCHEMA_FILE: &str = "schema.cedarschema";

/// One file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile {
    pub path: PathBuf,
    pub text: String,
}

/// Reads a directory; names in order. A file that cannot be read is a mistake, not a smaller set.
pub fn read(dir: &Path) -> Result<Vec<PolicyFile>, Problems> {
    let entries = fs::read_dir(dir).map_err(|error| one(dir, &error))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| one(dir, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "cedar") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut problems = Vec::new();
    if paths.is_empty() {
        problems.push(Problem::error(
            dir,
            "holds no policies (`*.cedar`): nobody would be let in",
        ));
    }
    if paths.len() > FILES_MAX {
        problems.push(Problem::error(
            dir,
            format!("holds more than {FILES_MAX} files of policies"),
        ));
        paths.clear();
    }
    problems.extend(judge_schema(&dir.join(SCHEMA_FILE)));
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        match text_of(&path) {
            Ok(text) => files.push(PolicyFile { path, text }),
            Err(error) => problems.push(unreadable(&path, &error)),
        }
    }
    match problems.is_empty() {
        true => Ok(files),
        false => Err(Problems(problems)),
    }
}

/// SHA-256 of the names and texts, each with its length before it; where the directory is does not count.
pub(super) fn digest(files: &[PolicyFile]) -> String {
    let mut context = Context::new(&SHA256);
    for file in files {
        let name = file.path.file_name().unwrap_or_default().as_encoded_bytes();
        for part in [name, file.text.as_bytes()] {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
    }
    let hash = context.finish();
    let hex = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
    format!("sha256:{}", hex.collect::<String>())
}

/// A copy that says something else would mislead whoever writes policies by it.
fn judge_schema(path: &Path) -> Option<Problem> {
    let problem = match text_of(path) {
        Ok(text) if text == SCHEMA => return None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Ok(_) => Problem::error(path, "is not the schema of this dbproxy"),
        Err(error) => unreadable(path, &error),
    };
    Some(problem.help("write it anew with `dbproxy policy schema`, or remove it"))
}

fn text_of(path: &Path) -> io::Result<String> {
    let text = file::text(path, FILE_BYTES_MAX)?;
    match u64::try_from(text.len()) {
        Ok(length) if length < FILE_BYTES_MAX => Ok(text),
        _ => Err(io::Error::other(format!("longer than {FILE_BYTES_MAX} bytes"))),
    }
}

fn one(path: &Path, error: &io::Error) -> Problems {
    Problems(vec![unreadable(path, error)])
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem::error(path, format!("cannot be read: {error}"))
}
