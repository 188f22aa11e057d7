//! Files that people give: text, no longer than said, and never something to wait at.

use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The text of a regular file, at most `most` bytes of it. A pipe that stands in its place has no end, and whoever opens
/// one waits for a writer.
pub fn text(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.take(most).read_to_string(&mut text)?;
    Ok(text)
}

fn open(path: &Path) -> io::Result<File> {
    let at_once = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(at_once).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("is not a regular file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn only_regular_files_are_read() {
        let name = format!("dbproxy-file-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, "text").unwrap();
        assert_eq!(text(&path, 10).unwrap(), "text");
        assert_eq!(text(&path, 2).unwrap(), "te");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text(&path, 10).unwrap_err().kind(), io::ErrorKind::NotFound);
        // Without a writer, opening it would never return.
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let refused = text(&path, 10).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(refused, "is not a regular file");
        assert!(text(&std::env::temp_dir(), 10).is_err());
    }
}
