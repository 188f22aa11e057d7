//! Mistakes, each with its key.

use std::fmt;

/// All mistakes found, in the order they were found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Problems {
    /// A mistake that several targets inherit is told once.
    pub fn add(&mut self, key: impl fmt::Display, what: impl fmt::Display) {
        let line = format!("{key}: {what}");
        if !self.0.contains(&line) {
            self.0.push(line);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

/// The heading fits a file as well as words of the command line.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "cannot start: {one}"),
            many => {
                write!(f, "cannot start, there are {} mistakes:", many.len())?;
                many.iter().try_for_each(|line| write!(f, "\n  {line}"))
            }
        }
    }
}

impl std::error::Error for Problems {}
