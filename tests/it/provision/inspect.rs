//! What SQL made is found, with its names, options and privileges.

use super::{PROVISIONER, Town, database, role, turn};
use crate::support::modern::Modern;
use crate::support::{Proxy, Sandbox};
use dbproxy::provision::inspected::InspectedMembership;
use dbproxy::provision::name::SchemaName;
use dbproxy::provision::wanted::{Grantee, Kind, MembershipOptions, Privilege, SettingName};
use std::collections::BTreeSet;

const CLEAR: &str = r#"drop database if exists "it I db";
drop database if exists "it I shut";
drop role if exists "it I owner", "it I ""Odd"" ü", it_i_reader"#;

fn privileges<const N: usize>(of: [Privilege; N]) -> BTreeSet<Privilege> {
    of.into()
}

#[test]
fn roles_are_found_with_all_that_belongs_to_them() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    for sql in [
        r#"create role "it I owner" noinherit"#,
        r#"create role "it I ""Odd"" ü" login connection limit 7"#,
        r#"comment on role "it I ""Odd"" ü" is 'managed by dbproxy'"#,
        r#"create role it_i_reader login createdb"#,
        r#"grant "it I owner" to "it I ""Odd"" ü" with admin option"#,
        r#"create database "it I db" owner "it I owner" connection limit 3"#,
        r#"revoke all on database "it I db" from public"#,
        r#"grant connect on database "it I db" to "it I ""Odd"" ü""#,
        r#"alter role "it I ""Odd"" ü" set statement_timeout = '60s'"#,
        r#"alter role "it I ""Odd"" ü" in database "it I db" set application_name = 'a=b'"#,
    ] {
        town.sql("postgres", sql);
    }
    let found = town.inspect(&[]);
    assert_eq!(found.server.version / 10_000, 15);
    assert_eq!(found.server.provisioner, role(PROVISIONER));
    assert!(found.server.provisioner_may_create_roles && found.server.provisioner_may_create_databases);
    assert!(!found.server.provisioner_is_superuser);
    assert!(found.server.available_extensions["plpgsql"]);

    let odd = &found.roles[&role("it I \"Odd\" ü")];
    assert!(odd.login && odd.inherit && odd.marked && !odd.create_db && !odd.superuser);
    assert_eq!(odd.connection_limit, Some(7));
    let membership = InspectedMembership {
        role: role("it I owner"),
        options: MembershipOptions {
            admin: true,
            inherit: true,
            set: true,
        },
        grantor: role("sandbox_admin"),
    };
    assert_eq!(odd.member_of, [membership]);
    let setting = |place: Option<&str>, name: &str| {
        let name = SettingName {
            database: place.map(database),
            name: name.to_owned(),
        };
        odd.settings.get(&name).map(String::as_str)
    };
    assert_eq!(setting(None, "statement_timeout"), Some("60s"));
    assert_eq!(setting(Some("it I db"), "application_name"), Some("a=b"));
    assert_eq!(odd.settings.len(), 2);
    let reader = &found.roles[&role("it_i_reader")];
    assert!(reader.create_db && !reader.marked && reader.connection_limit.is_none());
    assert!(!found.roles[&role("it I owner")].inherit);

    let made = &found.databases[&database("it I db")];
    assert_eq!(
        (&made.owner, made.connection_limit),
        (&role("it I owner"), Some(3))
    );
    let connect = privileges([Privilege::Connect]);
    assert_eq!(
        made.grants,
        [(Grantee::Role(role("it I \"Odd\" ü")), connect)].into()
    );
    assert!(made.contents.is_none());
    let app = &found.databases[&database("app")];
    let usual = privileges([Privilege::Connect, Privilege::Temporary]);
    assert_eq!(
        app.grants[&Grantee::Public],
        usual,
        "the default is told like any"
    );
    assert!(!found.databases.contains_key(&database("template1")));
    assert_eq!(found.dependencies[&role("it I owner")], [None].into());
}

const CONTENTS: &str = r#"
create schema "it I" authorization "it I owner";
grant usage on schema "it I" to it_i_reader;
set role "it I owner"; set search_path = "it I";
create table "Odd ""table" (id int generated always as identity);
create view seen as select 1 as one;
create function f(a integer, b text[], out c int) language sql as 'select 1';
create function "F of"(numeric(3, 1)) returns int language sql as 'select 1';
create procedure p(inout a int) language sql as 'select 1';
create aggregate total(int) (sfunc = int4pl, stype = int);
revoke execute on function f from public;
grant select, update on "Odd ""table" to it_i_reader;
grant select on seen to public;
alter default privileges in schema "it I" grant select on tables to it_i_reader;
alter default privileges in schema "it I" grant usage on sequences to it_i_reader, "it I owner";
alter default privileges grant delete on tables to it_i_reader, public;
alter default privileges revoke execute on functions from public;
reset role;
create extension pg_trgm schema "it I";
create temporary table passing (id int);
"#;

