//! The file of cases: who there is, and what is to be decided about them.

mod mistakes;
mod reader;
mod rows;

use super::asked::Decision;
use crate::access::policy::{Problem, Problems, Question};
use crate::config::Settings;
use crate::domain::caller::Caller;
use mistakes::Mistakes;
use reader::Reader;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

/// Longest file that is read.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Debug)]
pub struct Cases {
    /// In the order of the file.
    pub callers: Vec<(String, Caller)>,
    pub cases: Vec<Case>,
}

/// A question with the answer that it must get.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    /// `policies/tests.toml:12`
    pub place: String,
    pub question: Question,
    pub expected: Expected,
}

/// What is left out may be anything.
#[derive(Debug)]
pub struct Expected {
    pub decision: Decision,
    /// Exactly these, sorted.
    pub policies: Option<Vec<String>>,
    pub max_session: Option<Duration>,
    pub errors: Option<usize>,
}

/// Reads a file; every mistake is told.
pub fn read(path: &Path, settings: &Settings) -> Result<Cases, Problems> {
    let text = text_of(path).map_err(|error| {
        let what = format!("cannot be read: {error}");
        Problems(vec![Problem::error(path, what)])
    })?;
    let mut mistakes = Mistakes::new(path, &text);
    let (caller_rows, case_rows) = rows::read(&mut mistakes);
    let mut reader = Reader::new(settings, mistakes);
    let callers = reader.callers(caller_rows);
    let cases = reader.cases(case_rows, &callers);
    let problems = reader.mistakes.into_problems();
    match problems.is_empty() {
        true => Ok(Cases {
            callers: callers.sound,
            cases,
        }),
        false => Err(Problems(problems)),
    }
}

fn text_of(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_string(&mut text)?;
    match u64::try_from(read) {
        Ok(read) if read < FILE_BYTES_MAX => Ok(text),
        _ => Err(std::io::Error::other(format!(
            "longer than {FILE_BYTES_MAX} bytes"
        ))),
    }
}
