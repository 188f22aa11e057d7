//! The judgement alone: one tenant's user, and what lets it out.

use super::breakers::some;
use super::facts::{DatabaseFacts, Definer, Facts, ForeignServer, Inside, OnDatabase};
use super::login::{Login, Logins};
use super::verdict::{Cell, Kind, Level, Verdict, Weight};
use super::{judge, login};
use crate::domain::reason::CloseReason;
use crate::error::{Refusal, SqlState};
use crate::provision::doors::{Doors, OpenError};
use crate::provision::inspected::InspectedRole;
use crate::provision::manifest;
use crate::provision::name::Database;
use crate::provision::plan::fixture::{ADMIN, BARE, FULL, cluster, database, marked, role, row, schema};
use crate::provision::wanted::{MembershipOptions, Privilege, Wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::SystemTime;
use tokio_postgres::Client;

const MANIFEST: &str = r#"
[clusters.c.databases.blue]
owner = "blue_owner"
schemas = ["app"]
[clusters.c.databases.green]
owner = "green_owner"
schemas = ["app"]
[clusters.c.roles.blue_owner]
template = "owner"
databases = ["blue"]
[clusters.c.roles.green_owner]
template = "owner"
databases = ["green"]
[clusters.c.roles.blue_rw]
template = "read-write"
databases = ["blue"]
[clusters.c.users.blue_app]
roles = ["blue_rw"]
[clusters.c.users.green_app]
roles = ["green_owner"]
"#;

const VERSION_15: u32 = 150_018;
const VERSION_17: u32 = 170_006;

fn wanted() -> Wanted {
    let read = manifest::read(MANIFEST, SystemTime::UNIX_EPOCH).unwrap();
    let cluster = read.clusters.into_values().next().unwrap();
    cluster.wanted(SystemTime::UNIX_EPOCH)
}

/// As the manifest says.
fn facts(version: u32) -> Facts {
    let mut found = cluster(version);
    for (name, wanted) in wanted().roles {
        let rows = wanted.member_of.into_iter();
        let rows = rows.map(|(of, options)| row(of.as_str(), options, "postgres"));
        let member_of = rows.collect();
        found.roles.insert(
            name,
            InspectedRole {
                member_of,
                ..marked(wanted.login)
            },
        );
    }
    let place = |owner: &str, rights: &[(&str, OnDatabase, Level)]| {
        let levels = rights.iter().map(|(name, _, level)| (role(name), *level));
        let inside = Inside {
            schemas: [(schema("app"), levels.collect())].into(),
            ..Inside::default()
        };
        DatabaseFacts {
            owner: role(owner),
            public: BTreeSet::new(),
            by_role: rights
                .iter()
                .map(|(name, rights, _)| (role(name), *rights))
                .collect(),
            subscriptions: BTreeMap::new(),
            inside: Some(inside),
        }
    };
    let enters = OnDatabase {
        connect: true,
        ..OnDatabase::default()
    };
    let owns = OnDatabase {
        create: true,
        own: true,
        ..enters
    };
    let blue = [
        ("blue_app", enters, Level::Write),
        ("blue_rw", enters, Level::Write),
        ("green_app", OnDatabase::default(), Level::None),
        ("blue_owner", owns, Level::Own),
    ];
    let green = [
        ("blue_app", OnDatabase::default(), Level::None),
        ("green_app", owns, Level::Own),
        ("green_owner", owns, Level::Own),
    ];
    Facts {
        cluster: found,
        users: [role("blue_app"), role("green_app")].into(),
        databases: [
            (database("blue"), place("blue_owner", &blue)),
            (database("green"), place("green_owner", &green)),
            (database("postgres"), place("postgres", &[])),
        ]
        .into(),
    }
}

fn verdict(facts: &Facts) -> Verdict {
    judge(facts, &wanted(), &Logins::new())
}

/// What breaks isolation, by kind, and whom it is about.
fn breaks(facts: &Facts) -> Vec<(Kind, String)> {
    let verdict = verdict(facts);
    let breaks = verdict.of(Weight::Breaks);
    breaks
        .map(|finding| (finding.kind, some(&finding.users).replace('"', "")))
        .collect()
}

fn told(facts: &Facts, kind: Kind) -> String {
    let verdict = verdict(facts);
    let found = verdict.findings.iter().find(|finding| finding.kind == kind);
    let finding = found.unwrap_or_else(|| panic!("{kind:?}: {verdict:?}"));
    format!("{}\n{}", finding.what, finding.mends)
}

fn cell<'a>(verdict: &'a Verdict, user: &str, place: &str) -> &'a Cell {
    &verdict.cells[&(role(user), database(place))]
}

