//! Parts of statements, and names as people read them.

use crate::provision::name::SchemaName;
use crate::provision::sql::identifier;
use crate::provision::wanted::{Grantee, Kind, Privilege};
use std::collections::BTreeSet;
use std::fmt::Display;

/// Most names that a title or a note lists.
const SHOWN_MAX: usize = 3;
const LOSERS_MAX: usize = 30;

/// `"name"` for titles and notes: on one line whatever it contains.
pub fn shown(name: impl Display) -> String {
    format!("{:?}", name.to_string())
}

/// `"a", "b", "c" and 4 more`.
pub fn some<T: Display>(names: impl IntoIterator<Item = T>) -> String {
    listed(names, SHOWN_MAX)
}

/// The same of those who lose something: people want to know whether they are among them.
pub fn all<T: Display>(names: impl IntoIterator<Item = T>) -> String {
    listed(names, LOSERS_MAX)
}

fn listed<T: Display>(names: impl IntoIterator<Item = T>, most: usize) -> String {
    let names: Vec<String> = names.into_iter().map(shown).collect();
    let more = names.len().saturating_sub(most);
    let few: Vec<String> = names.into_iter().take(most).collect();
    match more {
        0 => few.join(", "),
        more => format!("{} and {more} more", few.join(", ")),
    }
}

pub fn grantee(grantee: &Grantee) -> String {
    match grantee {
        Grantee::Public => "PUBLIC".to_owned(),
        Grantee::Role(role) => identifier(role),
    }
}

pub fn privileges(privileges: &BTreeSet<Privilege>) -> String {
    let names: Vec<&str> = privileges.iter().map(|privilege| privilege.as_str()).collect();
    names.join(", ")
}

/// What follows `ON`, without the name. ROUTINE is a function as well as a procedure, which FUNCTION is not.
pub fn one_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Table => "TABLE",
        Kind::Sequence => "SEQUENCE",
        Kind::Function => "ROUTINE",
    }
}

pub fn all_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Table => "TABLES",
        Kind::Sequence => "SEQUENCES",
        Kind::Function => "ROUTINES",
    }
}

/// `"schema"."name"`; of functions with their argument types, `None` if those are not understood.
pub fn object(schema: &SchemaName, kind: Kind, name: &str) -> Option<String> {
    let schema = identifier(schema);
    if kind != Kind::Function {
        return Some(format!("{schema}.{}", identifier(name)));
    }
    let (name, arguments) = signature(name)?;
    Some(format!("{schema}.{}({arguments})", identifier(name)))
}

/// The name of a function and its argument types. Types are SQL already (`character varying`, `"Odd".t[]`), so they
/// pass as they are if they are nothing but words, quoted names, dots, commas and brackets.
fn signature(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_suffix(')')?;
    let mut quoted = false;
    // From the end: a name may contain anything, types may contain a parenthesis only inside quotes.
    let open = inner.char_indices().rev().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == '(' && !quoted
    });
    let (name, rest) = inner.split_at_checked(open?.0)?;
    let arguments = rest.strip_prefix('(')?;
    let mut quoted = false;
    let plain = arguments.chars().all(|c| {
        quoted ^= c == '"';
        quoted || c.is_alphanumeric() || "_$ .,[]\"".contains(c)
    });
    (plain && !quoted && !name.is_empty()).then_some((name, arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named_with_their_types() {
        let schema = SchemaName::new("s").unwrap();
        let routine = |name: &str| object(&schema, Kind::Function, name);
        assert_eq!(routine("f(integer, text)").unwrap(), r#""s"."f"(integer, text)"#);
        assert_eq!(routine("f()").unwrap(), r#""s"."f"()"#);
        assert_eq!(
            routine(r#"a"(b(timestamp without time zone, "O(d)".t[])"#).unwrap(),
            r#""s"."a""(b"(timestamp without time zone, "O(d)".t[])"#
        );
        for bad in [
            "f",
            "f(integer) to public; --)",
            "f(a; b)",
            "(integer)",
            "f(\"a)",
            "f('a')",
        ] {
            assert_eq!(routine(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_for_people_stay_on_one_line() {
        assert_eq!(shown("a\nb"), "\"a\\nb\"");
        assert_eq!(some(["a", "b", "c", "d", "e"]), r#""a", "b", "c" and 2 more"#);
    }
}
