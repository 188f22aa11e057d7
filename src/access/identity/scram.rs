//! The file of verifiers: who may log in with a password. One user a line, as in PgBouncer's
//! `userlist.txt`, but only with SCRAM verifiers: `"user" "SCRAM-SHA-256$…"`. A quote inside quotes is
//! doubled; blank lines and those that begin with `;` or `#` are skipped.

use crate::domain::name::{DbUser, NameError};
use crate::platform::wire::scram::{Verifier, VerifierError};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const FILE_BYTES_MAX: usize = 1024 * 1024;
const USERS_MAX: usize = 10_000;
/// Of a file's mode: group and others may write.
const OTHERS_WRITE: u32 = 0o022;
/// Everybody may read. A group may: that is how a file of root's is given to one service.
const EVERYBODY_READS: u32 = 0o004;

/// Why a file of verifiers was not accepted. Shows nothing of what is in it: it may be a password.
#[derive(Debug, thiserror::Error)]
pub enum VerifiersError {
    #[error("cannot read `{path}`")]
    Read { path: PathBuf, source: io::Error },
    #[error("`{path}` is longer than {FILE_BYTES_MAX} bytes")]
    TooLong { path: PathBuf },
    #[error(
        "`{path}` may be written by others than its owner, who could let themselves in; `chmod go-w` it, and mind \
         its directory"
    )]
    Writable { path: PathBuf },
    #[error("`{path}`, line {line}")]
    Line {
        path: PathBuf,
        line: usize,
        source: LineError,
    },
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    #[error("not UTF-8")]
    NotUtf8,
    #[error("not of the form `\"user\" \"SCRAM-SHA-256$…\"`")]
    Form,
    #[error("the user cannot be one")]
    User(#[source] NameError),
    #[error("the password is in plain text; write its SCRAM-SHA-256 verifier")]
    PlainText,
    #[error("the password is an md5 hash; write its SCRAM-SHA-256 verifier")]
    Md5,
    #[error("the verifier cannot be used")]
    Verifier(#[source] VerifierError),
    #[error("the user has a verifier already, on line {first}")]
    Duplicate { first: usize },
    #[error("more than {USERS_MAX} users")]
    TooMany,
}

/// The users that may log in with a password, each with the verifier of it.
#[derive(Default)]
pub struct Verifiers {
    by_user: HashMap<Box<str>, Verifier>,
    /// A verifier with as many iterations and as long a salt as most have.
    usual: Option<Verifier>,
    /// Every user of this machine may read the file, and try passwords against it.
    is_exposed: bool,
}

impl Verifiers {
    /// Reads the whole file, or says what is wrong with it first.
    pub fn load(path: &Path) -> Result<Self, VerifiersError> {
        let (bytes, mode) = read(path).map_err(|source| VerifiersError::Read {
            path: path.to_owned(),
            source,
        })?;
        if mode & OTHERS_WRITE != 0 {
            return Err(VerifiersError::Writable {
                path: path.to_owned(),
            });
        }
        if bytes.len() > FILE_BYTES_MAX {
            return Err(VerifiersError::TooLong {
                path: path.to_owned(),
            });
        }
        let mut verifiers = Self::parse(&bytes).map_err(|(line, source)| VerifiersError::Line {
            path: path.to_owned(),
            line,
            source,
        })?;
        verifiers.is_exposed = mode & EVERYBODY_READS != 0;
        Ok(verifiers)
    }

    fn parse(bytes: &[u8]) -> Result<Self, (usize, LineError)> {
        let mut lines_of: HashMap<Box<str>, usize> = HashMap::new();
        let mut by_user = HashMap::new();
        for (number, bytes) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let wrong = |problem| (number, problem);
            let Some((user, verifier)) = line(bytes).map_err(wrong)? else {
                continue;
            };
            if let Some(first) = lines_of.insert(user.clone(), number) {
                return Err(wrong(LineError::Duplicate { first }));
            }
            if by_user.len() == USERS_MAX {
                return Err(wrong(LineError::TooMany));
            }
            by_user.insert(user, verifier);
        }
        let usual = usual(by_user.values()).cloned();
        Ok(Self {
            by_user,
            usual,
            is_exposed: false,
        })
    }

    pub fn find(&self, user: &str) -> Option<&Verifier> {
        self.by_user.get(user)
    }

    /// The user's verifier, or for somebody unknown one that nothing fits, of the shape that most have: so
    /// the exchange does not tell who exists. The work is the same for both.
    pub fn find_or_mock(&self, user: &str, seed: &[u8; 32]) -> Verifier {
        let mock = match &self.usual {
            Some(usual) => usual.mock_like(user, seed),
            None => Verifier::mock(user, seed),
        };
        self.find(user).cloned().unwrap_or(mock)
    }

    /// Whose password counts for what a client calls itself: the name itself, or what stands before its last slash, behind
    /// which is the db user that the caller wants to be. Unknown names are taken apart alike, so that nothing tells them.
    pub fn named<'u>(&self, user: &'u str) -> &'u str {
        match user.rsplit_once('/') {
            Some((name, _)) if !name.is_empty() && !self.by_user.contains_key(user) => name,
            _ => user,
        }
    }

    pub fn is_exposed(&self) -> bool {
        self.is_exposed
    }

    pub fn len(&self) -> usize {
        self.by_user.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_user.is_empty()
    }
}

