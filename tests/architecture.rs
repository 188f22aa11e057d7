//! Reads the sources and says whether the house still stands: imports point down, the world is
//! touched through its doors, every module says what it is for.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Floors from low to high; modules of one line do not import each other, with the exceptions of
/// [`SIDEWAYS`].
const FLOORS: &[&[&str]] = &[
    &["domain", "error"],
    &[
        "platform::aws",
        "platform::clock",
        "platform::file",
        "platform::http",
        "platform::process",
        "platform::task",
        "platform::telemetry",
        "platform::tls",
        "platform::wire",
    ],
    &[
        "access::audit",
        "access::catalog",
        "access::credential",
        "access::identity",
        "access::policy",
    ],
    &[
        "provision",
        "traffic::peers",
        "traffic::relay",
        "traffic::upstream",
    ],
    &["traffic::session"],
    &["traffic::listener"],
    &["admin"],
    &["config"],
    &["app"],
    &["cli"],
];

/// Edges within a floor, each with its reason.
const SIDEWAYS: &[(&str, &str, &str)] = &[
    ("error", "domain", "a refusal carries the close reason"),
    (
        "access::credential",
        "access::policy",
        "no credential without a Permit",
    ),
    (
        "platform::aws",
        "platform::telemetry",
        "any mechanism may count and log",
    ),
    (
        "platform::http",
        "platform::tls",
        "whom an HTTPS client trusts is TLS's affair",
    ),
    (
        "platform::aws",
        "platform::clock",
        "any mechanism may tell the time",
    ),
];

/// Words that may stand only in certain places.
const DOORS: &[(&str, &[&str], &str)] = &[
    (
        "aws_sdk_",
        &["src/platform/aws/"],
        "the AWS SDK stays behind platform::aws",
    ),
    (
        "aws_config::",
        &["src/platform/aws/"],
        "the AWS SDK stays behind platform::aws",
    ),
    (
        "std::env::var",
        &["src/config/source.rs"],
        "the environment is read in one place",
    ),
    ("tokio::spawn", &["src/platform/task/"], "tasks have an owner"),
    ("println!", &["src/cli/output.rs"], "output has one place"),
    (
        "SystemTime::now",
        &["src/platform/clock.rs"],
        "the clock has one door",
    ),
    ("axum::", &["src/admin/"], "HTTP stays in admin"),
    (
        "pgwire::",
        &["src/platform/wire/"],
        "pgwire's types stay inside platform::wire",
    ),
    (
        "moka::",
        &["src/access/credential/"],
        "caches of secrets have one place",
    ),
    (
        "tokio_postgres",
        &["src/provision/", "src/app/provision.rs"],
        "a client library is for provisioning; sessions speak the protocol themselves",
    ),
    ("Permit {", &["src/access/policy/"], "only policy makes a Permit"),
];

/// Longer functions must be split; most are far shorter.
const LINES_MAX: usize = 75;

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
        let mut entries: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let root = Path::new(env!("CARGO_MANIFEST_DIR"));
                found.push((path.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 40, "the sources were found");
    found
}

/// What stands before the tests of a file; files of tests are left out.
fn production(path: &Path, text: &str) -> String {
    let name = path.file_name().unwrap().to_string_lossy();
    if ["tests.rs", "properties.rs", "hazards.rs"].contains(&&*name) {
        return String::new();
    }
    text.split("#[cfg(test)]\nmod ").next().unwrap().to_owned()
}

/// `src/access/policy/mod.rs` -> `access::policy`, by the longest entry of [`FLOORS`] that fits.
fn module_of(path: &str) -> Option<(usize, &'static str)> {
    let path = path.replace("::", "/");
    let at = |module: &str| {
        let place = module.replace("::", "/");
        path == place || path.starts_with(&format!("{place}/"))
    };
    FLOORS.iter().enumerate().find_map(|(floor, modules)| {
        let module = modules.iter().find(|module| at(module))?;
        Some((floor, *module))
    })
}

fn module_of_file(path: &Path) -> Option<(usize, &'static str)> {
    let inside = path.strip_prefix("src").unwrap().to_string_lossy().into_owned();
    module_of(inside.trim_end_matches(".rs").trim_end_matches("/mod"))
}

#[test]
fn imports_point_down() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some((floor, own)) = module_of_file(&path) else {
            continue; // lib.rs, main.rs and the folders' own mod.rs, checked below
        };
        for (number, line) in production(&path, &text).lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for target in code.split("crate::").skip(1) {
                let target: String = target
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':')
                    .collect();
                let Some((other_floor, other)) = module_of(&target) else {
                    continue;
                };
                let sideways = SIDEWAYS.iter().any(|(from, to, _)| (*from, *to) == (own, other));
                if other != own && other_floor >= floor && !sideways {
                    wrong.push(format!(
                        "{}:{}: {own} imports {other}",
                        path.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports must point down:\n{}", wrong.join("\n"));
}

#[test]
fn the_world_is_touched_through_its_doors() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (number, line) in production(&path, &text).lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for (word, places, reason) in DOORS {
                let here = path.to_string_lossy();
                let allowed = places.iter().any(|place| here.starts_with(place));
                if code.contains(word) && !allowed && !code.contains("pub struct") {
                    wrong.push(format!("{here}:{}: `{word}`: {reason}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|(path, text)| !production(path, text).is_empty() && !text.starts_with("//!"))
        .map(|(path, _)| path)
        .collect();
    assert!(silent.is_empty(), "no `//!` at the top: {silent:?}");
}

#[test]
fn the_map_names_every_folder() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for modules in FLOORS {
        for module in *modules {
            let last = module.rsplit("::").next().unwrap();
            assert!(
                map.contains(&format!("`{last}`")),
                "src/lib.rs does not name `{module}`"
            );
        }
    }
}

/// Whoever adds a dependency says why.
#[test]
fn every_dependency_has_its_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let reasons = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let Some((name, _)) = line.split_once(" = ") else {
            continue;
        };
        if section.ends_with("dependencies]") && !name.starts_with('#') {
            assert!(
                reasons.contains(&format!("`{name}`")),
                "ARCHITECTURE.md has no reason for `{name}`"
            );
        }
    }
}

#[test]
fn functions_stay_short() {
    let mut long = Vec::new();
    for (path, text) in sources() {
        let text = production(&path, &text);
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start();
            if !(head.starts_with("fn ") || head.contains(" fn ")) || head.starts_with("//") {
                continue;
            }
            let end = format!("{}}}", " ".repeat(indent));
            let Some(length) = lines[start..].iter().position(|line| *line == end) else {
                continue;
            };
            if length > LINES_MAX {
                long.push(format!("{}:{}: {length} lines", path.display(), start + 1));
            }
        }
    }
    assert!(long.is_empty(), "split these:\n{}", long.join("\n"));
}
