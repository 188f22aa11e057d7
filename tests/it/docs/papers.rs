//! Documents for people who decide: what they show is valid, what they name exists, what they list is complete.

use crate::support::proxy::dbproxy;
use crate::support::sandbox::root;
use dbproxy::access::policy::set::SCHEMA;
use dbproxy::domain::reason::CloseReason;
use dbproxy::platform::wire::scram::Verifier;
use rcgen::{CertificateParams, KeyPair};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The fenced blocks of this kind: what stands behind the kind, and the text.
fn blocks(text: &str, kind: &str) -> Vec<(String, String)> {
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
fn code(text: &str) -> impl Iterator<Item = &str> {
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

/// What configurations of documents speak of, in the place of `/etc/dbproxy` and `/run/secrets`.
pub struct House(PathBuf);

impl House {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("papers-{}-{number}", std::process::id());
        let house = Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name));
        std::fs::create_dir_all(house.0.join("policies")).unwrap();
        for entry in std::fs::read_dir(root().join("policies")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "cedar") {
                let copy = house.0.join("policies").join(path.file_name().unwrap());
                std::fs::copy(&path, copy).unwrap();
            }
        }
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["broker.example".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        house.write("tls.crt", &certificate);
        house.write("clients-ca.pem", &certificate);
        house.write("tls.key", &key.serialize_pem());
        let verifier = Verifier::of_password(b"secret", b"salt of sixteen.", 4096).unwrap();
        house.write(
            "verifiers",
            &format!("\"dashboard\" \"{}\"\n", &*verifier.to_text()),
        );
        house.write("dbproxy-peers", &format!("{}\n", "0123456789abcdef".repeat(4)));
        house
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Whether dbproxy takes this configuration, and what it says.
    pub fn ls(&self, configuration: &str) -> (bool, String) {
        let here = self.0.to_str().unwrap();
        let text = configuration
            .replace("/etc/dbproxy", here)
            .replace("/run/secrets", here);
        let path = self.write("dbproxy.toml", &text);
        let output = dbproxy(&[]).args(["ls", "--config"]).arg(path).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&told).into_owned(),
        )
    }

    /// What `policy check --strict` says to these policies, with the catalog of the shipped ones.
    fn check(&self, cedar: &str) -> (bool, String) {
        std::fs::remove_dir_all(self.0.join("policies")).unwrap();
        std::fs::create_dir(self.0.join("policies")).unwrap();
        self.write("policies/all.cedar", cedar);
        let dir = format!("{:?}", self.0.join("policies").to_str().unwrap());
        let catalog = read("policies/dbproxy.toml").replace("\"policies\"", &dir);
        let path = self.write("dbproxy.toml", &catalog);
        let mut command = dbproxy(&[]);
        command
            .args(["policy", "check", "--strict", "--config"])
            .arg(path);
        let output = command.output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&told).into_owned(),
        )
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
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

/// The keys of the one `json!({…})` of a function.
fn keys(file: &str, function: &str) -> BTreeSet<String> {
    let source = read(file);
    let body = source
        .split(function)
        .nth(1)
        .unwrap_or_else(|| panic!("{function}"));
    let body = body.split("json!({").nth(1).unwrap().split("})").next().unwrap();
    let lines = body.lines().filter_map(|line| line.trim().strip_prefix('"'));
    lines
        .filter_map(|line| Some(line.split_once("\":")?.0.to_owned()))
        .collect()
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
    written.append(&mut keys("src/access/audit/record.rs", "fn facts("));
    written.append(&mut keys("src/access/audit/asked.rs", "fn facts("));
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
    assert_eq!(events.len(), 5, "{events:?}");
    let shown = blocks(&document, "json");
    for event in events {
        assert!(document.contains(&format!("| `{event}` |")), "{event}");
        let is_shown = shown
            .iter()
            .any(|(_, line)| line.contains(&format!("\"event\":\"{event}\"")));
        assert!(is_shown, "no example of {event}");
    }
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
