//! The file of the manifest, no further than a manifest may be long.

use super::BYTES_MAX;
use crate::platform::file;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
#[error("cannot read the access manifest `{path}`")]
pub struct LoadError {
    path: PathBuf,
    source: io::Error,
}

/// One byte more than is taken, so that the reader says what is wrong.
pub fn load(path: &Path) -> Result<String, LoadError> {
    let most = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    file::text(path, most).map_err(|source| LoadError {
        path: path.to_owned(),
        source,
    })
}