impl fmt::Debug for Verifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifiers")
            .field("users", &self.len())
            .finish_non_exhaustive()
    }
}

/// At most one byte more than is allowed, and the mode of what was read.
fn read(path: &Path) -> io::Result<(Zeroizing<Vec<u8>>, u32)> {
    let limit = FILE_BYTES_MAX.saturating_add(1);
    // Space for all of it at once: growing would leave copies behind that are not wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit));
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let file = File::open(path)?;
    let mode = file.metadata()?.mode();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok((bytes, mode))
}

/// The user and the verifier of one line, if it is not blank or a comment.
fn line(bytes: &[u8]) -> Result<Option<(Box<str>, Verifier)>, LineError> {
    let text = std::str::from_utf8(bytes).map_err(|_| LineError::NotUtf8)?;
    let text = text.trim_matches([' ', '\t', '\r']);
    if text.is_empty() || text.starts_with([';', '#']) {
        return Ok(None);
    }
    let (user, rest) = quoted(text).ok_or(LineError::Form)?;
    let (password, rest) = match rest.trim_start_matches([' ', '\t']) {
        after if after.len() < rest.len() => quoted(after).ok_or(LineError::Form)?,
        _ => return Err(LineError::Form),
    };
    if !rest.is_empty() {
        return Err(LineError::Form);
    }
    let user = DbUser::new(user.as_bytes()).map_err(LineError::User)?;
    if password.starts_with("SCRAM-SHA-256$") {
        let verifier = Verifier::parse(&password).map_err(LineError::Verifier)?;
        return Ok(Some((user.as_str().into(), verifier)));
    }
    match password.strip_prefix("md5") {
        Some(hash) if hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Err(LineError::Md5)
        }
        _ => Err(LineError::PlainText),
    }
}

/// The text between the quotes at the front, and what follows them.
fn quoted(text: &str) -> Option<(Zeroizing<String>, &str)> {
    let mut inside = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text.strip_prefix('"')?;
    loop {
        let (piece, after) = rest.split_once('"')?;
        inside.push_str(piece);
        match after.strip_prefix('"') {
            Some(more) => {
                inside.push('"');
                rest = more;
            }
            None => return Some((inside, after)),
        }
    }
}

/// One of the shape that most have; of several such shapes always the same one.
fn usual<'a>(verifiers: impl Iterator<Item = &'a Verifier>) -> Option<&'a Verifier> {
    let mut shapes: HashMap<(u32, usize), (usize, &Verifier)> = HashMap::new();
    for verifier in verifiers {
        let shape = (verifier.iterations(), verifier.salt().len());
        let (count, _) = shapes.entry(shape).or_insert((0, verifier));
        *count = count.saturating_add(1);
    }
    let most = shapes
        .into_iter()
        .max_by_key(|(shape, (count, _))| (*count, *shape));
    most.map(|(_, (_, verifier))| verifier)
}

#[cfg(test)]
mod tests;
