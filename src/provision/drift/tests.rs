//! A finding of each kind, and none where there is nothing.

mod database;
mod iam;
mod usage;

use super::{Finding, Kind};
use crate::domain::name::TargetName;
use crate::provision::manifest::{Manifest, read};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

const MANIFEST: &str = r#"
[clusters.c]
account_id = "111122223333"
region = "eu-west-1"
resource_ids = ["cluster-A"]
unmanaged = ["known", "sa"]
provisioner_principals = ["arn:aws:iam::111122223333:role/deploy"]
unmanaged_principals = ["arn:aws:iam::111122223333:role/Admin"]
[clusters.c.databases.app]
schemas = ["s"]
extensions = ["pg_trgm"]
connection_limit = 9
[clusters.c.roles.app_owner]
template = "owner"
[clusters.c.roles.app_rw]
template = "read-write"
[clusters.c.roles.app_ro]
template = "read-only"
[clusters.c.users.writer]
roles = ["app_rw"]
connection_limit = 5
settings = { statement_timeout = "60s" }
principals = ["arn:aws:iam::111122223333:role/path/app"]
[clusters.c.users.maker]
roles = ["app_owner"]
[clusters.c.users.teller]
roles = ["app_ro"]
rds_iam = false
[[clusters.c.cross_account]]
name = "over"
trusts = ["arn:aws:iam::444455556666:role/there"]
external_id = "secret"
users = ["maker"]
max_session = "1h"
"#;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_272_000)
}

fn manifest() -> Manifest {
    match read(MANIFEST, now()) {
        Ok(manifest) => manifest,
        Err(problems) => panic!("{problems}"),
    }
}

fn name() -> TargetName {
    TargetName::new("c").unwrap()
}

fn kinds(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.kind.as_str()).collect()
}

/// `kind subject`
#[track_caller]
fn told(findings: &[Finding], expected: &[&str]) {
    let lines = findings
        .iter()
        .map(|one| format!("{} {}", one.kind.as_str(), one.subject));
    assert_eq!(lines.collect::<Vec<_>>(), expected, "{findings:#?}");
    for finding in findings {
        assert!(
            !finding.mend.text().is_empty() && !finding.what.contains('\n'),
            "{finding:?}"
        );
    }
}

#[test]
fn names_of_kinds_are_stable_and_of_one_form() {
    let names: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(names.len(), Kind::ALL.len());
    let legal = |c: char| c.is_ascii_lowercase() || c == '_';
    assert!(names.iter().all(|name| name.chars().all(legal)));
    for kind in Kind::ALL {
        let spelled = format!("{kind:?}");
        let spelled = spelled.chars().fold(String::new(), |mut name, c| {
            if c.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.extend(c.to_lowercase());
            name
        });
        assert_eq!(spelled, kind.as_str());
    }
}
