//! Data to stdout, messages to stderr.

#![expect(clippy::print_stderr, reason = "the one place that prints")]

use super::exit::Failure;
use clap::Command;
use clap_complete::Shell;
use std::io::Write as _;
use std::process::ExitCode;

/// One line of data. A reader that has gone away is no failure.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A message for the person in front of the terminal.
pub fn note(text: &str) {
    eprintln!("{text}");
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
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let title = header.get(column).map_or(0, |title| title.len());
        cells.map(|cell| cell.chars().count()).fold(title, usize::max)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let show = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        line(padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    show(&mut header.iter().copied());
    for row in rows {
        show(&mut row.iter().map(String::as_str));
    }
}
