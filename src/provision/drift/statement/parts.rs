//! Words, quoted names and the rest of a statement, with their places.

pub enum Part<'a> {
    Word(&'a str),
    Name(String),
    Other,
}

/// A part and where it stands.
pub struct Placed<'a> {
    pub part: Part<'a>,
    pub start: usize,
    pub end: usize,
}

pub fn parts(statement: &str) -> Vec<Placed<'_>> {
    let mut parts = Vec::new();
    let mut characters = statement.char_indices().peekable();
    while let Some((start, c)) = characters.next() {
        let part = match c {
            c if c.is_whitespace() => continue,
            quote @ ('"' | '\'') => {
                let mut text = String::new();
                while let Some((_, c)) = characters.next() {
                    match c == quote {
                        true if characters.next_if(|(_, next)| *next == quote).is_some() => text.push(quote),
                        true => break,
                        false => text.push(c),
                    }
                }
                match quote {
                    '"' => Part::Name(text),
                    _ => Part::Other,
                }
            }
            c if c.is_alphabetic() => {
                while characters
                    .next_if(|(_, c)| c.is_alphanumeric() || *c == '_')
                    .is_some()
                {}
                let end = characters.peek().map_or(statement.len(), |(end, _)| *end);
                Part::Word(statement.get(start..end).unwrap_or_default())
            }
            _ => Part::Other,
        };
        let end = characters.peek().map_or(statement.len(), |(end, _)| *end);
        parts.push(Placed { part, start, end });
    }
    parts
}