fn inside<'a>(facts: &'a mut Facts, place: &str) -> &'a mut Inside {
    let place = facts.databases.get_mut(&database(place)).unwrap();
    place.inside.as_mut().unwrap()
}

fn join(facts: &mut Facts, member: &str, of: &str, options: MembershipOptions) {
    let member = facts.cluster.roles.entry(role(member)).or_default();
    member.member_of.push(row(of, options, "postgres"));
}

#[test]
fn what_the_manifest_says_breaks_nothing() {
    for version in [VERSION_15, VERSION_17] {
        let facts = facts(version);
        assert_eq!(breaks(&facts), [], "{version}");
        let verdict = verdict(&facts);
        assert!(verdict.is_isolated() && verdict.of(Weight::Unknown).next().is_none());
        let levels = |user: &str| {
            ["blue", "green", "postgres"].map(|place| cell(&verdict, user, place).found.as_str())
        };
        assert_eq!(levels("blue_app"), ["write", "-", "-"]);
        assert_eq!(levels("green_app"), ["-", "own", "-"]);
        let names: Vec<&str> = verdict.databases.iter().map(Database::as_str).collect();
        assert_eq!(names, ["blue", "green", "postgres"]);
    }
}

#[test]
fn more_and_less_than_the_manifest_says_are_told_apart() {
    let mut facts = facts(VERSION_17);
    let blue = facts.databases.get_mut(&database("blue")).unwrap();
    blue.by_role.get_mut(&role("green_app")).unwrap().connect = true;
    blue.inside
        .as_mut()
        .unwrap()
        .schemas
        .get_mut(&schema("app"))
        .unwrap()
        .insert(role("blue_app"), Level::Read);
    blue.inside
        .as_mut()
        .unwrap()
        .schemas
        .get_mut(&schema("app"))
        .unwrap()
        .insert(role("blue_rw"), Level::Read);
    let found = breaks(&facts);
    let expected = [
        (Kind::Lacks, "blue_app".to_owned()),
        (Kind::Exceeds, "green_app".to_owned()),
    ];
    assert_eq!(found, expected);
    assert!(told(&facts, Kind::Lacks).contains("read in schema \"app\", where it says write"));
    // Everybody's door is told once, and not for each who may use it.
    facts
        .databases
        .get_mut(&database("blue"))
        .unwrap()
        .public
        .insert(Privilege::Connect);
    let found: Vec<Kind> = breaks(&facts).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(found, [Kind::Lacks, Kind::PublicConnect]);
}

#[test]
fn whoever_may_become_another_has_what_the_other_has() {
    let set = MembershipOptions {
        inherit: false,
        ..FULL
    };
    let mut facts = facts(VERSION_17);
    join(&mut facts, "green_app", "blue_owner", set);
    // It cannot enter as itself, so nothing of it is in the matrix; the membership is told nevertheless.
    assert_eq!(breaks(&facts), [(Kind::Membership, "green_app".to_owned())]);
    let words = told(&facts, Kind::Membership);
    assert!(
        words.contains("\"green_app\" → \"blue_owner\": SET ROLE"),
        "{words}"
    );
    assert!(
        words.contains("REVOKE \"blue_owner\" FROM \"green_app\";"),
        "{words}"
    );
    let blue = facts.databases.get_mut(&database("blue")).unwrap();
    blue.by_role.get_mut(&role("green_app")).unwrap().connect = true;
    assert_eq!(cell(&verdict(&facts), "green_app", "blue").found, Level::Own);
}

