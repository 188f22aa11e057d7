//! `docs/audit.md` lists every field, reason and event that the code writes, and no other.

use super::papers::{blocks, code, read};
use dbproxy::domain::reason::CloseReason;
use std::collections::BTreeSet;

/// The names behind `before` in sources, without their tests.
fn names(file: &str, before: &str) -> BTreeSet<String> {
    let source = read(file);
    let source = source.split("#[cfg(test)]").next().unwrap();
    let parts = source.split(before).skip(1);
    parts
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect()
}

/// The keys of the `json!({…})` of a function.
fn keys(file: &str, function: &str) -> BTreeSet<String> {
    let source = read(file);
    let body = source
        .split(function)
        .nth(1)
        .unwrap_or_else(|| panic!("{function}"));
    let whole = body.split("facts = json!({").nth(1);
    let whole = whole.or_else(|| body.split("json!({").nth(1));
    let body = whole.unwrap().split("})").next().unwrap();
    let lines = body.lines().filter_map(|line| line.trim().strip_prefix('"'));
    lines
        .filter_map(|line| Some(line.split_once("\":")?.0.to_owned()))
        .collect()
}

/// The public fields of all structs of a file, but those that stand for a whole struct.
fn fields(file: &str) -> BTreeSet<String> {
    let source = read(file);
    let lines = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub "))
        .filter_map(|field| Some(field.split_once(": ")?.0.to_owned()));
    lines.filter(|name| name != "facts").collect()
}

#[test]
fn the_audit_document_has_every_field() {
    let mut written = BTreeSet::new();
    for file in ["record", "asked", "mod"] {
        written.append(&mut names(
            &format!("src/access/audit/{file}.rs"),
            "facts.insert(\"",
        ));
    }
    written.append(&mut fields("src/access/audit/record/facts.rs"));
    for file in ["asked", "reloaded", "ended"] {
        written.append(&mut keys(&format!("src/access/audit/{file}.rs"), "fn facts("));
    }
    let context = keys("src/traffic/session/authorize.rs", "fn context(");
    written.extend(context.iter().map(|name| format!("context.{name}")));

    let document = read("docs/audit.md");
    let table = document.split("\n## Fields\n").nth(1).unwrap();
    let table = table.split("\n## ").next().unwrap();
    let described: BTreeSet<String> = table
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    assert_eq!(written, described);

    for (_, line) in blocks(&document, "json") {
        let example: serde_json::Value = serde_json::from_str(&line).unwrap();
        for name in example.as_object().unwrap().keys() {
            assert!(described.contains(name), "{name} of {line}");
        }
    }
}

#[test]
fn the_audit_document_has_every_reason_and_event() {
    let document = read("docs/audit.md");
    let reasons = document.split("\n## Reasons\n").nth(1).unwrap();
    let reasons = reasons.split("\n## ").next().unwrap();
    let listed: BTreeSet<&str> = reasons
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| code(line.split(" | ").next().unwrap()))
        .collect();
    let known: BTreeSet<&str> = CloseReason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(listed, known);
    let mut events = names("src/access/audit/record.rs", "audit.write(\"");
    events.append(&mut names("src/access/audit/asked.rs", "self.demand(\""));
    events.append(&mut names("src/access/audit/reloaded.rs", "self.write(\""));
    events.append(&mut names("src/access/audit/ended.rs", "self.write(\""));
    events.append(&mut names("src/access/audit/mod.rs", "self.line(\""));
    assert_eq!(events.len(), 9, "{events:?}");
    let shown = blocks(&document, "json");
    for event in events {
        assert!(document.contains(&format!("| `{event}` |")), "{event}");
        let is_shown = shown
            .iter()
            .any(|(_, line)| line.contains(&format!("\"event\":\"{event}\"")));
        assert!(is_shown, "no example of {event}");
    }
}
