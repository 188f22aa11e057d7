//! Audit lines as a table: what opened and how it closed in one row.

use super::super::output::{self, Table};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;

/// Sessions whose end is waited for; those beyond are shown as open at once.
const OPEN_MAX: usize = 500_000;
const COLUMNS: [&str; 8] = [
    "BEGAN",
    "CALLER",
    "WHAT",
    "LASTED",
    "TO SERVER",
    "TO CLIENT",
    "END",
    "SESSION",
];
const WIDE_COLUMNS: [&str; 6] = [
    "SOURCE",
    "PID",
    "POLICIES",
    "CREDENTIAL",
    "AWS KEY",
    "AWS SOURCE IDENTITY",
];

/// Takes lines in the order of the files. Rows come in the order of their ends; what has none comes last.
#[derive(Debug)]
pub struct Rows {
    table: Table,
    is_wide: bool,
    /// Rows of opened sessions by id, with their order.
    open: HashMap<String, (usize, Vec<String>)>,
    opened: usize,
}

impl Rows {
    pub fn new(is_wide: bool) -> Self {
        let columns = match is_wide {
            true => [&COLUMNS[..], &WIDE_COLUMNS].concat(),
            false => COLUMNS.to_vec(),
        };
        Self {
            table: Table::new(&columns),
            is_wide,
            open: HashMap::new(),
            opened: 0,
        }
    }

    pub fn take(&mut self, line: &Value) {
        let line = Line(line);
        let session = line.says("session").unwrap_or_default();
        match line.says("event").unwrap_or_default() {
            "session.opened" => {
                let row = self.row(line, line.says("time"), "open".to_owned());
                if self.open.len() >= OPEN_MAX {
                    return self.table.push(row);
                }
                self.opened = self.opened.saturating_add(1);
                self.open.insert(session.to_owned(), (self.opened, row));
            }
            "session.closed" => {
                let reason = line.says("reason").unwrap_or("-").to_owned();
                let opened = self.open.remove(session).map(|(_, row)| row);
                let began = opened.and_then(|row| row.into_iter().next());
                let began = began.or_else(|| line.began());
                let row = self.row(line, began.as_deref(), reason);
                self.table.push(row);
            }
            "session.refused" => {
                let end = format!("REFUSED {}", line.says("reason").unwrap_or("-"));
                let row = self.row(line, line.says("time"), end);
                self.table.push(row);
            }
            event => {
                let row = self.row_of_operator(line, event);
                self.table.push(row);
            }
        }
    }

    /// Shows what is left: sessions of which no end was found.
    pub fn end(mut self) {
        let mut open: Vec<_> = self.open.into_values().collect();
        open.sort_unstable_by_key(|(order, _)| *order);
        for (_, row) in open {
            self.table.push(row);
        }
        self.table.show();
    }

    fn row(&self, line: Line<'_>, began: Option<&str>, end: String) -> Vec<String> {
        let size = |name: &str| line.number(name).map_or("-".to_owned(), output::bytes);
        let lasted = line.seconds().map_or("-".to_owned(), output::span);
        let mut row = vec![
            began.map_or("-".to_owned(), to_seconds),
            line.text("caller"),
            format!(
                "{}@{}/{}",
                line.text("db_user"),
                line.text("target"),
                line.text("database")
            ),
            lasted,
            size("bytes_to_server"),
            size("bytes_to_client"),
            end,
            line.text("session"),
        ];
        self.widen(&mut row, line);
        row
    }

    /// What an operator asked for; events of later versions too.
    fn row_of_operator(&self, line: Line<'_>, event: &str) -> Vec<String> {
        let asked = match event {
            "session.terminate_asked" => match line.says("target") {
                Some(target) => format!("terminate @{target}"),
                None => "terminate".to_owned(),
            },
            "broker.reload_asked" => "reload".to_owned(),
            "broker.shutdown_asked" => "shutdown".to_owned(),
            "broker.reloaded" => format!("reloaded by {}", line.says("by").unwrap_or("-")),
            other => other.to_owned(),
        };
        let end = match line.says("decision") {
            Some("deny") => "DENIED".to_owned(),
            Some("permit") => "permitted".to_owned(),
            _ => line.says("outcome").unwrap_or("-").to_owned(),
        };
        let none = || "-".to_owned();
        let mut row = vec![
            line.says("time").map_or_else(none, to_seconds),
            line.text("operator"),
            asked,
            none(),
            none(),
            none(),
            end,
            line.list("sessions"),
        ];
        self.widen(&mut row, line);
        row
    }

    fn widen(&self, row: &mut Vec<String>, line: Line<'_>) {
        if self.is_wide {
            row.extend([
                line.text("source"),
                line.number("backend_pid")
                    .map_or("-".to_owned(), |pid| pid.to_string()),
                line.list("policies"),
                line.text("credential"),
                line.text("aws_key"),
                line.text("aws_source_identity"),
            ]);
        }
    }
}

/// One JSON line; what it does not say is `-`.
#[derive(Clone, Copy)]
struct Line<'a>(&'a Value);

impl<'a> Line<'a> {
    fn says(self, name: &str) -> Option<&'a str> {
        self.0.get(name).and_then(Value::as_str)
    }

    fn text(self, name: &str) -> String {
        match self.says(name) {
            None | Some("") => "-".to_owned(),
            Some(text) => text.to_owned(),
        }
    }

    fn number(self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Value::as_u64)
    }

    fn list(self, name: &str) -> String {
        let list = self.0.get(name).and_then(Value::as_array);
        let texts: Vec<&str> = list.into_iter().flatten().filter_map(Value::as_str).collect();
        match texts.is_empty() {
            true => "-".to_owned(),
            false => texts.join(","),
        }
    }

    fn seconds(self) -> Option<Duration> {
        let seconds = self.0.get("seconds").and_then(Value::as_f64)?;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// When a session began whose opening was not seen.
    fn began(self) -> Option<String> {
        let ended: Timestamp = self.says("time")?.parse().ok()?;
        let lasted = SignedDuration::try_from(self.seconds()?).ok()?;
        let began = ended.checked_sub(lasted).ok()?;
        Some(format!("{began:.3}"))
    }
}

/// `2026-11-25T10:00:00.123Z` without the fraction.
fn to_seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_beginning_of_a_session_follows_from_its_end() {
        let line = json!({"time": "2026-11-25T10:00:00.500Z", "seconds": 3600.25});
        assert_eq!(Line(&line).began().as_deref(), Some("2026-11-25T09:00:00.250Z"));
        for odd in [
            json!({}),
            json!({"time": "x", "seconds": 1}),
            json!({"time": "2026-11-25T10:00:00Z", "seconds": -1}),
            json!({"time": "2026-11-25T10:00:00Z", "seconds": 1e300}),
        ] {
            assert_eq!(Line(&odd).began(), None);
        }
    }

    #[test]
    fn an_opened_session_waits_for_its_end() {
        let mut rows = Rows::new(true);
        rows.take(&json!({"event": "session.opened", "session": "a", "time": "2026-11-25T10:00:00.000Z"}));
        rows.take(&json!({"event": "session.opened", "session": "b"}));
        assert_eq!(rows.open.len(), 2);
        rows.take(&json!({"event": "session.closed", "session": "a", "reason": "terminated"}));
        rows.take(&json!({"event": "unheard_of"}));
        rows.take(&json!({"event": 7}));
        assert_eq!(rows.open.keys().collect::<Vec<_>>(), ["b"]);
    }
}
