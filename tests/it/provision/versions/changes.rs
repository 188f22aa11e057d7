//! A manifest that changes: less than before, other names, what somebody else changed meanwhile.

use super::ground::{Ground, listing};
use super::{SHOP, on_all, others, wanted};
use dbproxy::provision::step::StepKind;

const STOCK: &str = "create table app.items (id serial, name text); create table extra.notes (id serial);\
    create function app.f(a integer, b text) returns text language sql as 'select b'";

fn opened(ground: &Ground) {
    ground.settle(&wanted(SHOP));
    ground.can("migrator", "app", STOCK);
    ground.settle(&wanted(SHOP));
}

fn changed(from: &str, to: &str) -> String {
    assert!(SHOP.contains(from), "{from}");
    SHOP.replace(from, to)
}

#[test]
fn less_is_taken_away_and_others_are_left_alone() {
    on_all(|ground| {
        others::settle_down(ground);
        opened(ground);
        others::move_in(ground, "app", "app", "items");
        let places = ["app", "archive", "theirs", "postgres"];
        let before = others::snapshot(ground, &places);
        ground.is_settled(&wanted(SHOP));
        // A role is taken from a user.
        let less = changed(
            "[users.writer]\nroles = [\"app_rw\"]",
            "[users.writer]\nroles = []",
        );
        ground.settle(&wanted(&less));
        ground.cannot("writer", "app", "select 1");
        // A privilege is narrowed, a schema is left out of a role, a role moves to another schema.
        let less = less
            .replace("grant = [\"select\", \"update\"]", "grant = [\"select\"]")
            .replace(
                "schemas = [\"app\"]\n[roles.watch]",
                "schemas = [\"extra\"]\n[roles.watch]",
            );
        ground.settle(&wanted(&less));
        ground.can("clerk", "app", "select * from app.items");
        ground.cannot("clerk", "app", "update app.items set name = 'x'");
        ground.can("reader", "app", "select * from extra.notes");
        ground.cannot("reader", "app", "select * from app.items");
        // A schema is left out of the manifest: nobody has anything there any more, and its objects stay.
        let less = less.replace("schemas = [\"app\", \"extra\"]", "schemas = [\"app\"]");
        let less = less.replace(
            "schemas = [\"extra\"]\n[roles.watch]",
            "schemas = [\"app\"]\n[roles.watch]",
        );
        let less = less.replace(
            "  { database = \"app\", on = \"all sequences in extra\", grant = [\"usage\"] },\n",
            "",
        );
        ground.settle(&wanted(&less));
        ground.cannot("reader", "app", "select * from extra.notes");
        ground.can("migrator", "app", "select * from extra.notes");
        others::are_untouched(ground, &places, &before);
        // All of it is left out: the databases stay.
        let nothing = less
            .split("[databases.archive]")
            .next()
            .unwrap()
            .replace("connection_limit = 20", "")
            + "[roles.app_owner]\ntemplate = \"owner\"\n";
        ground.settle(&wanted(&nothing));
        let left = "select string_agg(rolname, ',' order by rolname) from pg_roles where oid >= 16384";
        let expected = "Odd \"one,app_owner,dba,dbproxy_provisioner,rds_iam,team";
        assert_eq!(ground.administer("postgres", left), expected);
        others::are_untouched(ground, &places, &before);
    });
}

#[test]
fn roles_are_renamed_with_all_they_have() {
    on_all(|ground| {
        opened(ground);
        let renamed = SHOP
            .replace("app_owner", "Shop Owner")
            .replace(
                "[roles.Shop Owner]",
                "[roles.\"Shop Owner\"]\nwas = \"app_owner\"",
            )
            .replace("[users.writer]", "[users.\"clerk 2\"]\nwas = \"writer\"");
        let plan = ground.settle(&wanted(&renamed));
        assert!(plan.steps[0].title.starts_with("rename "), "{}", listing(&plan));
        ground.can("clerk 2", "app", "insert into app.items (name) values ('a')");
        ground.can("migrator", "app", "create table app.later (id serial)");
        ground.can("reader", "app", "select * from app.later");
        assert!(ground.try_as("writer", "app", "select 1").is_err());
    });
}

#[test]
fn a_role_that_is_there_already_is_adopted() {
    on_all(|ground| {
        ground.administer(
            "postgres",
            "create role app_owner; create role writer login noinherit createdb password 'known' valid until 'infinity';\
             create role other; grant other to writer; alter role writer set work_mem = '8MB'",
        );
        ground.administer("postgres", "create database app owner app_owner");
        if ground.major >= 16 {
            let admin = "grant app_owner, writer, other to dbproxy_provisioner with admin true, inherit false, set false";
            ground.administer("postgres", admin);
        }
        let plan = ground.plan(&wanted(SHOP));
        let adopts = |title: &str| {
            plan.steps
                .iter()
                .find(|step| step.title.starts_with(title))
                .map(|step| step.kind)
        };
        assert_eq!(
            adopts("adopt db user \"writer\""),
            Some(StepKind::Destructive),
            "{}",
            listing(&plan)
        );
        assert_eq!(adopts("adopt db role \"app_owner\""), Some(StepKind::Ordinary));
        // What a superuser granted only a superuser's like can take back since 16.
        if ground.major >= 16 {
            ground.administer("postgres", "revoke other from writer");
        }
        ground.settle(&wanted(SHOP));
        let is = "select rolinherit, rolcreatedb, rolpassword is null, \
            (select count(*) from pg_auth_members where member = a.oid and roleid = 'other'::regrole) \
            from pg_authid a where rolname = 'writer'";
        assert_eq!(ground.administer("postgres", is), "t|f|t|0");
        ground.can("migrator", "app", STOCK);
        ground.can(
            "writer",
            "app",
            "insert into app.items (name) values ('a'); select * from extra.notes",
        );
    });
}

#[test]
fn what_everybody_got_again_is_taken_again() {
    on_all(|ground| {
        opened(ground);
        ground.administer("app", "grant connect, temporary on database app to public");
        ground.can(
            "migrator",
            "app",
            "grant usage, create on schema app to public; grant all on app.items to public;\
            grant usage on all sequences in schema app to public; grant insert on app.items to reader;\
            alter default privileges in schema app grant all on tables to public, reader;\
            alter default privileges in schema app revoke select on sequences from app_ro",
        );
        if ground.major >= 15 {
            ground.can("migrator", "app", "grant create on schema public to public");
        }
        let plan = ground.settle(&wanted(SHOP));
        assert!(!plan.steps.is_empty());
        for sql in ["select 1", "create table app.x ()"] {
            ground.cannot("writer", "archive", sql);
        }
        ground.can("migrator", "app", "create table app.later (id serial)");
        ground.cannot("reader", "app", "insert into app.later default values");
        ground.cannot("reader", "app", "create table app.x ()");
        ground.cannot("reader", "app", "insert into app.items default values");
        ground.can("reader", "app", "select last_value from app.later_id_seq");
    });
}
