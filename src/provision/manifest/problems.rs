//! Mistakes of a manifest, each with its place.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use toml_edit::Key;

/// More than anybody reads; the rest is counted.
const SHOWN_MAX: usize = 200;

/// One mistake, or one thing worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Both count from one; columns are characters.
    pub line: usize,
    pub column: usize,
    /// In full, such as `clusters.orders.users.app.roles`; empty: the file.
    pub key: String,
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            key,
            what,
        } = self;
        match key.is_empty() {
            true => write!(f, "{line}:{column}: {what}"),
            false => write!(f, "{line}:{column}: {key}: {what}"),
        }
    }
}

/// All mistakes, in the order of the file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => return write!(f, "the access manifest has a mistake: {one}"),
            many => write!(f, "the access manifest has {} mistakes:", many.len())?,
        }
        let mut shown = self.0.iter().take(SHOWN_MAX);
        shown.try_for_each(|problem| write!(f, "\n  {problem}"))?;
        match self.0.len().checked_sub(SHOWN_MAX) {
            Some(more @ 1..) => write!(f, "\n  and {more} more"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Problems {}

/// Collects mistakes, and remembers where keys and the items of lists stand, so that what is judged later is still
/// told with its place.
pub struct Mistakes {
    /// Where each line begins.
    lines: Vec<usize>,
    text: String,
    found: RefCell<Vec<Problem>>,
    notes: RefCell<Vec<Problem>>,
    places: RefCell<HashMap<String, usize>>,
}

impl Mistakes {
    pub fn new(text: &str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at.saturating_add(1));
        Self {
            lines: std::iter::once(0).chain(breaks).collect(),
            text: text.to_owned(),
            found: RefCell::default(),
            notes: RefCell::default(),
            places: RefCell::default(),
        }
    }

    fn place(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self
            .lines
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        (line.max(1), before.chars().count().saturating_add(1))
    }

    fn problem(&self, offset: usize, key: &str, what: impl fmt::Display) -> Problem {
        let (line, column) = self.place(offset);
        Problem {
            line,
            column,
            key: key.to_owned(),
            what: what.to_string(),
        }
    }

    pub fn at(&self, offset: usize, key: &str, what: impl fmt::Display) {
        let problem = self.problem(offset, key, what);
        self.found.borrow_mut().push(problem);
    }

    /// The first place of a key, or of an item of its list, is the one that is told.
    pub fn remember(&self, key: &str, item: Option<&str>, offset: usize) {
        let mut places = self.places.borrow_mut();
        places.entry(place_name(key, item)).or_insert(offset);
    }

    /// Where a key, or an item of its list, was written; what was not is where its table is.
    pub fn offset(&self, key: &str, item: Option<&str>) -> usize {
        let places = self.places.borrow();
        if let Some(place) = item.and_then(|item| places.get(&place_name(key, Some(item)))) {
            return *place;
        }
        let mut key = key;
        loop {
            match (places.get(key), key.rsplit_once('.')) {
                (Some(place), _) => return *place,
                (None, Some((table, _))) => key = table,
                (None, None) => return 0,
            }
        }
    }

    /// A mistake where a key, or an item of its list, was written.
    pub fn add(&self, key: &str, item: Option<&str>, what: impl fmt::Display) {
        self.at(self.offset(key, item), key, what);
    }

    pub fn note(&self, key: &str, item: Option<&str>, what: impl fmt::Display) {
        let note = self.problem(self.offset(key, item), key, what);
        self.notes.borrow_mut().push(note);
    }

    /// Keeps a value, or remembers why there is none.
    pub fn keep<T>(&self, key: &str, item: Option<&str>, result: Result<T, impl fmt::Display>) -> Option<T> {
        result.map_err(|error| self.add(key, item, error)).ok()
    }

    pub fn into_problems(self) -> Problems {
        self.into_parts().0
    }

    pub fn into_parts(self) -> (Problems, Vec<Problem>) {
        let sorted = |problems: RefCell<Vec<Problem>>| {
            let mut problems = problems.into_inner();
            problems.sort();
            problems.dedup();
            problems
        };
        (Problems(sorted(self.found)), sorted(self.notes))
    }
}

/// The full key of something in a table, quoted where TOML wants it.
pub fn join(table: &str, name: &str) -> String {
    let name = Key::new(name).display_repr().into_owned();
    match table.is_empty() {
        true => name,
        false => format!("{table}.{name}"),
    }
}

/// Items cannot be taken for keys: no key that is written contains a NUL byte.
fn place_name(key: &str, item: Option<&str>) -> String {
    match item {
        Some(item) => format!("{key}\0{item}"),
        None => key.to_owned(),
    }
}
