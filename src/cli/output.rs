//! Data to stdout, messages to stderr.

#![expect(clippy::print_stderr, reason = "the one place that prints")]

use super::exit::Failure;
use clap::Command;
use clap_complete::Shell;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

/// One line of data. A reader that has gone away is no failure.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A message for the person in front of the terminal.
pub fn note(text: &str) {
    eprintln!("{text}");
}

/// Whether messages are read by a person as they come.
pub fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// A message that takes the place of the one before, cut to what fits on a narrow line.
pub fn in_place(text: &str) {
    let text: String = text.chars().take(IN_PLACE_CHARS).collect();
    eprint!("\r\x1b[K{text}");
    let _ = std::io::stderr().flush();
}

const IN_PLACE_CHARS: usize = 79;

/// In red where data goes to a terminal.
pub fn red(text: &str) -> String {
    match std::io::stdout().is_terminal() {
        true => format!("\x1b[31m{text}\x1b[0m"),
        false => text.to_owned(),
    }
}

pub fn problem(failure: &Failure) {
    eprintln!("dbproxy: {}", failure.message);
    if let Some(hint) = &failure.hint {
        eprintln!("hint: {hint}");
    }
}

/// Help and version are answers; anything else is a usage error. clap would end with 2, which says
/// "policy denied" here.
pub fn usage(message: &clap::Error) -> ExitCode {
    let _ = message.print();
    match message.use_stderr() {
        true => ExitCode::from(1),
        false => ExitCode::SUCCESS,
    }
}

pub fn completion(shell: Shell, command: &mut Command) {
    clap_complete::generate(shell, command, "dbproxy", &mut std::io::stdout());
}

/// Rows in columns that fit the widest cell.
pub fn table(header: &[&str], rows: &[Vec<String>]) {
    let mut table = Table::new(header);
    for row in rows {
        table.push(row.clone());
    }
    table.show();
}

/// Rows that are held before some are shown: the memory of a long table is bounded.
const ROWS_HELD: usize = 1_000;

/// A table that may be long: its columns fit the cells seen so far.
#[derive(Debug)]
pub struct Table {
    /// Until it is shown.
    header: Vec<String>,
    /// In red or not.
    rows: Vec<(Vec<String>, bool)>,
    widths: Vec<usize>,
}

impl Table {
    pub fn new(header: &[&str]) -> Self {
        let header: Vec<String> = header.iter().map(|title| (*title).to_owned()).collect();
        Self {
            widths: header.iter().map(|title| title.chars().count()).collect(),
            header,
            rows: Vec::new(),
        }
    }

    pub fn push(&mut self, row: Vec<String>) {
        self.add(row, false);
    }

    /// In red where data goes to a terminal.
    pub fn push_red(&mut self, row: Vec<String>) {
        self.add(row, true);
    }

    fn add(&mut self, row: Vec<String>, is_red: bool) {
        let row: Vec<String> = row.into_iter().map(|cell| printable(&cell)).collect();
        for (width, cell) in self.widths.iter_mut().zip(&row) {
            *width = cell.chars().count().max(*width);
        }
        self.rows.push((row, is_red));
        if self.rows.len() >= ROWS_HELD {
            self.show();
        }
    }

    /// Shows what is held.
    pub fn show(&mut self) {
        let header = std::mem::take(&mut self.header);
        let first = (!header.is_empty()).then_some((header, false));
        for (row, is_red) in first.into_iter().chain(std::mem::take(&mut self.rows)) {
            let cells = row.iter().zip(&self.widths);
            let padded = cells.map(|(cell, width)| format!("{cell:<width$}"));
            let padded = padded.collect::<Vec<_>>().join("  ");
            match is_red {
                true => line(&red(padded.trim_end())),
                false => line(padded.trim_end()),
            }
        }
    }
}

/// Names come from clients and from tokens. What would steer a terminal, or turn the text around, is shown as an
/// escape.
pub fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match steers(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

/// `8s`, `12m`, `3h12m`, `2d4h`: the two largest units.
pub fn span(length: Duration) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut left = length.as_secs();
    let mut shown = String::new();
    let mut parts = 0;
    for (seconds, unit) in units {
        let count = left.checked_div(seconds).unwrap_or_default();
        left = left.checked_rem(seconds).unwrap_or_default();
        if count > 0 && parts < 2 {
            shown.push_str(&format!("{count}{unit}"));
        }
        // The second unit is the next one, though there may be none of it.
        parts = i32::from(count > 0 || parts > 0).saturating_add(parts);
    }
    match shown.as_str() {
        "" => "0s".to_owned(),
        _ => shown,
    }
}

/// `512 B`, `1.2 kB`, `34 MB`
pub fn bytes(count: u64) -> String {
    let mut shown = count as f64;
    let mut unit = "B";
    for larger in ["kB", "MB", "GB", "TB", "PB"] {
        if shown < 999.5 {
            break;
        }
        shown /= 1_000.0;
        unit = larger;
    }
    match unit != "B" && shown < 9.95 {
        true => format!("{shown:.1} {unit}"),
        false => format!("{shown:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        for (seconds, shown) in [
            (0, "0s"),
            (59, "59s"),
            (61, "1m1s"),
            (3_600, "1h"),
            (3_605, "1h"),
            (11_520, "3h12m"),
            (187_200, "2d4h"),
            (172_859, "2d"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), shown, "{seconds}");
        }
    }

    #[test]
    fn bytes_have_two_digits_or_more() {
        for (count, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (9_960, "10 kB"),
            (999_600, "1.0 MB"),
            (1_234_567_890, "1.2 GB"),
        ] {
            assert_eq!(bytes(count), shown, "{count}");
        }
    }

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(printable("jane@é.example"), "jane@é.example");
        assert_eq!(printable("a\u{1b}[2Jb\n\u{202e}c"), "a\\u{1b}[2Jb\\n\\u{202e}c");
    }
}
