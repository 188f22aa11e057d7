//! Reads audit files back: which sessions of whom, on what, when. In one pass, a line at a time.

mod lines;

use super::sink::{KEEP_MAX, LINE_BYTES_MAX, predecessor};
use jiff::Timestamp;
use lines::{Line, Lines};
use serde_json::Value;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files that are read in one query; all are open at once.
const FILES_MAX: usize = 500;

/// What a line must say; what is not given may be anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// `*` stands for any characters, also none.
    pub caller: Option<String>,
    pub target: Option<String>,
    pub db_user: Option<String>,
    pub database: Option<String>,
    pub reason: Option<String>,
    pub session: Option<String>,
    /// This moment and later.
    pub from: Option<SystemTime>,
    /// Before this moment.
    pub until: Option<SystemTime>,
}

/// What a query came across.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    pub matched: u64,
    /// Lines that are no JSON object, are too long, or have no time although one is asked for.
    pub skipped: u64,
}

/// Why audit files could not be read.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error("the audit file `{path}` cannot be read")]
    Read { path: PathBuf, source: io::Error },
    #[error("more than {FILES_MAX} audit files to read")]
    TooMany,
}

/// Reads each file after its rotated predecessors (`path.1`, `path.2` and on), the oldest first, and hands
/// over what matches. A file that is named twice, or is another's predecessor, is read once.
pub fn run(paths: &[PathBuf], filter: &Filter, mut each: impl FnMut(&Value)) -> Result<Summary, QueryError> {
    let mut summary = Summary::default();
    for (path, file) in open_all(paths)? {
        let mut lines = Lines::new(BufReader::new(file), LINE_BYTES_MAX);
        loop {
            let line = lines.next().map_err(|source| QueryError::Read {
                path: path.clone(),
                source,
            })?;
            let verdict = match line {
                None => break,
                Some(Line::TooLong) => Verdict::Unreadable,
                Some(Line::Whole(bytes)) if bytes.trim_ascii().is_empty() => continue,
                Some(Line::Whole(bytes)) => filter.judge(bytes),
            };
            match verdict {
                Verdict::Matches(value) => {
                    summary.matched = summary.matched.saturating_add(1);
                    each(&value);
                }
                Verdict::Other => {}
                Verdict::Unreadable => summary.skipped = summary.skipped.saturating_add(1),
            }
        }
    }
    Ok(summary)
}

enum Verdict {
    Matches(Value),
    Other,
    Unreadable,
}

impl Filter {
    fn judge(&self, line: &[u8]) -> Verdict {
        let value = match serde_json::from_slice(line) {
            Ok(value @ Value::Object(_)) => value,
            Ok(_) | Err(_) => return Verdict::Unreadable,
        };
        let says = |name: &str| value.get(name).and_then(Value::as_str);
        let is = |name: &str, wanted: &Option<String>| match wanted {
            Some(wanted) => says(name) == Some(wanted),
            None => true,
        };
        let caller = match &self.caller {
            Some(pattern) => says("caller").is_some_and(|caller| fits(pattern, caller)),
            None => true,
        };
        let all = caller
            && is("target", &self.target)
            && is("db_user", &self.db_user)
            && is("database", &self.database)
            && is("reason", &self.reason)
            && self.is_of_session(&value);
        match all {
            false => Verdict::Other,
            true if self.from.is_none() && self.until.is_none() => Verdict::Matches(value),
            true => match says("time").and_then(|time| time.parse::<Timestamp>().ok()) {
                None => Verdict::Unreadable,
                Some(time) if self.is_within(time.into()) => Verdict::Matches(value),
                Some(_) => Verdict::Other,
            },
        }
    }

    /// A line about one session, or about several.
    fn is_of_session(&self, line: &Value) -> bool {
        let Some(wanted) = &self.session else {
            return true;
        };
        let is_it = |value: &Value| value.as_str() == Some(wanted);
        let several = line.get("sessions").and_then(Value::as_array);
        line.get("session").is_some_and(is_it) || several.is_some_and(|all| all.iter().any(is_it))
    }

    fn is_within(&self, time: SystemTime) -> bool {
        self.from.is_none_or(|from| from <= time) && self.until.is_none_or(|until| time < until)
    }
}

/// Whether a pattern fits the whole text; `*` stands for any characters, also none. Its first part
/// begins the text, its last one ends it, those between are found one after the other.
pub fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let (between, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let inner = text.strip_prefix(first).and_then(|text| text.strip_suffix(last));
    let Some(mut inner) = inner else {
        return false;
    };
    for part in between.split('*') {
        match inner.split_once(part) {
            Some((_, after)) => inner = after,
            None => return false,
        }
    }
    true
}

/// All files, the oldest of each path first. They are opened before any is read, the newest first: a
/// rotation meanwhile then shows a file twice, which its inode tells, and hides none.
fn open_all(paths: &[PathBuf]) -> Result<Vec<(PathBuf, File)>, QueryError> {
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for path in paths {
        let mut own = Vec::new();
        let mut is_there = false;
        let names = (1..=KEEP_MAX).map(|number| predecessor(path, number));
        for name in std::iter::once(path.clone()).chain(names) {
            let Some((file, id)) = open(&name)? else {
                continue;
            };
            is_there = true;
            if seen.insert(id) {
                own.push((name, file));
            }
            if seen.len() > FILES_MAX {
                return Err(QueryError::TooMany);
            }
        }
        if !is_there {
            return Err(QueryError::Read {
                path: path.clone(),
                source: ErrorKind::NotFound.into(),
            });
        }
        files.extend(own.into_iter().rev());
    }
    Ok(files)
}

type Id = (u64, u64);

/// `None` if there is no such file.
fn open(path: &Path) -> Result<Option<(File, Id)>, QueryError> {
    let opened = File::open(path).and_then(|file| {
        let found = file.metadata()?;
        Ok((file, (found.dev(), found.ino())))
    });
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(QueryError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests;
