//! Takes typed values out of a TOML table and remembers every mistake with its key.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use toml::{Table, Value};

/// All mistakes found, in the order they were found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Problems {
    pub fn add(&mut self, key: impl fmt::Display, what: impl fmt::Display) {
        self.0.push(format!("{key}: {what}"));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "the configuration has a mistake: {one}"),
            many => {
                write!(f, "the configuration has {} mistakes:", many.len())?;
                many.iter().try_for_each(|line| write!(f, "\n  {line}"))
            }
        }
    }
}

impl std::error::Error for Problems {}

/// One table of the configuration with its place in it.
pub struct Section<'p> {
    path: String,
    table: Table,
    pub problems: &'p RefCell<Problems>,
    /// Keys that were asked for; what is left over was misspelt.
    asked: BTreeSet<&'static str>,
}

impl<'p> Section<'p> {
    pub fn new(path: impl Into<String>, table: Table, problems: &'p RefCell<Problems>) -> Self {
        Self {
            path: path.into(),
            table,
            problems,
            asked: BTreeSet::new(),
        }
    }

    /// The full name of a key, as it would be written in the file.
    pub fn key(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    pub fn problem(&self, key: &str, what: impl fmt::Display) {
        self.problems.borrow_mut().add(self.key(key), what);
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.asked.insert(key);
        self.table.remove(key)
    }

    pub fn string(&mut self, key: &'static str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            other => {
                self.problem(key, format_args!("expected a string, found {}", other.type_str()));
                None
            }
        }
    }

    /// A string that is parsed further.
    pub fn parsed<T>(&mut self, key: &'static str) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let text = self.string(key)?;
        self.convert(key, text.parse())
    }

    /// Keeps a value or remembers why there is none.
    pub fn convert<T>(&self, key: &str, result: Result<T, impl fmt::Display>) -> Option<T> {
        result.map_err(|error| self.problem(key, error)).ok()
    }

    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        match self.take(key)? {
            Value::Boolean(value) => Some(value),
            other => {
                self.problem(
                    key,
                    format_args!("expected true or false, found {}", other.type_str()),
                );
                None
            }
        }
    }

    pub fn integer(&mut self, key: &'static str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        match self.take(key)? {
            Value::Integer(value) if range.contains(&value) => Some(value),
            Value::Integer(value) => {
                let (low, high) = (range.start(), range.end());
                self.problem(key, format_args!("{value} is not within {low} to {high}"));
                None
            }
            other => {
                self.problem(key, format_args!("expected a number, found {}", other.type_str()));
                None
            }
        }
    }

    /// A list of strings; one string counts as a list of one.
    pub fn strings(&mut self, key: &'static str) -> Option<Vec<String>> {
        let items = match self.take(key)? {
            Value::Array(items) => items,
            Value::String(one) => return Some(vec![one]),
            other => {
                self.problem(
                    key,
                    format_args!("expected a list of strings, found {}", other.type_str()),
                );
                return None;
            }
        };
        let mut strings = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Value::String(text) => strings.push(text),
                other => self.problem(key, format_args!("expected strings, found {}", other.type_str())),
            }
        }
        Some(strings)
    }

    pub fn integers(&mut self, key: &'static str) -> Option<Vec<i64>> {
        let Value::Array(items) = self.take(key)? else {
            self.problem(key, "expected a list of numbers");
            return None;
        };
        let numbers: Option<Vec<i64>> = items.iter().map(Value::as_integer).collect();
        if numbers.is_none() {
            self.problem(key, "expected a list of numbers");
        }
        numbers
    }

    /// A table below this one.
    pub fn section(&mut self, key: &'static str) -> Option<Section<'p>> {
        match self.take(key)? {
            Value::Table(table) => Some(Section::new(self.key(key), table, self.problems)),
            other => {
                self.problem(key, format_args!("expected a table, found {}", other.type_str()));
                None
            }
        }
    }

    /// The tables below this one, each with its name.
    pub fn sections(&mut self, key: &'static str) -> Vec<(String, Section<'p>)> {
        let Some(all) = self.section(key) else {
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (name, value) in &all.table {
            match value {
                Value::Table(table) => {
                    let path = all.key(name);
                    sections.push((name.clone(), Section::new(path, table.clone(), self.problems)));
                }
                other => {
                    all.problem(name, format_args!("expected a table, found {}", other.type_str()));
                }
            }
        }
        sections
    }

    /// A table of free names whose values are strings.
    pub fn into_strings(self) -> BTreeMap<String, String> {
        let mut strings = BTreeMap::new();
        for (name, value) in &self.table {
            match value {
                Value::String(text) => {
                    strings.insert(name.clone(), text.clone());
                }
                other => {
                    self.problem(
                        name,
                        format_args!("expected a string, found {}", other.type_str()),
                    );
                }
            }
        }
        strings
    }

    /// Reports every key that nobody asked for.
    pub fn finish(self) {
        for key in self.table.keys() {
            let near = self.asked.iter().find(|known| is_near(known, key));
            match near {
                Some(known) => self.problem(key, format_args!("unknown key; did you mean `{known}`?")),
                None => self.problem(key, "unknown key"),
            }
        }
    }
}

/// The same letters in the same order but for one or two.
fn is_near(known: &str, written: &str) -> bool {
    let simple = |text: &str| text.replace(['-', '_'], "").to_ascii_lowercase();
    let (known, written) = (simple(known), simple(written));
    let same_start = known
        .chars()
        .zip(written.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let same_end = known
        .chars()
        .rev()
        .zip(written.chars().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let longest = known.chars().count().max(written.chars().count());
    same_start.saturating_add(same_end).saturating_add(2) >= longest && longest > 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_reported_with_its_key() {
        let table = r#"
            admin = 7
            max_clients = 0
            lisen = ["5432"]
            [targets.a]
            dbusers = []
        "#;
        let problems = RefCell::default();
        let mut section = Section::new("", table.parse().unwrap(), &problems);
        assert_eq!(section.string("admin"), None);
        assert_eq!(section.integer("max_clients", 1..=10), None);
        assert_eq!(section.strings("listen"), None);
        for (_, mut target) in section.sections("targets") {
            assert_eq!(target.strings("db_users"), None);
            target.finish();
        }
        section.finish();
        assert_eq!(
            problems.into_inner().lines(),
            [
                "admin: expected a string, found integer",
                "max_clients: 0 is not within 1 to 10",
                "targets.a.dbusers: unknown key; did you mean `db_users`?",
                "lisen: unknown key; did you mean `listen`?",
            ]
        );
    }
}
