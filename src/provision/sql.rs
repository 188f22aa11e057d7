//! Names and texts as SQL writes them. Whatever becomes part of a statement comes through here.

use std::fmt;

/// `"name"`, always quoted: no list of reserved words to keep (PostgreSQL manual, "Identifiers and Key Words").
pub fn identifier(name: impl fmt::Display) -> String {
    format!("\"{}\"", name.to_string().replace('"', "\"\""))
}

/// `'text'`, with backslashes safe whatever `standard_conforming_strings` says (PostgreSQL manual, "String Constants
/// With C-Style Escapes").
pub fn literal(text: impl fmt::Display) -> String {
    let text = text.to_string().replace('\'', "''");
    match text.contains('\\') {
        true => format!("E'{}'", text.replace('\\', "\\\\")),
        false => format!("'{text}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_stay_what_they_are() {
        assert_eq!(identifier("App"), "\"App\"");
        assert_eq!(identifier("a\"; drop role b; --"), "\"a\"\"; drop role b; --\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
    }
}
