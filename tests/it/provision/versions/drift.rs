//! `dbproxy drift` where versions differ, and of what no step of a plan mends.

use super::ground::Ground;
use super::{SHOP, manifest_of, on_all, wanted};
use serde_json::Value;
use std::collections::BTreeSet;

fn drifted(ground: &Ground) -> (BTreeSet<String>, Value) {
    let (code, told) = ground.command(&manifest_of(SHOP), &["drift", "-o", "json"]);
    let json: Value = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"));
    let findings = json["findings"].as_array().unwrap();
    assert_eq!(code, if findings.is_empty() { 0 } else { 5 }, "{told}");
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
    let lines = findings
        .iter()
        .map(|one| format!("{} {}", text(one, "kind"), text(one, "subject")));
    (lines.collect(), json)
}

/// What only a superuser mends, and belongs to every new database.
fn shut(ground: &Ground) {
    for database in ["app", "archive"] {
        ground.administer(database, "revoke create on schema public from public");
    }
}

fn opened(ground: &Ground) {
    ground.settle(&wanted(SHOP));
    ground.can("migrator", "app", "create table app.items (id serial, name text)");
    ground.settle(&wanted(SHOP));
    ground.through_dbproxy();
    ground.administer("postgres", "create role eve login; create role dba");
    let (findings, json) = drifted(ground);
    let open: BTreeSet<String> = (ground.major < 15)
        .then(|| "public_privilege PUBLIC".to_owned())
        .into_iter()
        .collect();
    assert_eq!(findings, open, "{json:#}");
    shut(ground);
    assert_eq!(drifted(ground).0, BTreeSet::new());
}

/// Where, what is done behind the manifest's back, what is told of it, and since which version there is such a thing.
const CHANGES: &[(&str, &str, &str, u32)] = &[
    (
        "postgres",
        "grant app_owner to eve with admin true, inherit false, set false",
        "foreign_member role \"eve\"",
        16,
    ),
    (
        "postgres",
        "grant app_owner to eve",
        "foreign_member role \"eve\"",
        13,
    ),
    (
        "postgres",
        "grant dbproxy_provisioner to eve",
        "foreign_member role \"eve\"",
        13,
    ),
    (
        "app",
        "create table app.theirs (id int); alter table app.theirs owner to dba; grant all on app.theirs to public",
        "public_privilege PUBLIC",
        13,
    ),
    (
        "app",
        "create table app.theirs (id int); alter table app.theirs owner to dba; grant delete on app.theirs to app_ro",
        "extra_privilege db role \"app_ro\"",
        13,
    ),
    (
        "app",
        "alter default privileges for role dba in schema app grant insert on tables to app_ro",
        "extra_privilege db role \"app_ro\"",
        13,
    ),
    (
        "app",
        "alter default privileges for role dba grant select on tables to public",
        "public_privilege PUBLIC",
        13,
    ),
    (
        "app",
        "alter default privileges for role app_owner grant all on tables to public",
        "public_privilege PUBLIC",
        13,
    ),
    (
        "app",
        "alter default privileges for role app_owner grant usage on sequences to app_ro",
        "extra_privilege db role \"app_ro\"",
        13,
    ),
    (
        "postgres",
        "grant create on database postgres to writer",
        "extra_privilege db user \"writer\"",
        13,
    ),
];

#[test]
fn what_no_step_mends_is_told_and_what_is_said_mends_it() {
    on_all(|ground| {
        opened(ground);
        for (place, sql, expected, since) in CHANGES {
            if ground.major < *since {
                continue;
            }
            ground.administer(place, sql);
            let (findings, json) = drifted(ground);
            assert!(findings.contains(*expected), "{sql}: {json:#}");
            for finding in json["findings"].as_array().unwrap() {
                let place = finding["database"].as_str().unwrap_or("postgres");
                match (
                    finding["mend"]["sql"].as_str(),
                    finding["mend"]["command"].as_str(),
                ) {
                    (Some(sql), _) => ground.administer(place, sql),
                    (_, Some(_)) => {
                        ground.settle(&wanted(SHOP));
                        String::new()
                    }
                    // Words: what another finding's statement mends too.
                    _ => String::new(),
                };
            }
            ground.administer(
                "postgres",
                "grant rds_iam to dbproxy_provisioner with admin option",
            );
            let (findings, json) = drifted(ground);
            assert_eq!(findings, BTreeSet::new(), "mended: {sql}: {json:#}");
            ground.administer("app", "drop table if exists app.theirs");
        }
        // And what the owner makes then is everybody's no more.
        ground.can("migrator", "app", "create table app.later (id int)");
        let acl =
            "select count(*) from pg_class, aclexplode(relacl) x where relname = 'later' and x.grantee = 0";
        assert_eq!(ground.administer("app", acl), "0");
    });
}
