//! The file of cases as it is written: TOML whose every mistake is told with its place.

use super::super::asked::Decision;
use super::mistakes::Mistakes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

pub type Text = Spanned<String>;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallerRow {
    pub name: Option<Text>,
    pub principal: Option<Text>,
    pub groups: Vec<String>,
    pub email: Option<String>,
    pub mfa: bool,
    pub proof: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaseRow {
    pub name: Option<Text>,
    pub caller: Option<Text>,
    pub target: Option<Text>,
    pub db_user: Option<Text>,
    pub database: Option<Text>,
    pub role: Option<Text>,
    pub action: Option<Text>,
    pub source: Option<Text>,
    pub tls: Option<bool>,
    /// A time of TOML, or a text.
    pub now: Option<Spanned<toml::Value>>,
    pub application: Option<String>,
    pub listener: Option<String>,
    pub decision: Option<Spanned<Decision>>,
    pub policies: Option<Vec<Text>>,
    pub max_session: Option<Text>,
    pub errors: Option<usize>,
}

/// One `[[caller]]` or `[[case]]`.
#[derive(Debug)]
pub struct Row<T> {
    pub span: Range<usize>,
    /// The keys that were written, also those whose values are wrong.
    pub keys: HashSet<String>,
    pub fields: T,
}

/// The rows of a file. One with a mistake lacks the values that are wrong.
pub fn read(mistakes: &mut Mistakes<'_>) -> (Vec<Row<CallerRow>>, Vec<Row<CaseRow>>) {
    let (table, errors) = DeTable::parse_recoverable(mistakes.text);
    for error in &errors {
        mistakes.told_by(error);
    }
    let (mut callers, mut cases) = (Vec::new(), Vec::new());
    // What follows a mistake of TOML's own may be read as something else than was meant.
    if !errors.is_empty() {
        return (callers, cases);
    }
    for (key, value) in table.into_inner() {
        match key.get_ref().as_ref() {
            "caller" => callers = rows(value, mistakes),
            "case" => cases = rows(value, mistakes),
            _ => mistakes.at(&key.span(), "unknown key: the file has [[caller]] and [[case]]"),
        }
    }
    (callers, cases)
}

fn rows<T: DeserializeOwned + Default>(
    value: Spanned<DeValue<'_>>,
    mistakes: &mut Mistakes<'_>,
) -> Vec<Row<T>> {
    let span = value.span();
    let mut rows = Vec::new();
    match value.into_inner() {
        DeValue::Array(items) => {
            for item in items {
                let span = item.span();
                match item.into_inner() {
                    DeValue::Table(table) => rows.push(row(span, table, mistakes)),
                    _ => mistakes.at(&span, "expected a table"),
                }
            }
        }
        _ => mistakes.at(&span, "expected tables: write the name in two brackets"),
    }
    rows
}

/// Each key is judged alone, because serde ends with the first that is wrong.
fn row<T: DeserializeOwned + Default>(
    span: Range<usize>,
    table: DeTable<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Row<T> {
    let parse = |table: DeTable<'_>| {
        let table = Spanned::new(span.clone(), DeValue::Table(table));
        T::deserialize(ValueDeserializer::from(table))
    };
    let keys = table.keys().map(|key| key.get_ref().to_string()).collect();
    let mut sound = DeTable::new();
    for (key, value) in table {
        let alone = DeTable::from_iter([(key.clone(), value.clone())]);
        match parse(alone) {
            Ok(_) => {
                sound.insert(key, value);
            }
            Err(error) => mistakes.told_by(&error),
        }
    }
    let fields = parse(sound).unwrap_or_else(|error| {
        mistakes.told_by(&error);
        T::default()
    });
    Row { span, keys, fields }
}
