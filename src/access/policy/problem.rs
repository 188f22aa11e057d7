//! A mistake in a set of policies, as a person wants to read it: where, what, and what mends it.

use miette::Diagnostic;
use std::fmt;
use std::path::{Path, PathBuf};

/// How much of a line is shown.
const LINE_CHARS_MAX: usize = 160;

/// Whether a set with it may be in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    pub file: PathBuf,
    pub place: Option<Place>,
    pub message: String,
    pub help: Option<String>,
}

/// Where in its file; lines and columns begin with 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    /// How many characters of the line are meant.
    length: usize,
    text: String,
}

impl Problem {
    pub fn new(severity: Severity, file: &Path, message: impl Into<String>) -> Self {
        Self {
            severity,
            file: file.to_owned(),
            place: None,
            message: message.into(),
            help: None,
        }
    }

    pub fn error(file: &Path, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, file, message)
    }

    pub fn warning(file: &Path, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, file, message)
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn at(mut self, source: &str, offset: usize, length: usize) -> Self {
        self.place = Place::of(source, offset, length);
        self
    }

    /// What Cedar says about a text of this file.
    pub fn of_cedar(severity: Severity, file: &Path, source: &str, fault: &dyn Diagnostic) -> Self {
        let mut problem = Self::new(severity, file, fault.to_string());
        problem.help = fault.help().map(|help| help.to_string());
        let label = fault.labels().and_then(|mut labels| labels.next());
        match label {
            Some(label) => {
                if let Some(text) = label.label().filter(|text| !problem.message.contains(text)) {
                    problem.message = format!("{}: {text}", problem.message);
                }
                problem.at(source, label.offset(), label.len())
            }
            None => problem,
        }
    }
}

impl Place {
    fn of(source: &str, offset: usize, length: usize) -> Option<Self> {
        let before = source.get(..offset)?;
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let text = source.get(line_start..)?.lines().next().unwrap_or_default();
        let column = source.get(line_start..offset)?.chars().count();
        let left = text.chars().count().saturating_sub(column);
        Some(Self {
            line: before.matches('\n').count().saturating_add(1),
            column: column.saturating_add(1),
            length: length.clamp(1, left.max(1)),
            text: text.chars().take(LINE_CHARS_MAX).collect(),
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(place) = &self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, ": {severity}: {}", self.message)?;
        if let Some(place) = &self.place {
            let number = place.line.to_string();
            let gap = " ".repeat(number.len());
            let before: String = place.text.chars().take(place.column.saturating_sub(1)).collect();
            // Tabs stay tabs, so that the mark stands below what it means.
            let before: String = before
                .chars()
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            let mark = "^".repeat(place.length.min(LINE_CHARS_MAX));
            write!(f, "\n {number} | {}\n {gap} | {before}{mark}", place.text)?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n   help: {help}")?;
        }
        Ok(())
    }
}

/// All mistakes that keep a set from being in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_below_what_is_meant() {
        let source = "permit (\n\tprincipal, wrong\n);\n";
        let offset = source.find("wrong").unwrap();
        let problem = Problem::error(Path::new("a.cedar"), "no")
            .at(source, offset, 5)
            .help("write it right");
        assert_eq!(
            problem.to_string(),
            "a.cedar:2:13: error: no\n 2 | \tprincipal, wrong\n   | \t           ^^^^^\n   help: write it right"
        );
    }

    #[test]
    fn places_outside_the_text_are_left_out() {
        assert_eq!(Place::of("abc", 4, 1), None);
        assert_eq!(Place::of("aé", 2, 1), None, "inside a character");
        assert_eq!(Place::of("", 0, 0).unwrap().line, 1);
    }
}
