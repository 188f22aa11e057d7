//! Users that leave the manifest, whatever they own and whatever they were given.

use super::{SHOP, on_all, others, wanted};

#[test]
fn a_user_that_owns_things_in_two_databases_is_dropped_and_they_stay() {
    on_all(|ground| {
        let both = SHOP.replace(
            "[users.writer]\nroles = [\"app_rw\"]",
            "[users.writer]\nroles = [\"app_rw\", \"app_owner\"]",
        );
        others::settle_down(ground);
        ground.settle(&wanted(&both));
        // As itself, not as the owner.
        let own = "reset role; create table app.own (id serial); create view app.seen as select * from app.own;\
            create type app.mood as enum ('a'); create function app.g() returns integer language sql as 'select 1';\
            grant select on app.own to reader; create schema writers; create table writers.t ();\
            alter default privileges in schema app grant select on tables to reader";
        ground.can(
            "migrator",
            "app",
            "grant create on schema app to writer; grant create on database app to writer",
        );
        ground.can("writer", "app", own);
        if ground.major >= 15 {
            ground.can("migrator", "archive", "grant create on schema public to writer");
        }
        ground.can(
            "writer",
            "archive",
            "reset role; create table public.own (); create index on public.own ((1))",
        );
        let before = others::snapshot(ground, &["app", "archive", "theirs"]);
        let gone = SHOP.split("[users.writer]").next().unwrap().to_owned()
            + "[users.reader]\nroles = [\"app_ro\"]\n";
        let plan = ground.plan(&wanted(&gone));
        ground.settle(&wanted(&gone));
        let there = ground.administer(
            "postgres",
            "select count(*) from pg_roles where rolname = 'writer'",
        );
        assert_eq!(there, "0", "{:?}", plan.notes);
        let owners = "select string_agg(relname || '=' || relowner::regrole, ',' order by relname) from pg_class \
            where relname in ('own', 'seen', 't')";
        assert_eq!(
            ground.administer("app", owners),
            "own=app_owner,seen=app_owner,t=app_owner"
        );
        assert_eq!(ground.administer("archive", owners), "own=app_owner");
        ground.can("reader", "app", "select * from app.own");
        others::are_untouched(ground, &["app", "archive", "theirs"], &before);
    });
}

#[test]
fn a_user_that_cannot_be_dropped_is_shut_out() {
    on_all(|ground| {
        others::settle_down(ground);
        ground.settle(&wanted(SHOP));
        ground.can("migrator", "app", "create table app.items (id serial)");
        // By a superuser, on something of a superuser's: nobody else can take it back.
        ground.administer(
            "app",
            "create table app.foreign (); grant select on app.foreign to writer",
        );
        let gone = SHOP.split("[users.writer]").next().unwrap();
        ground.settle(&wanted(gone));
        let left = "select rolcanlogin, rolpassword is null, (select string_agg(roleid::regrole::text, ',') \
            from pg_auth_members where member = a.oid) from pg_authid a where rolname = 'writer'";
        assert_eq!(ground.administer("postgres", left), "f|t|~");
        let notes = ground.plan(&wanted(gone)).notes;
        assert!(
            notes
                .iter()
                .any(|note| note.contains("\"writer\" is no longer declared, but not dropped")),
            "{notes:?}"
        );
        ground.administer("app", "revoke select on app.foreign from writer");
        ground.settle(&wanted(gone));
        assert_eq!(ground.administer("postgres", left), "");
    });
}

#[test]
fn what_others_gave_holds_a_role_wherever_it_is() {
    on_all(|ground| {
        others::settle_down(ground);
        ground.settle(&wanted(SHOP));
        ground.can("migrator", "app", "create table app.items (id serial, name text)");
        // In a database that is not looked into; on a type of a superuser's.
        ground.can("dba", "theirs", "grant select (id) on hall.t to writer");
        ground.administer(
            "app",
            "create type app.mood as enum ('a'); revoke usage on type app.mood from public;\
            grant usage on type app.mood to reader",
        );
        ground.can("migrator", "app", "grant select (name) on app.items to clerk");
        ground.can(
            "dba",
            "theirs",
            "grant create on database theirs to public; grant create on schema hall to team",
        );
        ground.can(
            "clerk",
            "theirs",
            "create schema guests; create table guests.own (id serial)",
        );
        ground.can("dba", "theirs", "revoke create on database theirs from public");
        let before = others::snapshot(ground, &["theirs"]);
        let gone = wanted(SHOP.split("[users.writer]").next().unwrap());
        let plan = ground.settle(&gone);
        let left = "select string_agg(rolname, ',' order by rolname) from pg_roles where rolname in ('writer', 'reader', 'clerk')";
        // Until 15 whoever may create roles can act as anybody but a superuser.
        let held = if ground.major < 16 {
            "clerk,reader"
        } else {
            "clerk,reader,writer"
        };
        assert_eq!(ground.administer("postgres", left), held, "{:?}", plan.notes);
        if ground.major >= 16 {
            others::are_untouched(ground, &["theirs"], &before);
        }
    });
}

#[test]
fn what_was_given_on_is_for_the_giver_to_take_back() {
    on_all(|ground| {
        others::settle_down(ground);
        ground.settle(&wanted(SHOP));
        ground.can(
            "migrator",
            "app",
            "create table app.items (id serial, name text); create table extra.notes (id serial);\
            create function app.f(a integer, b text) returns text language sql as 'select b'",
        );
        ground.settle(&wanted(SHOP));
        others::move_in(ground, "app", "app", "items");
        let given = "set role team; grant delete on app.items to reader; grant select on app.items to writer";
        ground.administer("app", given);
        let plan = ground.settle(&wanted(SHOP));
        let told = |note: &&String| note.contains("\"team\"") && note.contains("\"reader\"");
        assert!(plan.notes.iter().any(|note| told(&note)), "{:?}", plan.notes);
        let gone = wanted(SHOP.split("[users.reader]").next().unwrap());
        ground.settle(&gone);
        let roles = "select string_agg(rolname, ',') from pg_roles where rolname in ('reader', 'clerk')";
        assert_eq!(ground.administer("postgres", roles), "reader");
    });
}
