//! `dbproxy verify isolation`: two tenants on one cluster, first apart, then with each hole in the wall there can be.

use super::ground::Ground;
use super::{on, wanted};
use crate::docs::papers::{blocks, read};
use crate::support::modern::MAJORS;
use crate::support::sandbox::root;
use serde_json::Value;
use std::collections::BTreeSet;

/// On the versions that differ most, and on all where that is asked for.
fn on_some(work: impl Fn(&Ground) + Sync) {
    match std::env::var("DBPROXY_MATRIX").as_deref() {
        Ok("full") => on(&MAJORS, work),
        _ => on(&[14, 17], work),
    }
}

/// The manifest that `docs/isolation.md` shows, of cluster `c`.
fn manifest() -> String {
    let document = read("docs/isolation.md");
    let (_, manifest) = blocks(&document, "toml").into_iter().next().unwrap();
    manifest.replace("[clusters.tenants", "[clusters.c")
}

/// Makes the document's cluster, and shuts what only a superuser can shut.
fn tenants(ground: &Ground) {
    let of_cluster = manifest()
        .replace("[clusters.c.", "[")
        .replace("[clusters.c]", "");
    ground.settle(&wanted(&of_cluster));
    for (user, database) in [("blue_migrator", "blue"), ("green_migrator", "green")] {
        ground.can(user, database, "create table app.items (id integer, name text)");
    }
    ground.through_dbproxy();
}

fn shut(ground: &Ground) {
    for database in ["postgres", "template1"] {
        ground.administer(
            "postgres",
            &format!(
                "grant connect on database {database} to dbproxy_provisioner;\
                 revoke connect, temporary on database {database} from public"
            ),
        );
    }
    if ground.major < 15 {
        for database in ["blue", "green", "postgres", "template1"] {
            ground.administer(database, "revoke create on schema public from public");
        }
    }
}

/// Others' tests begin with what a new cluster has.
struct Reopened<'a>(&'a Ground);

impl Drop for Reopened<'_> {
    fn drop(&mut self) {
        for database in ["postgres", "template1"] {
            self.0.administer(
                "postgres",
                &format!("grant connect, temporary on database {database} to public"),
            );
        }
        if self.0.major < 15 {
            for database in ["postgres", "template1"] {
                self.0
                    .administer(database, "grant create on schema public to public");
            }
        }
    }
}

fn verify(ground: &Ground, more: &[&str]) -> (i32, String) {
    ground.command(&manifest(), &[&["verify", "isolation"][..], more].concat())
}

fn judged(ground: &Ground, more: &[&str]) -> (i32, Value) {
    let (code, told) = verify(ground, &[&["-o", "json"][..], more].concat());
    let json = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"));
    (code, json)
}

fn kinds(json: &Value, list: &str) -> BTreeSet<String> {
    let found = json[list].as_array().unwrap().iter();
    found
        .map(|finding| finding["kind"].as_str().unwrap().to_owned())
        .collect()
}

/// What the document shows is what is said.
fn is_shown(number: usize, told: &str) {
    let block = |text: &str| format!("```text\n$ dbproxy verify isolation tenants\n{text}```\n");
    let told = told.replace("cluster c", "cluster tenants");
    let document = read("docs/isolation.md");
    let shown = blocks(&document, "text").into_iter().map(|(_, block)| block);
    let mut shown = shown.filter_map(|block| {
        let said = block.strip_prefix("$ dbproxy verify isolation tenants\n")?;
        Some(said.to_owned())
    });
    let said = shown.nth(number).expect("the example");
    if std::env::var("UPDATE_DOCS").is_ok() {
        let mut parts: Vec<String> = document.split(&block(&said)).map(str::to_owned).collect();
        let rest = parts.split_off(1).join(&block(&said));
        std::fs::write(
            root().join("docs/isolation.md"),
            parts.concat() + &block(&told) + &rest,
        )
        .unwrap();
        return;
    }
    assert_eq!(said, told, "`make docs` writes it anew");
}

#[test]
fn the_document_shows_what_is_said() {
    on(&[17], |ground| {
        let _reopened = Reopened(ground);
        tenants(ground);
        shut(ground);
        let (code, told) = verify(ground, &[]);
        is_shown(0, &told);
        assert_eq!(code, 0, "{told}");
        ground.administer("postgres", "grant connect on database green to public");
        ground.administer("postgres", "grant blue_owner to green_app");
        let (code, told) = verify(ground, &[]);
        is_shown(1, &told);
        assert_eq!(code, 5, "{told}");
    });
}

