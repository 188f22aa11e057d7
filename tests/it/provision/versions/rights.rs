//! Templates and explicit privileges, tried through dbproxy by those who have them, on what is there and on what comes
//! later.

use super::ground::Ground;
use super::{SHOP, on_all, wanted};
use dbproxy::provision::wanted::Wanted;

/// Made by a member of the owner role, for which nobody granted anything afterwards.
const STOCK: &str = "create table app.items (id serial, name text); insert into app.items (name) values ('a');\
    create table extra.notes (id serial, text text);\
    create view app.shown as select name from app.items;\
    create function app.f(a integer, b text) returns text language sql as 'select b'";

#[test]
fn everybody_may_do_what_the_manifest_says_and_nothing_else() {
    on_all(|ground| {
        let shop = wanted(SHOP);
        ground.settle(&shop);
        heed_notes(ground, &shop);
        let proxy = ground.through_dbproxy();
        ground.can("migrator", "app", STOCK);
        ground.can("migrator", "archive", "create table public.old (id integer)");
        // Single objects get theirs by a run that finds them.
        ground.settle(&shop);
        owners(ground);
        writers(ground);
        readers(ground);
        watchers(ground);
        clerks(ground);
        settings(ground);
        // It was dbproxy that let them in, and nobody else.
        for user in ["migrator", "writer", "reader", "monitor", "clerk"] {
            let opened = format!("db_user=\"{user}\"");
            assert!(proxy.log().contains(&opened), "{user}\n{}", proxy.log());
        }
    });
}

/// Until PostgreSQL 14 the schema `public` belongs to a superuser, who alone can shut it: then a note says how.
fn heed_notes(ground: &Ground, wanted: &Wanted) {
    let of_public = |note: &&String| note.contains("schema \"public\"");
    let (before, mut heeded) = (ground.plan(wanted).notes, 0);
    for note in before.iter().filter(of_public) {
        let (_, place) = note.split_once("in database \"").unwrap();
        let (database, rest) = place.split_once('"').unwrap();
        let (_, statements) = rest.split_once(": ").unwrap();
        ground.administer(database, statements);
        heeded += 1;
    }
    assert_eq!(heeded, if ground.major < 15 { 2 } else { 0 }, "{before:?}");
    ground.is_settled(wanted);
    assert_eq!(ground.plan(wanted).notes.iter().find(of_public), None);
}

fn owners(ground: &Ground) {
    let owner = "select distinct tableowner from pg_tables where schemaname in ('app', 'extra')";
    assert_eq!(ground.can("migrator", "app", owner), "app_owner");
    assert_eq!(ground.can("migrator", "app", "select current_user"), "app_owner");
    ground.can(
        "migrator",
        "app",
        "create schema own; drop schema own; create table app.t (); drop table app.t",
    );
    ground.can(
        "migrator",
        "app",
        "drop extension pg_trgm; create extension pg_trgm schema public",
    );
    ground.cannot("migrator", "app", "reset role; create role somebody");
}

fn writers(ground: &Ground) {
    let all = "insert into app.items (name) values ('b'); update app.items set name = 'c' where name = 'b'; \
        delete from app.items where name = 'c'; select * from app.shown; select nextval('app.items_id_seq'); \
        insert into extra.notes (text) values ('n'); create temporary table mine (); select app.f(1, 'x')";
    ground.can("writer", "app", all);
    for sql in [
        "truncate app.items",
        "create table app.other ()",
        "create table public.other ()",
        "select setval('app.items_id_seq', 1)",
        "alter table app.items add more text",
        "drop table app.items",
        "create schema other",
        "set role app_owner",
        "create trigger t before insert on app.items for each row execute function suppress_redundant_updates_trigger()",
    ] {
        ground.cannot("writer", "app", sql);
    }
    ground.cannot("writer", "archive", "select 1");
}

fn readers(ground: &Ground) {
    ground.can(
        "reader",
        "app",
        "select * from app.items; select * from app.shown; select last_value from app.items_id_seq",
    );
    for sql in [
        "insert into app.items (name) values ('b')",
        "update app.items set name = 'c'",
        "delete from app.items",
        "truncate app.items",
        "select nextval('app.items_id_seq')",
        "select * from extra.notes",
        "create temporary table mine ()",
        "create table public.other ()",
        "set role app_rw",
    ] {
        ground.cannot("reader", "app", sql);
    }
    ground.cannot("reader", "archive", "select 1");
}

fn watchers(ground: &Ground) {
    for database in ["app", "archive"] {
        ground.can(
            "monitor",
            database,
            "select count(*) from pg_stat_activity where query = ''; show data_directory",
        );
    }
    ground.cannot("monitor", "app", "select * from app.items");
    ground.cannot("monitor", "archive", "select * from public.old");
    ground.cannot("reader", "app", "show data_directory");
}

fn clerks(ground: &Ground) {
    ground.can(
        "clerk",
        "app",
        "select * from app.items; update app.items set name = 'd'; select app.f(1, 'x')",
    );
    for sql in [
        "insert into app.items (name) values ('b')",
        "select * from app.shown",
        "select nextval('extra.notes_id_seq')",
        "create temporary table mine ()",
    ] {
        ground.cannot("clerk", "app", sql);
    }
    let usage = "select has_sequence_privilege('clerk', c.oid, 'usage') from pg_class c where relname = 'notes_id_seq'";
    assert_eq!(ground.administer("app", usage), "t");
}

fn settings(ground: &Ground) {
    let found = ground.can(
        "writer",
        "app",
        "show statement_timeout; show search_path; show timezone; show datestyle",
    );
    assert_eq!(found, "1min\napp, public\nUTC\nISO, DMY");
    let limits = "select (select datconnlimit from pg_database where datname = 'app'), \
        (select rolconnlimit from pg_roles where rolname = 'writer')";
    assert_eq!(ground.administer("postgres", limits), "20|5");
}
