//! What the audit log says.

use super::super::Finding;
use super::super::usage::{NotJudged, Question, Usage, findings};
use super::{MANIFEST, manifest, name, now, told};
use serde_json::json;
use std::collections::BTreeSet;

fn asked(lines: &[(&str, &str, &str, &str)], days: u64) -> Result<Vec<Finding>, NotJudged> {
    let mut usage = Usage::default();
    for (time, event, target, user) in lines {
        usage.take(&json!({ "time": time, "event": event, "target": target, "db_user": user }));
    }
    usage.take(&json!({ "event": "session.opened" }));
    let manifest = manifest();
    let question = Question {
        name: &name(),
        cluster: &manifest.clusters[&name()],
        targets: &BTreeSet::from(["c".to_owned(), "c-reader".to_owned()]),
        days,
        now: now(),
    };
    findings(&question, &usage)
}

#[test]
fn users_are_unused_if_the_log_reaches_back_and_has_not_seen_them() {
    assert!(MANIFEST.contains("users.teller"));
    let lines = [
        ("2026-01-01T00:00:00Z", "session.opened", "c", "writer"),
        ("2026-05-31T00:00:00Z", "session.opened", "c-reader", "maker"),
        ("2026-05-31T00:00:00Z", "session.refused", "c", "teller"),
        ("2026-05-31T00:00:00Z", "session.opened", "other", "writer"),
    ];
    let found = asked(&lines, 90).unwrap();
    told(
        &found,
        &[
            "unused_user db user \"teller\"",
            "unused_user db user \"writer\"",
            "unused_role db role \"app_ro\"",
            "unused_role db role \"app_rw\"",
        ],
    );
    assert!(
        found[1]
            .what
            .ends_with("for 90 days, last at 2026-01-01T00:00:00Z"),
        "{found:?}"
    );
    assert_eq!(
        found[1].mend.text(),
        "dbproxy revoke writer --cluster c --allow-destructive"
    );
    // The log is younger than what is asked.
    assert!(matches!(asked(&lines, 152), Err(NotJudged::TooShort(_, 152))));
    assert_eq!(asked(&[], 1), Err(NotJudged::Empty));
}
