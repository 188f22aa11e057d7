//! From any manifest to any other: it settles, and others are left alone.

use super::broken::cut_at;
use super::ground::Ground;
use super::{on, others, wanted};
use crate::support::modern::MAJORS;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

const ROLES: [&str; 4] = ["r1", "r2", "R \"3", "r4"];
const USERS: [&str; 4] = ["u1", "u2", "U 3", "u4"];
const SCHEMAS: [&str; 3] = ["public", "s1", "S 2"];
const DATABASES: [&str; 2] = ["d1", "D 2"];

fn toml(name: &str) -> String {
    serde_json::to_string(name).unwrap()
}

fn list(names: &[&str]) -> String {
    format!(
        "[{}]",
        names.iter().map(|name| toml(name)).collect::<Vec<_>>().join(", ")
    )
}

/// Always both databases, since these are never dropped; the rest comes and goes.
fn manifest() -> impl Strategy<Value = String> {
    let schemas = prop::collection::vec(subsequence(SCHEMAS.to_vec(), 1..=3), 2);
    let owners = prop::collection::vec(select(ROLES[..2].to_vec()), 2);
    let more = (
        subsequence(ROLES[2..].to_vec(), 0..=2),
        prop::collection::vec((0..5usize, any::<bool>()), 2),
    );
    let users = prop::collection::vec(
        (
            any::<bool>(),
            subsequence((0..4usize).collect::<Vec<_>>(), 0..=2),
            prop::option::of(1..9u32),
        ),
        4,
    );
    (schemas, owners, more, users).prop_map(|(schemas, owners, (more, kinds), users)| {
        let mut text = String::new();
        for ((database, schemas), owner) in DATABASES.iter().zip(&schemas).zip(&owners) {
            text += &format!(
                "\n[databases.{}]\nowner = {}\nschemas = {}",
                toml(database),
                toml(owner),
                list(schemas)
            );
        }
        for owner in &ROLES[..2] {
            let owned = DATABASES.iter().zip(&owners).filter(|(_, of)| *of == owner);
            let owned: Vec<_> = owned.map(|(database, _)| *database).collect();
            if !owned.is_empty() {
                text += &format!(
                    "\n[roles.{}]\ntemplate = \"owner\"\ndatabases = {}",
                    toml(owner),
                    list(&owned)
                );
            }
        }
        for (role, (kind, first)) in more.iter().zip(kinds) {
            text += &format!("\n[roles.{}]\n{}", toml(role), rights(kind, first, &schemas[0]));
        }
        let known = |at: &usize| owners.contains(&ROLES[*at]) || more.contains(&ROLES[*at]);
        for (user, (there, roles, limit)) in USERS.iter().zip(users) {
            if there {
                let roles: Vec<_> = roles.iter().filter(|at| known(at)).map(|at| ROLES[*at]).collect();
                text += &format!("\n[users.{}]\nroles = {}", toml(user), list(&roles));
                text += &limit.map_or(String::new(), |limit| {
                    format!("\nconnection_limit = {limit}\nsettings = {{ work_mem = \"{limit}MB\" }}")
                });
            }
        }
        text + "\n"
    })
}

fn rights(kind: usize, first: bool, schemas: &[&str]) -> String {
    let only = if first { "\ndatabases = [\"d1\"]" } else { "" };
    let on = |what: &str| toml(&format!("{what} \"{}\"", schemas[0]));
    match kind {
        0 => format!("template = \"read-write\"{only}"),
        1 => format!("template = \"read-only\"{only}"),
        2 => "template = \"monitor\"".to_owned(),
        3 => format!(
            "privileges = [ {{ database = \"d1\", on = \"database\", grant = [\"connect\"] }}, \
             {{ database = \"d1\", on = {}, grant = [\"usage\"] }}, \
             {{ database = \"d1\", on = {}, grant = [\"select\", \"truncate\"] }} ]",
            on("schema"),
            on("all tables in"),
        ),
        _ => format!(
            "privileges = [ {{ database = \"d1\", on = {}, grant = [\"create\"] }}, \
             {{ database = \"d1\", on = {}, grant = [\"execute\"] }} ]",
            on("schema"),
            on("all functions in"),
        ),
    }
}

/// What the users that can make something somewhere do in the meantime, as themselves and as the owner.
fn live(ground: &Ground, round: usize) {
    for user in USERS {
        for database in DATABASES {
            for schema in SCHEMAS {
                for role in ["", "reset role; "] {
                    let odd = if role.is_empty() { "o" } else { "p" };
                    let name = format!("\"{schema}\".\"{user} {odd}{round}\"");
                    let make = format!(
                        "{role}create table {name} (id serial); create function {name}(a integer) returns integer language sql as 'select 1'"
                    );
                    let _ = ground.try_as(user, database, &make);
                }
            }
        }
    }
}

#[test]
fn any_manifest_after_any_other_settles() {
    on(&[MAJORS[1], MAJORS[5]], |ground| {
        let config = Config {
            cases: std::env::var("PROPTEST_CASES").map_or(4, |cases| cases.parse().unwrap()),
            max_shrink_iters: 0,
            failure_persistence: None,
            ..Config::default()
        };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let all = (
            manifest(),
            manifest(),
            manifest(),
            prop::array::uniform3(1..40usize),
        );
        let outcome = runner.run(&all, |(first, second, third, cuts)| {
            ground.anew();
            others::settle_down(ground);
            let before = others::snapshot(ground, &["theirs", "postgres"]);
            for (round, text) in [&first, &second, &third].into_iter().enumerate() {
                cut_at(ground, &wanted(text), cuts[round]);
                ground.settle(&wanted(text));
                live(ground, round);
                ground.settle(&wanted(text));
            }
            others::are_untouched(ground, &["theirs", "postgres"], &before);
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("{}", error.to_string().replace("\\n", "\n"));
        }
    });
}
