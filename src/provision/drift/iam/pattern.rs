//! Patterns of IAM policies: `*`, `?`, and variables (IAM User Guide, "IAM JSON policy elements: Resource").

use std::collections::BTreeSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Plain(char),
    One,
    Many,
}

/// What stands for `*` where a pattern is tried: nothing has such a name.
pub const ANYTHING: &str = "(any)";
const ENDS_MAX: usize = 8;

impl Piece {
    fn example(&self) -> String {
        match self {
            Self::Plain(c) => c.to_string(),
            Self::One => "~".to_owned(),
            Self::Many => ANYTHING.to_owned(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    pub text: String,
    pieces: Vec<Piece>,
    has_variable: bool,
}

impl Pattern {
    /// What a variable stands for depends on the caller, so it is read as anything.
    pub fn new(text: &str) -> Self {
        let (mut pieces, mut has_variable) = (Vec::new(), false);
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let variable = rest.strip_prefix("${").and_then(|inner| inner.split_once('}'));
            if let Some((name, after)) = variable {
                match name {
                    "*" | "?" | "$" => pieces.extend(name.chars().map(Piece::Plain)),
                    _ => {
                        has_variable = true;
                        pieces.push(Piece::Many);
                    }
                }
                rest = after;
                continue;
            }
            pieces.push(match c {
                '*' => Piece::Many,
                '?' => Piece::One,
                c => Piece::Plain(c),
            });
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
        // Two in a row are no more than one, and cost more.
        pieces.dedup_by(|next, last| *next == Piece::Many && *last == Piece::Many);
        Self {
            text: text.to_owned(),
            pieces,
            has_variable,
        }
    }

    /// Of actions, whose letters count in either case.
    pub fn of_action(text: &str) -> Self {
        Self::new(&text.to_ascii_lowercase())
    }

    pub fn has_variable(&self) -> bool {
        self.has_variable
    }

    /// The only text that fits, if there is but one.
    pub fn only(&self) -> Option<String> {
        let plain = |piece: &Piece| match piece {
            Piece::Plain(c) => Some(*c),
            _ => None,
        };
        self.pieces.iter().map(plain).collect()
    }

    /// Ends of texts that begin so and fit: a few, the most general ones first.
    pub fn ends_after(&self, beginning: &str) -> Vec<String> {
        let mut places = self.with_skipped(BTreeSet::from([0]));
        for c in beginning.chars() {
            let next = places.into_iter().filter_map(|at| match self.pieces.get(at)? {
                Piece::Many => Some(at),
                Piece::Plain(wanted) if *wanted != c => None,
                Piece::One | Piece::Plain(_) => at.checked_add(1),
            });
            places = self.with_skipped(next.collect());
        }
        let ends = places.into_iter().map(|at| {
            let rest = self.pieces.iter().skip(at);
            rest.map(Piece::example).collect()
        });
        ends.take(ENDS_MAX).collect()
    }

    /// A `*` may also be nothing.
    fn with_skipped(&self, mut places: BTreeSet<usize>) -> BTreeSet<usize> {
        let many = |at: &usize| self.pieces.get(*at) == Some(&Piece::Many);
        let after: Vec<usize> = places.iter().filter(|at| many(at)).copied().collect();
        // No two of them stand in a row.
        places.extend(after.into_iter().filter_map(|at| at.checked_add(1)));
        places
    }

    /// Goes back to the last `*` only, so that the work stays in proportion.
    pub fn fits(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut piece) = (0_usize, 0_usize);
        let mut star: Option<(usize, usize)> = None;
        loop {
            match (self.pieces.get(piece), text.get(at)) {
                (None, None) => return true,
                (Some(Piece::Many), _) => {
                    piece = piece.saturating_add(1);
                    star = Some((piece, at));
                    continue;
                }
                (Some(Piece::One), Some(_)) => {}
                (Some(Piece::Plain(wanted)), Some(found)) if wanted == found => {}
                _ => {
                    let Some((after, from)) = star else {
                        return false;
                    };
                    if from >= text.len() {
                        return false;
                    }
                    at = from.saturating_add(1);
                    piece = after;
                    star = Some((after, at));
                    continue;
                }
            }
            at = at.saturating_add(1);
            piece = piece.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_iam() {
        for (pattern, text, fits) in [
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("*", "", true),
            ("a?c", "ac", false),
            ("a?c", "aéc", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "ab_ab_a", false),
            (
                "arn:aws:rds-db:*:dbuser:*/app",
                "arn:aws:rds-db:eu:1:dbuser:db-A/app",
                true,
            ),
            ("x/${*}", "x/*", true),
            ("x/${*}", "x/y", false),
            ("x/${aws:username}", "x/y", true),
            ("", "", true),
            ("", "a", false),
            ("a", "", false),
        ] {
            assert_eq!(Pattern::new(pattern).fits(text), fits, "{pattern} {text}");
        }
        assert!(Pattern::new("${aws:username}").has_variable());
        assert_eq!(Pattern::new("x/${$}").only().as_deref(), Some("x/$"));
        assert_eq!(Pattern::new("x/?").only(), None);
        for (pattern, beginning, ends) in [
            ("a/b*", "a/", vec!["b(any)"]),
            ("a/?", "a/", vec!["~"]),
            ("*/b*c", "a/", vec!["(any)/b(any)c", "/b(any)c", "b(any)c"]),
            ("a*", "a/", vec!["(any)", ""]),
            ("b/*", "a/", vec![]),
            ("a", "a/", vec![]),
            ("a/x", "a/", vec!["x"]),
        ] {
            assert_eq!(Pattern::new(pattern).ends_after(beginning), ends, "{pattern}");
        }
        let many = Pattern::new(&"*a".repeat(3_000)).ends_after(&"a".repeat(200));
        assert_eq!(many.len(), ENDS_MAX);
        assert!(!Pattern::new(&"*a".repeat(3_000)).fits(&"a".repeat(2_000)));
    }
}
