//! Takes typed values out of a TOML table and remembers every mistake with its key.

mod problems;

pub use problems::Problems;

use crate::domain::written::is_near;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use toml::{Table, Value};

/// One table of the configuration with its place in it.
pub struct Section<'p> {
    path: String,
    table: Table,
    pub problems: &'p RefCell<Problems>,
    /// Keys that were asked for; what is left over was misspelt.
    asked: BTreeSet<&'static str>,
    /// Where a value was written, if not in this table.
    origins: BTreeMap<String, String>,
}

impl<'p> Section<'p> {
    pub fn new(path: impl Into<String>, table: Table, problems: &'p RefCell<Problems>) -> Self {
        Self {
            path: path.into(),
            table,
            problems,
            asked: BTreeSet::new(),
            origins: BTreeMap::new(),
        }
    }

    /// Gives a key that this table does not have a value from elsewhere.
    pub fn fill(&mut self, key: &str, value: Value, origin: impl Into<String>) {
        if !self.table.contains_key(key) {
            self.table.insert(key.to_owned(), value);
            self.origins.insert(key.to_owned(), origin.into());
        }
    }

    /// Whether the value of a key is from elsewhere.
    pub fn is_filled(&self, key: &str) -> bool {
        self.origins.contains_key(key)
    }

    /// The place and what is left of the table, to be read once more.
    pub fn written(&self) -> (String, Table) {
        (self.path.clone(), self.table.clone())
    }

    /// Whether the value of a key comes from `[defaults]`.
    pub fn inherits(&self, key: &str) -> bool {
        let origin = self.origins.get(key);
        origin.is_some_and(|origin| origin.starts_with("defaults."))
    }

    /// The full name of a key, as it would be written in this table.
    fn own_key(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    /// The full name of a key, as it was written.
    pub fn key(&self, key: &str) -> String {
        match self.origins.get(key) {
            Some(origin) => origin.clone(),
            None => self.own_key(key),
        }
    }

    pub fn problem(&self, key: &str, what: impl fmt::Display) {
        self.problems.borrow_mut().add(self.key(key), what);
    }

    /// A mistake of this table as a whole: a value that is fine elsewhere does not fit here.
    pub fn misfit(&self, key: &str, what: impl fmt::Display) {
        let what = match self.origins.get(key) {
            Some(origin) => format!("{what} (the value is that of {origin})"),
            None => what.to_string(),
        };
        self.problems.borrow_mut().add(self.own_key(key), what);
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

    /// A string that must be there; `what` is said when it is not.
    pub fn required(&mut self, key: &'static str, what: &str) -> Option<String> {
        self.asked.insert(key);
        if !self.table.contains_key(key) {
            self.problem(key, what);
        }
        self.string(key)
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

    /// A list of strings; one string counts as a list of one. Wrong items make no list.
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
        let mut strings = Some(Vec::with_capacity(items.len()));
        for item in items {
            match item {
                Value::String(text) => strings.iter_mut().for_each(|list| list.push(text.clone())),
                other => {
                    self.problem(key, format_args!("expected strings, found {}", other.type_str()));
                    strings = None;
                }
            }
        }
        strings
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

    /// The table as it is, without judging its keys.
    pub fn table(&self) -> &Table {
        &self.table
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

    /// A table of free names whose values are lists of strings. Wrong ones are left out, and reported.
    pub fn into_lists(self) -> BTreeMap<String, Vec<String>> {
        let mut lists = BTreeMap::new();
        for (name, value) in &self.table {
            let items = match value {
                Value::Array(items) => items.as_slice(),
                one @ Value::String(_) => std::slice::from_ref(one),
                _ => &[],
            };
            let texts: Vec<_> = items
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            match texts.is_empty() || texts.len() != items.len() {
                true => self.problem(name, "expected a list of strings, with at least one"),
                false => {
                    lists.insert(name.clone(), texts);
                }
            }
        }
        lists
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

#[cfg(test)]
mod tests;