/// The template `monitor` makes one a member of `pg_monitor`, and that brings what PostgreSQL made it a member of.
#[test]
fn a_monitor_is_what_monitors_are_and_no_more() {
    let monitor = "\n[clusters.c.roles.watch]\ntemplate = \"monitor\"\n[clusters.c.users.blue_app]\nroles = [\"watch\", ";
    let text = MANIFEST.replace("\n[clusters.c.users.blue_app]\nroles = [", monitor);
    let read = manifest::read(&text, SystemTime::UNIX_EPOCH).unwrap();
    let wanted = read
        .clusters
        .into_values()
        .next()
        .unwrap()
        .wanted(SystemTime::UNIX_EPOCH);
    let mut facts = facts(VERSION_17);
    facts.cluster.roles.insert(role("watch"), marked(false));
    join(&mut facts, "blue_app", "watch", FULL);
    join(&mut facts, "watch", "pg_monitor", FULL);
    for of in ["pg_read_all_settings", "pg_read_all_stats", "pg_stat_scan_tables"] {
        join(&mut facts, "pg_monitor", of, FULL);
    }
    let found = |facts: &Facts| {
        let verdict = judge(facts, &wanted, &Logins::new());
        let found = verdict
            .findings
            .iter()
            .filter(|finding| finding.kind.weight() == Weight::Breaks);
        found.map(|finding| finding.what.clone()).collect::<Vec<_>>()
    };
    let memberships = |facts: &Facts| {
        found(facts)
            .into_iter()
            .filter(|what| what.contains("member of"))
            .collect::<Vec<_>>()
    };
    assert_eq!(memberships(&facts), Vec::<String>::new());
    join(&mut facts, "pg_monitor", "pg_read_all_data", FULL);
    assert_eq!(memberships(&facts).len(), 1);
}

#[test]
fn memberships_that_give_nothing_are_none() {
    for (options, kinds) in [
        (BARE, vec![]),
        (ADMIN, vec![Kind::Membership]),
        (FULL, vec![Kind::Membership]),
    ] {
        let mut facts = facts(VERSION_17);
        join(&mut facts, "blue_app", "green_owner", options);
        let found: Vec<Kind> = breaks(&facts).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(found, kinds, "{options:?}");
    }
    // What lies behind a role of others is not told again, but for what is dangerous wherever it lies.
    let mut facts = facts(VERSION_17);
    join(&mut facts, "blue_app", "team", FULL);
    join(&mut facts, "team", "group", FULL);
    join(&mut facts, "group", "pg_execute_server_program", FULL);
    let found: Vec<Kind> = breaks(&facts).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(found, [Kind::PowerfulRole, Kind::Membership]);
    let mut facts = self::facts(VERSION_17);
    join(&mut facts, "blue_app", "blue_rw", ADMIN);
    assert_eq!(breaks(&facts), [(Kind::AdminOption, "blue_app".to_owned())]);
}

#[test]
fn powers_of_a_role_are_those_of_all_that_may_become_it() {
    type Give = fn(&mut InspectedRole);
    let attributes: [(Give, Kind, &str); 4] = [
        (|role| role.superuser = true, Kind::Attribute, "SUPERUSER"),
        (|role| role.bypass_rls = true, Kind::Attribute, "BYPASSRLS"),
        (|role| role.replication = true, Kind::Attribute, "REPLICATION"),
        (|role| role.create_role = true, Kind::CreateRole, "CREATEROLE"),
    ];
    for (give, kind, named) in attributes {
        let mut facts = facts(VERSION_15);
        give(facts.cluster.roles.get_mut(&role("blue_rw")).unwrap());
        assert_eq!(breaks(&facts), [(kind, "blue_app".to_owned())], "{named}");
        let words = told(&facts, kind);
        assert!(
            words.starts_with(&format!("may be \"blue_rw\", which has {named}")),
            "{words}"
        );
        assert!(
            words.ends_with(&format!("ALTER ROLE \"blue_rw\" NO{named};")),
            "{words}"
        );
    }
    // Before 16 it reaches everybody, since then those it administers.
    let reached = |version| {
        let mut facts = facts(version);
        facts
            .cluster
            .roles
            .get_mut(&role("blue_app"))
            .unwrap()
            .create_role = true;
        told(&facts, Kind::CreateRole)
    };
    assert!(
        reached(VERSION_15).contains("\"green_owner\""),
        "{}",
        reached(VERSION_15)
    );
    assert!(
        reached(VERSION_17).contains("no other managed role yet"),
        "{}",
        reached(VERSION_17)
    );
}