#[test]
fn a_new_cluster_is_open_and_a_shut_one_is_not() {
    on_some(|ground| {
        let _reopened = Reopened(ground);
        tenants(ground);
        let (code, json) = judged(ground, &[]);
        assert_eq!(code, 5, "{json}");
        let open = kinds(&json, "breaks");
        assert!(open.contains("public-connect"), "{json}");
        assert_eq!(open.contains("public-create"), ground.major < 15, "{json}");
        shut(ground);
        let (code, json) = judged(ground, &[]);
        assert_eq!((code, &json["isolated"]), (0, &true.into()), "{json}");
        assert_eq!(kinds(&json, "unknown"), BTreeSet::new(), "{json}");
        let cells = json["matrix"].as_array().unwrap();
        assert_eq!(cells.len(), 5 * 4, "{json}");
        for cell in cells {
            let login = match cell["found"].as_str().unwrap() {
                "none" => "shut",
                _ => "in",
            };
            assert_eq!(cell["login"], login, "{cell}");
            assert_eq!(cell["found"], cell["expected"], "{cell}");
        }
        let (_, json) = judged(ground, &["--no-login"]);
        for cell in json["matrix"].as_array().unwrap() {
            assert_eq!(cell["login"], "not tried", "{cell}");
        }
        // Whoever dbproxy cannot be is not tried, and that breaks nothing.
        ground.administer("postgres", "alter role green_app password null");
        let (code, told) = verify(ground, &[]);
        assert_eq!(code, 0, "{told}");
        assert!(told.contains("not tried: no password: green_app\n"), "{told}");
    });
}

/// Where, what opens a hole, what closes it again, and the names under which it is told; `note:` for no breach. Of which
/// versions on.
type Hole = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    u32,
);

const HOLES: &[Hole] = &[
    (
        "green",
        "grant connect on database green to public",
        "revoke connect on database green from public",
        &["public-connect"],
        13,
    ),
    (
        "template1",
        "grant connect on database template1 to public; grant create on schema public to public",
        "revoke connect on database template1 from public; revoke create on schema public from public",
        &["public-connect", "public-create", "exceeds"],
        13,
    ),
    (
        "template1",
        "grant connect on database template1 to public",
        "revoke connect on database template1 from public",
        &["note:template"],
        13,
    ),
    (
        "blue",
        "grant create on schema app to public",
        "revoke create on schema app from public",
        &["public-create", "exceeds"],
        13,
    ),
    (
        "blue",
        "grant green_rw to blue_app",
        "revoke green_rw from blue_app",
        &["membership", "exceeds"],
        13,
    ),
    (
        "blue",
        "grant green_rw to blue_app with inherit false, set true",
        "revoke green_rw from blue_app",
        &["membership"],
        16,
    ),
    (
        "blue",
        "grant blue_rw to blue_app with admin option",
        "revoke admin option for blue_rw from blue_app",
        &["admin-option"],
        13,
    ),
    (
        "blue",
        "alter role blue_app superuser",
        "alter role blue_app nosuperuser",
        &["attribute"],
        13,
    ),
    (
        "blue",
        "alter role blue_app bypassrls",
        "alter role blue_app nobypassrls",
        &["attribute"],
        13,
    ),
    (
        "blue",
        "alter role blue_app replication",
        "alter role blue_app noreplication",
        &["attribute"],
        13,
    ),
    (
        "blue",
        "alter role blue_app createrole",
        "alter role blue_app nocreaterole",
        &["createrole"],
        13,
    ),
    (
        "blue",
        "grant pg_read_all_data to blue_app",
        "revoke pg_read_all_data from blue_app",
        &["powerful-role"],
        14,
    ),
    (
        "blue",
        "grant pg_write_all_data to blue_reader",
        "revoke pg_write_all_data from blue_reader",
        &["powerful-role", "exceeds"],
        14,
    ),
    (
        "blue",
        "grant pg_read_server_files to blue_app",
        "revoke pg_read_server_files from blue_app",
        &["powerful-role"],
        13,
    ),
    (
        "blue",
        "grant pg_execute_server_program to blue_app",
        "revoke pg_execute_server_program from blue_app",
        &["powerful-role"],
        13,
    ),
    (
        "blue",
        "grant pg_monitor to blue_app",
        "revoke pg_monitor from blue_app",
        &["membership", "note:statistics"],
        13,
    ),
    (
        "blue",
        "create extension dblink",
        "drop extension dblink",
        &["dblink"],
        13,
    ),
    (
        "blue",
        "create extension postgres_fdw; grant usage on foreign data wrapper postgres_fdw to blue_app",
        "drop extension postgres_fdw cascade",
        &["foreign-data"],
        13,
    ),
    (
        "blue",
        "create extension postgres_fdw; create server next foreign data wrapper postgres_fdw; \
         grant usage on foreign server next to blue_app; \
         create user mapping for blue_app server next options (user 'x', password 'y')",
        "drop extension postgres_fdw cascade",
        &["foreign-server"],
        13,
    ),
    (
        "blue",
        "create language odd handler plpgsql_call_handler",
        "drop language odd",
        &["language"],
        13,
    ),
    (
        "blue",
        "alter database blue set lo_compat_privileges = on",
        "alter database blue reset lo_compat_privileges",
        &["large-objects"],
        13,
    ),
    (
        "blue",
        "grant insert on app.items to blue_ro",
        "revoke insert on app.items from blue_ro",
        &["exceeds"],
        13,
    ),
    (
        "blue",
        "alter default privileges for role blue_owner in schema app grant delete on tables to blue_ro",
        "alter default privileges for role blue_owner in schema app revoke delete on tables from blue_ro",
        &["exceeds"],
        13,
    ),
    (
        "blue",
        "revoke connect on database blue from blue_rw",
        "grant connect on database blue to blue_rw",
        &["lacks"],
        13,
    ),
    (
        "blue",
        "create function app.peek() returns integer language sql security definer as 'select 1'",
        "drop function app.peek()",
        &["powerful-definer"],
        13,
    ),
    (
        "blue",
        "create schema tools; create function tools.peek() returns integer language sql security definer as 'select 1'; \
         revoke execute on function tools.peek() from public; grant execute on function tools.peek() to blue_app; \
         grant usage on schema tools to blue_app",
        "drop schema tools cascade",
        &["powerful-definer"],
        13,
    ),
    (
        "blue",
        "create role plain; create function app.peek() returns integer language sql security definer as 'select 1'; \
         alter function app.peek() owner to plain; revoke execute on function app.peek() from public; \
         grant execute on function app.peek() to blue_rw",
        "drop function app.peek(); drop role plain",
        &["note:security-definer"],
        13,
    ),
    (
        "blue",
        "create publication p for all tables",
        "drop publication p",
        &["note:publication"],
        13,
    ),
    (
        "blue",
        "create subscription s connection 'dbname=nowhere' publication p with (connect = false)",
        "alter subscription s set (slot_name = none); drop subscription s",
        &["note:subscription"],
        13,
    ),
];

