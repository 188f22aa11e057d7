//! Settings of roles, everywhere and in one database.

use super::draft::{Draft, Phase, Place};
use super::obstacle::Obstacle;
use super::scene::Scene;
use super::text::shown;
use crate::provision::name::{Database, RoleName};
use crate::provision::sql::{identifier, literal};
use crate::provision::step::StepKind;
use crate::provision::wanted::SettingName;
use std::collections::{BTreeMap, BTreeSet};

/// Settings that are lists of names, each quoted by itself (GUC_LIST_QUOTE in PostgreSQL's sources, of which extensions
/// may have none): one text with commas in it would be one odd name.
const LISTS: [&str; 7] = [
    "search_path",
    "temp_tablespaces",
    "session_preload_libraries",
    "local_preload_libraries",
    "shared_preload_libraries",
    "unix_socket_directories",
    "restrict_nonsystem_relation_kind",
];

pub fn plan(scene: &Scene<'_>, draft: &mut Draft) {
    let none = BTreeMap::new();
    for (name, wanted) in &scene.wanted.roles {
        let found = scene.found.roles.get(name);
        if scene.is_provisioner(name) || found.is_some_and(|role| scene.is_out_of_reach(role)) {
            continue;
        }
        let found = found.map_or(&none, |role| &role.settings);
        let places: BTreeSet<_> = wanted
            .settings
            .keys()
            .chain(found.keys())
            .map(|key| &key.database)
            .collect();
        for database in places {
            let at = |settings: &BTreeMap<SettingName, String>| in_place(settings, database.as_ref());
            let statements = changes(name, database.as_ref(), &at(&wanted.settings), &at(found));
            write(scene, name, database.as_ref(), statements, draft);
        }
    }
}

/// By their names in lower case: PostgreSQL takes any, and keeps its own writing.
fn in_place(
    settings: &BTreeMap<SettingName, String>,
    database: Option<&Database>,
) -> BTreeMap<String, String> {
    let here = settings
        .iter()
        .filter(|(key, _)| key.database.as_ref() == database);
    here.map(|(key, value)| (key.name.to_ascii_lowercase(), value.clone()))
        .collect()
}

fn changes(
    role: &RoleName,
    database: Option<&Database>,
    wanted: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
) -> Vec<String> {
    let place = database
        .map(|database| format!(" IN DATABASE {}", identifier(database)))
        .unwrap_or_default();
    let alter = format!("ALTER ROLE {}{place}", identifier(role));
    let gone = found.keys().filter(|name| !wanted.contains_key(*name));
    let reset = gone.map(|name| format!("{alter} RESET {}", identifier(name)));
    let differs =
        |(name, value): &(&String, &String)| found.get(*name).is_none_or(|found| !same(name, value, found));
    let set = wanted
        .iter()
        .filter(differs)
        .map(|(name, value)| format!("{alter} SET {} TO {}", identifier(name), value_sql(name, value)));
    reset.chain(set).collect()
}

fn write(
    scene: &Scene<'_>,
    role: &RoleName,
    database: Option<&Database>,
    statements: Vec<String>,
    draft: &mut Draft,
) {
    if statements.is_empty() {
        return;
    }
    draft.administer(scene, role);
    let Some(database) = database else {
        let title = format!("settings of {}", shown(role));
        return draft.step(
            Phase::Settings,
            StepKind::Ordinary,
            &Place::cluster(),
            title,
            statements,
        );
    };
    if !scene.wanted.databases.contains_key(database) && !scene.found.databases.contains_key(database) {
        draft.obstacle(Obstacle::NoSuchDatabase {
            database: database.to_string(),
            needed_by: shown(role),
        });
    }
    let title = format!("settings of {} in database {}", shown(role), shown(database));
    draft.step(
        Phase::DatabaseSettings,
        StepKind::Ordinary,
        &Place::cluster(),
        title,
        statements,
    );
}

fn is_list(name: &str) -> bool {
    LISTS.contains(&name)
}

fn same(name: &str, wanted: &str, found: &str) -> bool {
    wanted == found || (is_list(name) && names(wanted) == names(found))
}

fn value_sql(name: &str, value: &str) -> String {
    match is_list(name) {
        true => names(value).iter().map(literal).collect::<Vec<_>>().join(", "),
        false => literal(value),
    }
}

/// The names of a list as PostgreSQL reads them (`SplitIdentifierString`): unquoted ones in lower case, without the
/// space around them. An empty text is the list of one empty name, which is how a `search_path` without any is written.
fn names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut name, mut quoted) = (String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            c if !quoted && c.is_ascii_whitespace() => {}
            c if !quoted => name.push(c.to_ascii_lowercase()),
            c => name.push(c),
        }
    }
    names.push(name);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_postgresql_reads_them() {
        assert_eq!(names(r#""$user", public"#), ["$user", "public"]);
        assert_eq!(names(r#"App , "B ""c, d""#), ["app", "B \"c, d"]);
        assert_eq!(names(r#""""#), names(""));
        assert_eq!(value_sql("search_path", r#"app, "it's""#), "'app', 'it''s'");
        assert_eq!(value_sql("datestyle", "ISO, DMY"), "'ISO, DMY'");
        assert!(same("search_path", "app,public", "app, public"));
        assert!(!same("search_path", "app", "app, public"));
    }
}
