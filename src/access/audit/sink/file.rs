//! Lines to a file for its owner only, rotated by size; follows it when somebody else moved it away.

use super::append::Lines;
use super::writer::Sink;
use super::{KEEP_MAX, SinkError};
use crate::platform::telemetry::seldom::Seldom;
use std::ffi::OsString;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A path, and the file that was found there.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    /// 0: never.
    rotate_bytes: u64,
    keep: usize,
    open: Opened,
    complaint: Seldom,
}

#[derive(Debug)]
struct Opened {
    lines: Lines<fs::File>,
    /// Device and inode.
    id: (u64, u64),
    bytes: u64,
    is_regular: bool,
}

impl File {
    pub(super) fn open(path: &Path, rotate_bytes: u64, keep: usize) -> Result<Self, SinkError> {
        if rotate_bytes > 0 && !(1..=KEEP_MAX).contains(&keep) {
            return Err(SinkError::Keep {
                path: path.to_owned(),
                keep,
            });
        }
        let open = Opened::at(path).map_err(|source| SinkError::Open {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            rotate_bytes,
            keep,
            open,
            complaint: Seldom::new(),
        })
    }

    /// Opens the path again if another file is there, or none. Looked at before every line: what goes to a file
    /// that was removed is gone, although the kernel takes it.
    fn follow(&mut self) -> io::Result<()> {
        match fs::metadata(&self.path) {
            Ok(found) if id(&found) == self.open.id => self.open.bytes = found.len(),
            _ => match Opened::at(&self.path) {
                Ok(open) => self.open = open,
                // Better in the file that was moved than nowhere.
                Err(error) if self.open.is_somewhere() => {
                    self.complain(&error, "audit file not opened again");
                }
                Err(error) => return Err(error),
            },
        }
        Ok(())
    }

    /// A rotation that fails loses no line: it goes on in the same file.
    fn rotate(&mut self, more: usize) -> io::Result<()> {
        // Another process may have rotated it already.
        let before = self.open.id;
        self.follow()?;
        if self.open.id != before || !self.is_due(more) {
            return Ok(());
        }
        match shift(&self.path, self.keep) {
            Ok(()) => self.follow(),
            Err(error) => {
                self.complain(&error, "audit file not rotated");
                Ok(())
            }
        }
    }

    fn is_due(&self, more: usize) -> bool {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        let open = &self.open;
        self.rotate_bytes > 0
            && open.is_regular
            && open.bytes > 0
            && open.bytes.saturating_add(more) > self.rotate_bytes
    }

    fn complain(&self, error: &io::Error, what: &str) {
        if self.complaint.is_due() {
            tracing::warn!(path = %self.path.display(), %error, "{what}");
        }
    }

    fn put(&mut self, line: &str) -> io::Result<()> {
        self.follow()?;
        let more = line.len().saturating_add(1);
        if self.is_due(more) {
            self.rotate(more)?;
        }
        let written = self.open.lines.put(line)?;
        let written = u64::try_from(written).unwrap_or(u64::MAX);
        self.open.bytes = self.open.bytes.saturating_add(written);
        Ok(())
    }
}

impl Sink for File {
    fn write(&mut self, line: &str) -> Result<(), SinkError> {
        self.put(line).map_err(|source| SinkError::Write {
            sink: format!("`{}`", self.path.display()),
            source,
        })
    }

    fn flush(&mut self) {
        // What is no file on a disk cannot be synced.
        if self.open.is_regular
            && let Err(error) = self.open.lines.get().sync_data()
        {
            self.complain(&error, "audit file not synced");
        }
    }
}

impl Opened {
    fn at(path: &Path) -> io::Result<Self> {
        // To open a pipe would wait for its reader.
        if fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is a pipe"));
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let found = file.metadata()?;
        let is_regular = found.is_file();
        let torn = is_regular && found.len() > 0 && !ends_with_newline(path, found.len());
        Ok(Self {
            lines: Lines::new(file, torn),
            id: id(&found),
            bytes: found.len(),
            is_regular,
        })
    }

    /// Whether the file still has a name.
    fn is_somewhere(&self) -> bool {
        self.lines.get().metadata().is_ok_and(|found| found.nlink() > 0)
    }
}

/// A process that was killed may have left half a line. What may not be read is taken as whole.
fn ends_with_newline(path: &Path, length: u64) -> bool {
    let mut last = [b'\n'];
    let _ = fs::File::open(path).and_then(|file| file.read_at(&mut last, length.saturating_sub(1)));
    last == *b"\n"
}

fn id(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// `path.number`
pub(in crate::access::audit) fn predecessor(path: &Path, number: usize) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

/// Frees `path`: the files up to the first gap, or up to the oldest, which goes, take the next name.
fn shift(path: &Path, keep: usize) -> io::Result<()> {
    let is_free = |number: &usize| {
        fs::symlink_metadata(predecessor(path, *number))
            .is_err_and(|error| error.kind() == ErrorKind::NotFound)
    };
    let free = (1..keep).find(is_free).unwrap_or(keep);
    for number in (1..free).rev() {
        fs::rename(
            predecessor(path, number),
            predecessor(path, number.saturating_add(1)),
        )?;
    }
    fs::rename(path, predecessor(path, 1))
}
