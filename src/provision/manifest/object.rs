//! What privileges are on, as the manifest writes it: `schema app`, `all tables in app`, `function app.f(integer)`.

use super::names;
use super::types::ObjectName;
use crate::provision::name::SchemaName;
use crate::provision::wanted::Kind;

const PROPOSAL: &str = "`database`, `schema app`, `all tables in app` (or sequences, functions), \
                        `table app.items` (or sequence, `function app.f(integer)`)";

pub fn parse(text: &str) -> Result<ObjectName, String> {
    let wrong = || format!("`{text}` is none of {PROPOSAL}");
    if text == "database" {
        return Ok(ObjectName::Database);
    }
    let (word, rest) = text.split_once(' ').ok_or_else(wrong)?;
    if word == "schema" {
        return whole_schema(rest).map(ObjectName::Schema);
    }
    if word == "all" {
        let (kinds, schema) = rest.split_once(" in ").ok_or_else(wrong)?;
        let kind = kinds.strip_suffix('s').and_then(kind).ok_or_else(wrong)?;
        return Ok(ObjectName::All(kind, whole_schema(schema)?));
    }
    let kind = kind(word).ok_or_else(wrong)?;
    let (schema, rest) = name(rest)?;
    let rest = rest.strip_prefix('.').ok_or_else(wrong)?;
    let (object, rest) = name(rest)?;
    let object = match kind {
        Kind::Function => format!("{object}{}", arguments(rest)?),
        _ if rest.is_empty() => object,
        _ => return Err(wrong()),
    };
    Ok(ObjectName::One(kind, checked_schema(&schema)?, object))
}

fn kind(word: &str) -> Option<Kind> {
    let known = Kind::ALL.into_iter();
    known
        .into_iter()
        .find(|kind| kind.as_str().eq_ignore_ascii_case(word))
}

fn whole_schema(text: &str) -> Result<SchemaName, String> {
    match name(text)? {
        (schema, "") => checked_schema(&schema),
        _ => Err(format!(
            "`{text}` is not one name: write odd ones in double quotes"
        )),
    }
}

fn checked_schema(name: &str) -> Result<SchemaName, String> {
    names::schema(name).map_err(|error| error.to_string())
}

/// A name at the start of a text, and what follows it. Without quotes PostgreSQL would fold it to lower case.
fn name(text: &str) -> Result<(String, &str), String> {
    let (found, rest) = match text.strip_prefix('"') {
        Some(quoted) => unquoted(quoted).ok_or_else(|| format!("`{text}`: the closing quote is missing"))?,
        None => {
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_$".contains(c);
            let (found, rest) = text
                .split_at_checked(text.find(|c| !legal(c)).unwrap_or(text.len()))
                .unwrap_or((text, ""));
            if rest.starts_with(|c: char| !".( ".contains(c)) {
                return Err(format!(
                    "`{text}`: write names other than lower-case ones in double quotes"
                ));
            }
            (found.to_owned(), rest)
        }
    };
    SchemaName::new(&found).map_err(|error| format!("`{text}`: {error}"))?;
    Ok((found, rest))
}

/// What stands before the closing quote, where two quotes are one.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut found = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        found.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                found.push('"');
                rest = more;
            }
            None => return Some((found, after)),
        }
    }
}

/// `(integer, text)`, written as the catalogs do. It becomes part of statements as it is, so only what types are made
/// of is let through.
fn arguments(text: &str) -> Result<String, String> {
    let wrong =
        || format!("`{text}`: a function ends in its argument types, such as `(integer, text)` or `()`");
    let inside = text
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'))
        .ok_or_else(wrong)?;
    if inside.trim().is_empty() {
        return Ok("()".to_owned());
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || "_ .[]\"".contains(c);
    let is_type = |text: &str| {
        let letters = text.contains(|c: char| c.is_ascii_alphabetic());
        letters && text.chars().all(legal) && text.matches('"').count().is_multiple_of(2)
    };
    let types: Vec<&str> = inside.split(',').map(str::trim).collect();
    match types.iter().all(|text| is_type(text)) {
        true => Ok(format!("({})", types.join(", "))),
        false => Err(wrong()),
    }
}
