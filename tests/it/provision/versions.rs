//! From a manifest to a cluster that agrees with it, on PostgreSQL 13 to 18, as a provisioner like RDS's master user.

mod broken;
mod changes;
mod drift;
mod drops;
mod founding;
mod ground;
mod isolation;
mod names;
mod others;
mod properties;
mod revoked;
mod rights;

use crate::support::Sandbox;
use crate::support::modern::MAJORS;
use dbproxy::domain::name::TargetName;
use dbproxy::provision::manifest;
use dbproxy::provision::wanted::Wanted;
use ground::Ground;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::SystemTime;

/// Tries it on every version at once, and says of which it is not so. Without `make test-matrix` on the oldest and the
/// newest alone.
fn on_all(work: impl Fn(&Ground) + Sync) {
    match std::env::var("DBPROXY_MATRIX").as_deref() {
        Ok("full") => on(&MAJORS, work),
        _ => on(&[MAJORS[0], MAJORS[5]], work),
    }
}

fn on(majors: &[u32], work: impl Fn(&Ground) + Sync) {
    // Before any server: who waits for one while it keeps the sandbox from others would wait for ever.
    let (sandbox, _turn) = Sandbox::shared();
    let work = &work;
    let failed = std::thread::scope(|scope| {
        let runs: Vec<_> = majors
            .iter()
            .map(|major| {
                scope.spawn(move || {
                    let ground = Ground::new(sandbox, *major);
                    let outcome = catch_unwind(AssertUnwindSafe(|| work(&ground)));
                    outcome
                        .err()
                        .map(|why| format!("PostgreSQL {major}: {}", said(&*why)))
                })
            })
            .collect();
        runs.into_iter()
            .filter_map(|run| run.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

/// What a cluster's part of a manifest means, its tables named without the cluster.
fn wanted(text: &str) -> Wanted {
    let text = manifest_of(text);
    let read = manifest::read(&text, SystemTime::now());
    let manifest = read.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    manifest.clusters[&TargetName::new("c").unwrap()].wanted(SystemTime::now())
}

fn manifest_of(text: &str) -> String {
    let text = format!("[clusters.c]\n\n{text}").replace("\n[", "\n[clusters.c.");
    text.trim_start_matches("[clusters.c]\n").to_owned()
}

/// Two databases of one owner, and somebody for each template.
const SHOP: &str = r#"
[databases.app]
owner = "app_owner"
connection_limit = 20
extensions = ["pg_trgm", "no_such?"]
schemas = ["app", "extra"]
[databases.archive]
owner = "app_owner"
[roles.app_owner]
template = "owner"
[roles.app_rw]
template = "read-write"
databases = ["app"]
[roles.app_ro]
template = "read-only"
databases = ["app"]
schemas = ["app"]
[roles.watch]
template = "monitor"
[roles.special]
privileges = [
  { database = "app", on = "database", grant = ["connect"] },
  { database = "app", on = "schema app", grant = ["usage"] },
  { database = "app", on = "table app.items", grant = ["select", "update"] },
  { database = "app", on = "function app.f(integer, text)", grant = ["execute"] },
  { database = "app", on = "all sequences in extra", grant = ["usage"] },
]
[users.migrator]
roles = ["app_owner"]
[users.writer]
roles = ["app_rw"]
connection_limit = 5
settings = { statement_timeout = "60s", search_path = "app, public", TimeZone = "UTC", DateStyle = "ISO, DMY" }
[users.reader]
roles = ["app_ro"]
[users.monitor]
roles = ["watch"]
[users.clerk]
roles = ["special"]
"#;
