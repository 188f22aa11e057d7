//! What is wrong with a file of cases, each with its place.

use super::rows::Row;
use crate::access::policy::Problem;
use std::fmt::Display;
use std::ops::Range;
use std::path::Path;

/// What is wrong with a file.
pub struct Mistakes<'a> {
    pub path: &'a Path,
    pub text: &'a str,
    found: Vec<Problem>,
}

impl<'a> Mistakes<'a> {
    pub fn new(path: &'a Path, text: &'a str) -> Self {
        Self {
            path,
            text,
            found: Vec::new(),
        }
    }

    pub fn at(&mut self, span: &Range<usize>, what: impl Into<String>) {
        let length = span.end.saturating_sub(span.start);
        self.found
            .push(Problem::error(self.path, what).at(self.text, span.start, length));
    }

    /// Keeps a value, or remembers why there is none.
    pub fn keep<T>(&mut self, span: &Range<usize>, result: Result<T, impl Display>) -> Option<T> {
        result.map_err(|error| self.at(span, error.to_string())).ok()
    }

    /// A key that must be there. One whose value is wrong has been told already.
    pub fn required<T, V>(&mut self, row: &Row<T>, key: &str, value: Option<V>) -> Option<V> {
        if !row.keys.contains(key) {
            self.at(&row.span, format!("`{key}` is missing"));
        }
        value
    }

    pub fn told_by(&mut self, error: &toml::de::Error) {
        let message = error.message().trim_end().replace('\n', "; ");
        match error.span() {
            Some(span) => self.at(&span, message),
            None => self.found.push(Problem::error(self.path, message)),
        }
    }

    /// In the order of the file.
    pub fn into_problems(mut self) -> Vec<Problem> {
        let place = |problem: &Problem| problem.place.as_ref().map(|place| (place.line, place.column));
        self.found.sort_by_key(place);
        self.found
    }
}