#[test]
fn ways_out_of_a_database_are_those_of_whom_it_lets_in() {
    let own = || BTreeSet::from([role("blue_rw")]);
    type Open<'a> = &'a dyn Fn(&mut Inside);
    let ways: [(Open<'_>, Kind); 5] = [
        (&|inside| inside.dblink = own(), Kind::Dblink),
        (
            &|inside| {
                inside.wrappers.insert("w".to_owned(), own());
            },
            Kind::ForeignData,
        ),
        (
            &|inside| {
                inside.languages.insert("l".to_owned(), own());
            },
            Kind::Language,
        ),
        (&|inside| inside.large_objects_open = true, Kind::LargeObjects),
        (
            &|inside| {
                inside.public_creates_in.insert(schema("app"));
            },
            Kind::PublicCreate,
        ),
    ];
    for (open, kind) in ways {
        let mut facts = facts(VERSION_17);
        open(inside(&mut facts, "blue"));
        let found: Vec<Kind> = breaks(&facts).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(found, [kind]);
        // Where nobody can enter it is nobody's way.
        let mut facts = self::facts(VERSION_17);
        open(inside(&mut facts, "postgres"));
        assert_eq!(breaks(&facts), [], "{kind:?}");
    }
    for (mapped, all, words) in [
        (own(), false, "what a user mapping stores"),
        (BTreeSet::new(), true, "what a user mapping stores"),
        (BTreeSet::new(), false, "a password of its own"),
    ] {
        let mut facts = facts(VERSION_17);
        let server = ForeignServer {
            wrapper: "w".to_owned(),
            usage: own(),
            mapped,
            mapped_for_all: all,
        };
        inside(&mut facts, "blue").servers.insert("s".to_owned(), server);
        assert_eq!(breaks(&facts), [(Kind::ForeignServer, "blue_app".to_owned())]);
        assert!(told(&facts, Kind::ForeignServer).contains(words));
    }
}

#[test]
fn functions_that_run_as_somebody_with_powers_break() {
    let definer = |facts: &mut Facts, of: &str, may: &str| {
        let definer = Definer {
            schema: schema("anywhere"),
            function: "f()".to_owned(),
            owner: role(of),
        };
        let blue = inside(facts, "blue");
        blue.definers.insert(definer, [role(may)].into());
    };
    for of in ["postgres", "dbproxy_provisioner", "rds_master", "maker"] {
        // Given to itself, or to a role of which it is.
        for may in ["blue_app", "blue_rw"] {
            let mut facts = facts(VERSION_17);
            let rds_master = InspectedRole {
                member_of: vec![row("rds_superuser", FULL, "rdsadmin")],
                ..InspectedRole::default()
            };
            let maker = InspectedRole {
                create_role: true,
                ..InspectedRole::default()
            };
            facts.cluster.roles.insert(role("rds_master"), rds_master);
            facts.cluster.roles.insert(role("maker"), maker);
            definer(&mut facts, of, may);
            let expected = [(Kind::PowerfulDefiner, "blue_app".to_owned())];
            assert_eq!(breaks(&facts), expected, "{of} {may}");
        }
        // Who cannot come in, or has no privilege, cannot execute it.
        for may in ["green_app", "nobody"] {
            let mut facts = facts(VERSION_17);
            definer(&mut facts, of, may);
            assert_eq!(breaks(&facts), [], "{of} {may}");
        }
    }
}

#[test]
fn notes_break_nothing_and_what_nobody_saw_is_unknown() {
    let mut facts = facts(VERSION_17);
    let definer = |schema_name: &str, owner: &str| Definer {
        schema: schema(schema_name),
        function: "f()".to_owned(),
        owner: role(owner),
    };
    facts
        .cluster
        .roles
        .insert(role("plain"), InspectedRole::default());
    let blue = inside(&mut facts, "blue");
    blue.definers = [
        (definer("app", "plain"), [role("blue_app")].into()),
        (definer("app", "blue_owner"), [role("blue_app")].into()),
        (definer("elsewhere", "plain"), [role("blue_rw")].into()),
        (definer("elsewhere", "green_owner"), [role("green_app")].into()),
    ]
    .into();
    blue.publications.insert("p".to_owned(), true);
    facts.databases.get_mut(&database("green")).unwrap().inside = None;
    let verdict = verdict(&facts);
    assert!(verdict.is_isolated());
    let kinds = |weight| verdict.of(weight).map(|finding| finding.kind).collect::<Vec<_>>();
    assert_eq!(kinds(Weight::Unknown), [Kind::Unseen]);
    let notes = [
        Kind::SecurityDefiner,
        Kind::SecurityDefiner,
        Kind::Publication,
        Kind::OtherLogins,
        Kind::SharedCatalogs,
    ];
    assert_eq!(kinds(Weight::Note), notes);
    assert!(cell(&verdict, "green_app", "green").unseen);
}

#[test]
fn a_login_that_goes_otherwise_is_told() {
    let at = |user: &str, place: &str| (role(user), database(place));
    let logins: Logins = [
        (at("blue_app", "blue"), Login::Shut),
        (at("blue_app", "green"), Login::In),
        (at("green_app", "blue"), Login::Shut),
        (
            at("green_app", "green"),
            Login::NotTried(Some("no token".to_owned())),
        ),
    ]
    .into();
    let verdict = judge(&facts(VERSION_17), &wanted(), &logins);
    let breaks: Vec<_> = verdict.of(Weight::Breaks).collect();
    assert_eq!(breaks.len(), 2, "{breaks:?}");
    for (finding, words) in breaks.iter().zip(["is refused", "is let in"]) {
        assert_eq!(
            (finding.kind, &finding.users[..]),
            (Kind::Login, &[role("blue_app")][..])
        );
        assert!(finding.what.starts_with(words), "{finding:?}");
    }
}

/// Says no, each time for the next reason.
struct Shut(Mutex<Vec<(CloseReason, SqlState)>>);

impl Doors for Shut {
    async fn open(&self, place: Option<&Database>) -> Result<Client, OpenError> {
        let (reason, state) = self.0.lock().unwrap().remove(0);
        Err(OpenError {
            database: place.unwrap().to_string(),
            refusal: Box::new(Refusal::new(reason, state, "said so")),
            source: "said so".into(),
        })
    }
}

#[tokio::test]
async fn a_user_that_dbproxy_cannot_be_is_tried_once() {
    let places = [database("a"), database("b"), database("c")];
    let shut = (CloseReason::ServerRefused, SqlState::INSUFFICIENT_PRIVILEGE);
    let full = (CloseReason::ServerRefused, SqlState::TOO_MANY_CONNECTIONS);
    let barred = (CloseReason::LoginRefused, SqlState::INVALID_AUTHORIZATION);
    let not = |why: &str| Login::NotTried(Some(why.to_owned()));
    for (said, expected) in [
        (
            vec![shut.clone(), full, shut.clone()],
            [Login::Shut, not("said so"), Login::Shut],
        ),
        (
            vec![shut, barred.clone()],
            [Login::Shut, not("no token"), not("no token")],
        ),
        (vec![barred], [not("no token"), not("no token"), not("no token")]),
    ] {
        let tried = login::attempt(&Shut(Mutex::new(said)), &places).await;
        assert_eq!(tried.into_values().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn the_document_names_every_kind() {
    let document = include_str!("../../../docs/isolation.md");
    for kind in Kind::ALL {
        let name = format!("`{}`", kind.as_str());
        assert!(document.contains(&name), "{name}");
    }
}

#[test]
fn whoever_cannot_log_in_reaches_less() {
    let changes: [fn(&mut InspectedRole); 2] =
        [|role| role.login = false, |role| role.connection_limit = Some(0)];
    for change in changes {
        let mut facts = facts(VERSION_17);
        change(facts.cluster.roles.get_mut(&role("blue_app")).unwrap());
        assert_eq!(breaks(&facts), [(Kind::Lacks, "blue_app".to_owned())]);
        assert!(told(&facts, Kind::Lacks).contains("may not log in"));
    }
}

/// Nobody but the server's superuser can shut it, and nobody has anything there.
#[test]
fn a_template_as_it_was_made_breaks_nothing() {
    let mut facts = facts(VERSION_17);
    let mut template = facts.databases[&database("postgres")].clone();
    template.public.insert(Privilege::Connect);
    facts.databases.insert(database("template1"), template);
    assert_eq!(breaks(&facts), []);
    assert!(told(&facts, Kind::Template).contains("REVOKE CONNECT, TEMPORARY ON DATABASE \"template1\""));
    let template = facts.databases.get_mut(&database("template1")).unwrap();
    template.public.insert(Privilege::Create);
    let found: Vec<Kind> = breaks(&facts).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(found, [Kind::PublicConnect, Kind::PublicCreate]);
}

#[test]
fn those_who_would_be_shut_out_are_named() {
    let mut facts = facts(VERSION_17);
    let mut other = marked(true);
    other.marked = false;
    facts.cluster.roles.insert(role("grafana"), other);
    let postgres = facts.databases.get_mut(&database("postgres")).unwrap();
    postgres.public.insert(Privilege::Connect);
    assert!(
        told(&facts, Kind::PublicConnect).contains("so may \"grafana\""),
        "{}",
        told(&facts, Kind::PublicConnect)
    );
}
