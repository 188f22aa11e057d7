//! Names that end quotes and statements, fold, or are as long as names can be.

use super::ground::Ground;
use super::{on_all, wanted};

const LONG: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
const ODD: [&str; 8] = [
    "Upper Case",
    "\"; drop role postgres; --",
    "it's \\ #",
    "rôle 🔒",
    LONG,
    "select",
    "a.b,c",
    "%s%I\ttab",
];

/// As a basic string of TOML.
fn toml(name: &str) -> String {
    serde_json::to_string(name).unwrap()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn manifest(at: usize) -> String {
    let name = |offset: usize| ODD[(at + offset) % ODD.len()];
    let [database, owner, reader, one, schema] = [name(0), name(1), name(2), name(3), name(4)].map(toml);
    let (user, other) = (toml(name(5)), toml(name(6)));
    let on = |what: String| serde_json::to_string(&what).unwrap();
    let quoted_schema = quoted(name(4));
    let in_schema = on(format!("schema {quoted_schema}"));
    let table = on(format!("table {quoted_schema}.{}", quoted(name(7))));
    let function = on(format!(
        "function {quoted_schema}.{}(integer, text)",
        quoted(name(7))
    ));
    format!(
        "[databases.{database}]\nowner = {owner}\nschemas = [{schema}]\n\
         [roles.{owner}]\ntemplate = \"owner\"\n[roles.{reader}]\ntemplate = \"read-only\"\n\
         [roles.{one}]\nprivileges = [ {{ database = {database}, on = \"database\", grant = [\"connect\"] }},\n\
         {{ database = {database}, on = {in_schema}, grant = [\"usage\"] }},\n\
         {{ database = {database}, on = {table}, grant = [\"update\"] }},\n\
         {{ database = {database}, on = {function}, grant = [\"execute\"] }} ]\n\
         [users.{user}]\nroles = [{owner}]\nsettings = {{ search_path = {}, application_name = {} }}\n\
         [users.{other}]\nroles = [{reader}, {one}]\n",
        toml(&quoted_schema),
        toml(name(2)),
    )
}

fn tried(ground: &Ground, at: usize) {
    let name = |offset: usize| ODD[(at + offset) % ODD.len()];
    let [database, user, other] = [name(0), name(5), name(6)];
    ground.settle(&wanted(&manifest(at)));
    let (schema, thing) = (quoted(name(4)), quoted(name(7)));
    let make = format!(
        "create table {thing} (id serial); create function {thing}(a integer, b text) returns integer language sql as 'select 1'"
    );
    ground.can(user, database, &make);
    ground.settle(&wanted(&manifest(at)));
    let both = format!(
        "select * from {schema}.{thing}; update {schema}.{thing} set id = 1; select {schema}.{thing}(1, '')"
    );
    ground.can(other, database, &both);
    ground.cannot(
        other,
        database,
        &format!("insert into {schema}.{thing} values (1)"),
    );
    assert_eq!(ground.can(user, database, "select current_schema()"), name(4));
}

#[test]
fn odd_names_are_names() {
    on_all(|ground| {
        for at in [0, 2, 4, 6, 7] {
            tried(ground, at);
        }
        // The roles of the one before are gone each time, its databases stay.
        let left = "select count(*) from pg_roles where oid >= 16384";
        assert_eq!(ground.administer("postgres", left), "7");
    });
}