#[test]
fn every_hole_is_found_and_named() {
    on_some(|ground| {
        let _reopened = Reopened(ground);
        tenants(ground);
        shut(ground);
        let (_, before) = judged(ground, &["--no-login"]);
        for (place, open, close, expected, since) in HOLES {
            if ground.major < *since {
                continue;
            }
            statements(ground, place, open);
            let (code, json) = judged(ground, &["--no-login"]);
            let notes = kinds(&json, "notes");
            let more = notes
                .difference(&kinds(&before, "notes"))
                .map(|kind| format!("note:{kind}"))
                .collect();
            let found: BTreeSet<String> = kinds(&json, "breaks").union(&more).cloned().collect();
            let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{open}: {json}");
            let breaks = expected.iter().any(|kind| !kind.starts_with("note:"));
            assert_eq!(code, if breaks { 5 } else { 0 }, "{open}: {json}");
            statements(ground, place, close);
        }
        let (code, after) = judged(ground, &["--no-login"]);
        assert_eq!((code, after), (0, before), "all are closed again");
    });
}

/// One by one: some may stand in no transaction.
fn statements(ground: &Ground, place: &str, sql: &str) {
    for statement in sql.split(';') {
        ground.administer(place, statement);
    }
}

#[test]
fn what_could_not_be_looked_at_is_no_clean_verdict() {
    on(&[17], |ground| {
        let _reopened = Reopened(ground);
        tenants(ground);
        shut(ground);
        // A database of others, where a tenant may enter and the provisioner may not.
        ground.administer("postgres", "create database theirs");
        ground.administer("postgres", "revoke connect on database theirs from public");
        let (code, told) = verify(ground, &["--no-login"]);
        assert_eq!(code, 0, "nobody can enter it: {told}");
        ground.administer("postgres", "grant connect on database theirs to blue_app");
        let (code, json) = judged(ground, &["--no-login"]);
        assert_eq!(kinds(&json, "unknown"), ["unseen".to_owned()].into(), "{json}");
        assert_eq!((code, kinds(&json, "breaks")), (5, ["exceeds".to_owned()].into()));
        let (code, told) = ground.command("[clusters.c", &["verify", "isolation"]);
        assert_eq!(code, 1, "{told}");
        // The server is there, and lets the provisioner in nowhere.
        ground.administer("postgres", "alter role dbproxy_provisioner nologin");
        let (code, told) = verify(ground, &[]);
        assert_eq!(code, 1, "{told}");
    });
}