#[test]
fn the_inside_of_a_database_is_found() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(sandbox, CLEAR);
    town.sql("postgres", r#"create role "it I owner""#);
    town.sql("postgres", "create role it_i_reader");
    town.sql("postgres", r#"create database "it I db" owner "it I owner""#);
    town.sql("it I db", CONTENTS);

    town.sql("postgres", r#"create database "it I shut""#);
    town.sql("postgres", r#"revoke all on database "it I shut" from public"#);

    let found = town.inspect(&["it I db", "it I nowhere", "it I shut"]);
    assert!(found.databases[&database("it I shut")].contents.is_none());
    let contents = found.databases[&database("it I db")].contents.as_ref().unwrap();
    assert!(contents.extensions.contains("pg_trgm"));
    let names: Vec<_> = contents.schemas.keys().map(SchemaName::as_str).collect();
    assert_eq!(names, ["it I", "public"]);
    let schema = &contents.schemas[&SchemaName::new("it I").unwrap()];
    assert_eq!(schema.owner, role("it I owner"));
    let reader = Grantee::Role(role("it_i_reader"));
    let usage = privileges([Privilege::Usage]);
    assert_eq!(schema.grants, [(reader.clone(), usage.clone())].into());

    let objects: Vec<_> = schema
        .objects
        .keys()
        .map(|(kind, name)| (*kind, name.as_str()))
        .collect();
    let expected = [
        (Kind::Table, "Odd \"table"),
        (Kind::Table, "seen"),
        (Kind::Sequence, "Odd \"table_id_seq"),
        (Kind::Function, "F of(numeric)"),
        (Kind::Function, "f(integer, text[])"),
        (Kind::Function, "p(integer)"),
        (Kind::Function, "total(integer)"),
    ];
    assert_eq!(objects, expected, "those of extensions are left out");
    let object = |kind, name: &str| &schema.objects[&(kind, name.to_owned())];
    let table = object(Kind::Table, "Odd \"table");
    assert_eq!(table.owner, role("it I owner"));
    let both = privileges([Privilege::Select, Privilege::Update]);
    assert_eq!(table.grants, [(reader.clone(), both)].into());
    assert!(object(Kind::Function, "f(integer, text[])").grants.is_empty());
    let execute = privileges([Privilege::Execute]);
    assert_eq!(
        object(Kind::Function, "p(integer)").grants,
        [(Grantee::Public, execute)].into()
    );
    let select = privileges([Privilege::Select]);
    assert_eq!(
        object(Kind::Table, "seen").grants,
        [(Grantee::Public, select.clone())].into()
    );

    let owner = role("it I owner");
    let defaults = [
        ((owner.clone(), Kind::Table), [(reader.clone(), select)].into()),
        ((owner.clone(), Kind::Sequence), [(reader, usage)].into()),
    ];
    assert_eq!(schema.defaults, defaults.into());
    let delete = || privileges([Privilege::Delete]);
    let to_both = [
        (Grantee::Public, delete()),
        (Grantee::Role(role("it_i_reader")), delete()),
    ];
    let everywhere = [((owner.clone(), Kind::Table), to_both.into())];
    assert_eq!(contents.defaults, everywhere.into());
    let places = &found.dependencies[&owner];
    assert_eq!(*places, [None, Some(database("it I db"))].into());
}

/// Names that would lead a query astray, were there a way.
#[test]
fn nothing_is_found_by_a_path_that_others_chose() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let town = Town::new(
        sandbox,
        &format!("alter role {PROVISIONER} in database app reset all;\n{CLEAR}"),
    );
    town.sql("postgres", r#"create role "it I owner""#);
    town.sql("postgres", r#"create database "it I db" owner "it I owner""#);
    town.sql(
        "it I db",
        "create view public.pg_extension as select 'forged'::text as extname",
    );
    town.sql(
        "postgres",
        &format!(r#"alter role {PROVISIONER} in database "it I db" set search_path = public, pg_catalog"#),
    );
    town.sql(
        "postgres",
        &format!(r#"alter role {PROVISIONER} in database "it I db" set quote_all_identifiers = on"#),
    );
    town.sql(
        "it I db",
        "create function public.f(int) returns int language sql as 'select 1'",
    );
    let found = town.inspect(&["it I db"]);
    let contents = found.databases[&database("it I db")].contents.as_ref().unwrap();
    assert_eq!(contents.extensions, ["plpgsql".to_owned()].into());
    let public = &contents.schemas[&SchemaName::new("public").unwrap()];
    assert!(
        public
            .objects
            .contains_key(&(Kind::Function, "f(integer)".to_owned()))
    );
}

#[test]
fn a_membership_of_postgresql_18_has_its_options_and_grantors() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let modern = Modern::start(sandbox);
    let proxy = Proxy::start(sandbox, &modern.target());
    let clear = "drop table if exists it_i_t;\ndrop role if exists it_i_a, it_i_b, it_i_c";
    let town = Town::of(proxy, ["app", "app"], clear);
    for sql in [
        "create role it_i_a",
        "create role it_i_b createrole",
        "create role it_i_c",
        "grant it_i_a to it_i_b with admin true, inherit false, set false",
        "grant it_i_a to it_i_c with inherit false granted by it_i_b",
        "grant it_i_a to it_i_c with set false",
        "create table it_i_t ()",
        "grant maintain, select on it_i_t to it_i_a",
    ] {
        town.sql("postgres", sql);
    }
    let found = town.inspect(&["postgres"]);
    assert!(found.server.has_membership_options() && found.server.has_maintain());
    let of = |admin, inherit, set, grantor| InspectedMembership {
        role: role("it_i_a"),
        options: MembershipOptions { admin, inherit, set },
        grantor: role(grantor),
    };
    assert_eq!(
        found.roles[&role("it_i_b")].member_of,
        [of(true, false, false, "app")]
    );
    let two = [of(false, true, false, "app"), of(false, false, true, "it_i_b")];
    assert_eq!(found.roles[&role("it_i_c")].member_of, two);
    let contents = found.databases[&database("postgres")].contents.as_ref().unwrap();
    let public = &contents.schemas[&SchemaName::new("public").unwrap()];
    let table = &public.objects[&(Kind::Table, "it_i_t".to_owned())];
    let expected = privileges([Privilege::Maintain, Privilege::Select]);
    assert_eq!(table.grants[&Grantee::Role(role("it_i_a"))], expected);
}
