//! Documents for people who decide: what they show is valid, what they name exists.

use super::house::House;
use crate::support::sandbox::root;
use clap::Parser;
use dbproxy::access::policy::set::SCHEMA;
use dbproxy::cli::args::Arguments;
use dbproxy::provision::manifest;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

pub fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The fenced blocks of this kind: what stands behind the kind, and the text.
pub fn blocks(text: &str, kind: &str) -> Vec<(String, String)> {
    let parts: Vec<&str> = text.split("\n```").collect();
    let fenced = parts.iter().skip(1).step_by(2).map(|part| {
        let (info, body) = part.split_once('\n').unwrap();
        (info, format!("{body}\n"))
    });
    fenced
        .filter_map(|(info, body)| {
            let more = info.strip_prefix(kind)?;
            (more.is_empty() || more.starts_with(' ')).then(|| (more.trim().to_owned(), body))
        })
        .collect()
}

/// Texts in backticks.
pub fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Every `file::test` of a document: a file below `tests/it`, or one that begins with `src/`. How many there are.
pub fn assert_tests_exist(file: &str) -> usize {
    let text = read(file);
    let named = code(&text).filter_map(|code| code.split_once("::"));
    named
        .map(|(module, test)| {
            let folder = if module.starts_with("src/") {
                ""
            } else {
                "tests/it"
            };
            let path = root().join(folder).join(format!("{module}.rs"));
            let source = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{module}::{test}"));
            assert!(source.contains(&format!("fn {test}()")), "{module}::{test}");
        })
        .count()
}

#[test]
fn every_configuration_of_the_documents_is_taken() {
    let shown = blocks(&read("docs/callers.md"), "toml");
    assert!(shown.len() >= 8, "{}", shown.len());
    for (_, text) in shown {
        let (ok, told) = House::new().ls(&text);
        assert!(ok, "{text}\n{told}");
    }
}

/// `toml` is a manifest, `toml config` a configuration.
#[test]
fn every_manifest_of_the_documents_is_taken() {
    let shown = blocks(&read("docs/provisioning.md"), "toml");
    let manifests: Vec<_> = shown.iter().filter(|(more, _)| more.is_empty()).collect();
    assert!(manifests.len() >= 5, "{}", manifests.len());
    for (_, text) in &manifests {
        let read = manifest::read(text, SystemTime::now());
        let manifest = read.unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"));
        assert!(manifest.notes.is_empty(), "{:?}\n{text}", manifest.notes);
    }
    for (_, text) in shown.iter().filter(|(more, _)| more == "config") {
        let demo = manifests
            .iter()
            .find(|(_, text)| text.contains("[clusters.demo]"));
        let (ok, told) = House::new().with_manifest(&demo.unwrap().1).ls(text);
        assert!(ok, "{text}\n{told}");
    }
}

/// Every `dbproxy` line of a shell block is one that the command line takes, its flags too.
#[test]
fn every_command_of_the_documents_exists() {
    let shown = blocks(&read("docs/provisioning.md"), "sh").into_iter();
    let lines: Vec<String> = shown
        .flat_map(|(_, text)| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    for line in &lines {
        let command = line.split("dbproxy ").nth(1).unwrap_or_else(|| panic!("{line}"));
        let words = command
            .split('#')
            .next()
            .unwrap_or_default()
            .split_ascii_whitespace();
        let told = Arguments::try_parse_from(std::iter::once("dbproxy").chain(words));
        assert!(
            told.is_ok(),
            "{line}\n{}",
            told.err().map(|error| error.to_string()).unwrap_or_default()
        );
    }
    assert!(lines.len() >= 11, "{lines:?}");
}

/// One by one, and all together: their ids differ. A block that needs a name of the schema waits until it is there.
#[test]
fn every_policy_of_the_documents_is_sound() {
    let shown = blocks(&read("docs/policy.md"), "cedar");
    let is_ripe = |info: &str| match info.strip_prefix("needs=") {
        Some(name) => SCHEMA.contains(&format!("{name}?:")),
        None => true,
    };
    let ripe: Vec<_> = shown.iter().filter(|(info, _)| is_ripe(info)).collect();
    assert!(ripe.len() >= 9, "{}", ripe.len());
    let mut all = String::new();
    for (_, text) in ripe {
        let (ok, told) = House::new().check(text);
        assert!(ok, "{text}\n{told}");
        all.push_str(text);
    }
    let (ok, told) = House::new().check(&all);
    assert!(ok, "{told}");
}

/// What `docs/policy.md` shows of the policy commands is what they say about the shipped policies.
#[test]
fn the_policy_commands_say_what_the_document_shows() {
    let mut count = 0;
    for (_, block) in blocks(&read("docs/policy.md"), "text") {
        let joined = block.replace("\\\n", " ");
        let (command, shown) = joined.split_once('\n').unwrap();
        let Some(arguments) = command
            .strip_prefix("$ dbproxy ")
            .filter(|c| c.contains("policies/dbproxy.toml"))
        else {
            continue;
        };
        let mut shell = Command::new("sh");
        shell.current_dir(root()).env_clear();
        let line = format!("'{}' {arguments}", env!("CARGO_BIN_EXE_dbproxy"));
        let output = shell.args(["-c", &line]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        match shown.strip_suffix("…\n") {
            Some(begin) => assert!(said.starts_with(begin), "{line}\n{said}"),
            None => assert_eq!(said, shown, "{line}"),
        }
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn every_pitfall_has_its_answer() {
    let document = read("docs/pitfalls.md");
    let rows: Vec<Vec<&str>> = document
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| #") && !line.starts_with("| -"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    for (number, row) in (1..=28).zip(&rows) {
        let [written, _, here, shown] = row[..] else {
            panic!("{row:?}")
        };
        assert_eq!(written, number.to_string());
        assert!(!here.is_empty() && shown.contains("::"), "{row:?}");
    }
    assert_eq!(rows.len(), 28);
    assert!(assert_tests_exist("docs/pitfalls.md") > 28);
}

/// Headings become anchors as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut files = vec![];
    for folder in ["", "docs", "deploy", "policies", "tests/sandbox"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                files.push(path);
            }
        }
    }
    let mut count = 0;
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let meant = match path {
                "" => file.clone(),
                path => file.parent().unwrap_or(Path::new("/")).join(path),
            };
            let shown = format!("{link} in {}", file.display());
            assert!(meant.exists(), "{shown}");
            if !anchor.is_empty() {
                let there = anchors(&std::fs::read_to_string(&meant).unwrap());
                assert!(there.contains(anchor), "{shown}");
            }
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}
