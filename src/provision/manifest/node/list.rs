//! Lists: of strings, of tables, of both.

use super::Node;
use std::collections::BTreeSet;
use std::fmt;
use toml_edit::{TableLike, Value};

/// An item of a list.
pub enum Entry<'d> {
    Text(String),
    Table(Node<'d>),
}

impl<'d> Node<'d> {
    /// A list of strings and tables. Other items are told and left out, as are strings that come twice.
    pub fn list(&mut self, name: &'static str, most: usize, what: &str) -> Option<Vec<Entry<'d>>> {
        let item = self.take(name)?;
        let key = self.key_of(name);
        let mut found = Vec::new();
        if let Some(tables) = item.as_array_of_tables() {
            for table in tables.iter().take(most) {
                // With its own header's place: the key of all of them has but one.
                let at = table.span().unwrap_or_default().start;
                found.push(self.item(&key, found.len(), at, table));
            }
            return Some(self.bounded(&key, tables.len(), most, found));
        }
        let Some(array) = item.as_array() else {
            self.expected(name, what, item);
            return None;
        };
        let mut seen = BTreeSet::new();
        for value in array.iter().take(most) {
            let at = value.span().unwrap_or_default().start;
            match value {
                Value::String(text) if !seen.insert(text.value().clone()) => {
                    let text = text.value();
                    self.mistakes
                        .at(at, &key, format_args!("`{text}` is listed twice"));
                }
                Value::String(text) => {
                    self.mistakes.remember(&key, Some(text.value()), at);
                    found.push(Entry::Text(text.value().clone()));
                }
                Value::InlineTable(table) => found.push(self.item(&key, found.len(), at, table)),
                other => {
                    let found = other.type_name();
                    self.mistakes
                        .at(at, &key, format_args!("expected {what}, found {found} in it"));
                }
            }
        }
        Some(self.bounded(&key, array.len(), most, found))
    }

    fn bounded<T>(&self, key: &str, found: usize, most: usize, items: Vec<T>) -> Vec<T> {
        if found > most {
            self.too_many(key, found, most);
        }
        items
    }

    fn item(&self, key: &str, number: usize, at: usize, table: &'d dyn TableLike) -> Entry<'d> {
        let key = format!("{key}[{number}]");
        self.mistakes.remember(&key, None, at);
        Entry::Table(Self::new(key, Some(table), self.mistakes))
    }

    /// A list of strings.
    pub fn strings(&mut self, name: &'static str, most: usize) -> Option<Vec<String>> {
        let what = "a list of strings";
        let mut strings = Vec::new();
        for entry in self.list(name, most, what)? {
            match entry {
                Entry::Text(text) => strings.push(text),
                Entry::Table(table) => {
                    let found = format_args!("expected {what}, found a table in it");
                    self.mistakes.add(table.key(), None, found);
                }
            }
        }
        Some(strings)
    }

    /// A list of strings that are each read further; wrong ones are told and left out.
    pub fn set<T: Ord, E: fmt::Display>(
        &mut self,
        name: &'static str,
        most: usize,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<BTreeSet<T>> {
        let texts = self.strings(name, most)?;
        let read = texts
            .iter()
            .filter_map(|text| self.keep(name, Some(text), read(text)));
        Some(read.collect())
    }

    /// A list of tables.
    pub fn table_list(&mut self, name: &'static str, most: usize) -> Vec<Node<'d>> {
        let what = "a list of tables";
        let mut tables = Vec::new();
        for entry in self.list(name, most, what).unwrap_or_default() {
            match entry {
                Entry::Table(table) => tables.push(table),
                Entry::Text(text) => {
                    self.item_wrong(
                        name,
                        Some(&text),
                        format_args!("expected {what}, found a string in it"),
                    );
                }
            }
        }
        tables
    }
}
