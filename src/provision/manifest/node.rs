//! Takes typed values out of a table of the manifest, and tells every mistake with its place.

mod list;

pub use list::Entry;

use super::problems::{Mistakes, join};
use crate::domain::written::is_near;
use std::fmt;
use std::ops::RangeInclusive;
use toml_edit::{Item, Table, TableLike};

/// One table with its place in the manifest.
pub struct Node<'d> {
    key: String,
    /// `None`: what stands here is no table, which has been told.
    table: Option<&'d dyn TableLike>,
    pub mistakes: &'d Mistakes,
    /// Keys that were asked for; others are mistakes.
    asked: Vec<&'static str>,
}

impl<'d> Node<'d> {
    pub fn root(table: &'d Table, mistakes: &'d Mistakes) -> Self {
        Self::new(String::new(), Some(table), mistakes)
    }

    fn new(key: String, table: Option<&'d dyn TableLike>, mistakes: &'d Mistakes) -> Self {
        Self {
            key,
            table,
            mistakes,
            asked: Vec::new(),
        }
    }

    /// The full key of this table.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The full key of something in this table, quoted where TOML wants it.
    pub fn key_of(&self, name: &str) -> String {
        join(&self.key, name)
    }

    /// A mistake at the value of a key; where there is none, at this table.
    pub fn wrong(&self, name: &str, what: impl fmt::Display) {
        self.item_wrong(name, None, what);
    }

    /// A mistake at one item of a list.
    pub fn item_wrong(&self, name: &str, item: Option<&str>, what: impl fmt::Display) {
        self.mistakes.add(&self.key_of(name), item, what);
    }

    /// Keeps a value, or tells why there is none.
    pub fn keep<T>(&self, name: &str, item: Option<&str>, result: Result<T, impl fmt::Display>) -> Option<T> {
        result.map_err(|error| self.item_wrong(name, item, error)).ok()
    }

    pub fn has(&self, name: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(name))
    }

    fn take(&mut self, name: &'static str) -> Option<&'d Item> {
        self.asked.push(name);
        let (key, item) = self.table?.get_key_value(name)?;
        let at = item.span().or_else(|| key.span()).unwrap_or_default().start;
        self.mistakes.remember(&self.key_of(name), None, at);
        Some(item)
    }

    fn expected(&self, name: &str, what: &str, found: &Item) {
        self.wrong(name, format_args!("expected {what}, found {}", found.type_name()));
    }

    pub fn string(&mut self, name: &'static str) -> Option<String> {
        let item = self.take(name)?;
        if item.as_str().is_none() {
            self.expected(name, "a string", item);
        }
        item.as_str().map(str::to_owned)
    }

    /// A string that is read further.
    pub fn parsed<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.string(name)?;
        self.keep(name, None, read(&text))
    }

    pub fn boolean(&mut self, name: &'static str) -> Option<bool> {
        let item = self.take(name)?;
        if item.as_bool().is_none() {
            self.expected(name, "true or false", item);
        }
        item.as_bool()
    }

    pub fn integer(&mut self, name: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let item = self.take(name)?;
        let Some(number) = item.as_integer() else {
            self.expected(name, "a number", item);
            return None;
        };
        let right = u32::try_from(number).ok().filter(|number| range.contains(number));
        if right.is_none() {
            let (low, high) = (range.start(), range.end());
            self.wrong(name, format_args!("{number} is not within {low} to {high}"));
        }
        right
    }

    /// A moment with its offset from UTC.
    pub fn datetime(&mut self, name: &'static str) -> Option<std::time::SystemTime> {
        let item = self.take(name)?;
        let moment = item.as_datetime().map(ToString::to_string);
        let moment = moment.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        if moment.is_none() {
            let what =
                "expected a moment such as 2026-12-01T00:00:00Z, without quotes and with its offset from UTC";
            self.wrong(name, what);
        }
        moment.map(Into::into)
    }

    /// A table below this one.
    pub fn table(&mut self, name: &'static str) -> Option<Node<'d>> {
        let item = self.take(name)?;
        if item.as_table_like().is_none() {
            self.expected(name, "a table", item);
        }
        Some(Self::new(
            self.key_of(name),
            Some(item.as_table_like()?),
            self.mistakes,
        ))
    }

    /// The tables below the table `name`, each with its own name.
    pub fn tables(&mut self, name: &'static str, most: usize) -> Vec<(String, Node<'d>)> {
        let Some(all) = self.table(name) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (name, item) in all.entries(most) {
            if item.as_table_like().is_none() {
                all.expected(&name, "a table", item);
            }
            let key = all.key_of(&name);
            found.push((name, Self::new(key, item.as_table_like(), self.mistakes)));
        }
        found
    }

    /// All that this table has, whatever it is called.
    pub fn entries(&self, most: usize) -> Vec<(String, &'d Item)> {
        let Some(table) = self.table else {
            return Vec::new();
        };
        if table.len() > most {
            self.too_many(&self.key, table.len(), most);
        }
        let mut found = Vec::new();
        for (name, item) in table.iter().take(most) {
            let key = table.get_key_value(name).and_then(|(key, _)| key.span());
            let at = key.or_else(|| item.span()).unwrap_or_default().start;
            self.mistakes.remember(&self.key_of(name), None, at);
            found.push((name.to_owned(), item));
        }
        found
    }

    fn too_many(&self, key: &str, found: usize, most: usize) {
        self.mistakes
            .add(key, None, format_args!("{found} entries, the limit is {most}"));
    }

    /// Tells every key that nobody asked for.
    pub fn finish(self) {
        let Some(table) = self.table else {
            return;
        };
        for (name, item) in table.iter() {
            if self.asked.contains(&name) {
                continue;
            }
            let key = table.get_key_value(name).and_then(|(key, _)| key.span());
            let at = key.or_else(|| item.span()).unwrap_or_default().start;
            let key = self.key_of(name);
            match self.asked.iter().find(|known| is_near(known, name)) {
                Some(known) => {
                    self.mistakes
                        .at(at, &key, format_args!("unknown key; did you mean `{known}`?"));
                }
                None => self.mistakes.at(at, &key, "unknown key"),
            }
        }
    }
}
