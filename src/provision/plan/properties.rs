//! What holds for every manifest: settled means nothing to do, others are left alone, names stay inside their quotes.

use super::fixture::*;
use super::plan;
use crate::provision::drift;
use crate::provision::inspected::Inspected;
use crate::provision::step::Plan;
use crate::provision::wanted::{
    Grantee, Grants, Kind, Need, Privilege, SettingName, Wanted, WantedDatabase, WantedRole, WantedSchema,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::collections::{BTreeMap, BTreeSet};

/// Names that end quotes, comments, statements and lines, and the longest one.
const NAMES: [&str; 8] = [
    "app",
    "A b",
    "a\"; drop role postgres; --",
    "it's \\",
    "line\nbreak",
    "r\u{f6}le \u{1f512}",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "$$ /* public",
];

fn grants_of(roles: Vec<&'static str>, privileges: &'static [Privilege]) -> impl Strategy<Value = Grants> {
    let count = roles.len();
    let given = prop::collection::vec(subsequence(privileges, 1..=privileges.len()), count);
    (given, subsequence(roles, 0..=count)).prop_map(move |(given, chosen)| {
        let pairs = chosen.into_iter().zip(given);
        pairs
            .map(|(name, what)| (Grantee::Role(role(name)), what.into_iter().collect()))
            .collect()
    })
}

fn schema_of(roles: Vec<&'static str>, owner: &'static str) -> impl Strategy<Value = WantedSchema> {
    use Privilege::{Create, Delete, Execute, Select, Usage};
    let on_all = (
        grants_of(roles.clone(), &[Select, Delete]),
        grants_of(roles.clone(), &[Usage, Select]),
        grants_of(roles.clone(), &[Execute]),
    );
    let on_one = (grants_of(roles.clone(), &[Select]), select(NAMES.to_vec()));
    (grants_of(roles, &[Usage, Create]), on_all, on_one).prop_map(
        move |(grants, (tables, sequences, functions), one)| {
            let on_all = [
                (Kind::Table, tables),
                (Kind::Sequence, sequences),
                (Kind::Function, functions),
            ];
            let (given, name) = one;
            WantedSchema {
                owner: role(owner),
                grants,
                on_all: on_all.into(),
                on_one: BTreeMap::from([
                    ((Kind::Table, name.to_owned()), given),
                    (
                        (Kind::Function, format!("{name}(integer, \"Odd\")")),
                        Grants::new(),
                    ),
                ]),
            }
        },
    )
}

fn database_of(roles: Vec<&'static str>, owner: &'static str) -> impl Strategy<Value = WantedDatabase> {
    let schemas = prop::collection::btree_map(
        select(["public", "app", "S \"x"].to_vec()).prop_map(schema),
        schema_of(roles.clone(), owner),
        0..3,
    );
    let extensions = select(vec![vec![], vec!["pg_trgm"]]);
    let access = grants_of(roles, &[Privilege::Connect, Privilege::Temporary]);
    (schemas, extensions, access, prop::option::of(0..9u32)).prop_map(
        move |(schemas, extensions, grants, limit)| WantedDatabase {
            owner: role(owner),
            connection_limit: limit,
            extensions: extensions
                .into_iter()
                .map(|name| (name.to_owned(), Need::Required))
                .collect(),
            grants,
            schemas,
        },
    )
}

/// Each role may be a member of those before it, so there are no circles.
fn manifest() -> impl Strategy<Value = Wanted> {
    subsequence(NAMES.to_vec(), 1..=NAMES.len()).prop_flat_map(|names| {
        let owner = names[0];
        let databases = prop::collection::btree_map(
            select(["orders", "D\"b'"].to_vec()).prop_map(database),
            database_of(names.clone(), owner),
            0..3,
        );
        let details = prop::collection::vec(
            (any::<(bool, bool, bool)>(), prop::option::of(0..9u32)),
            names.len(),
        );
        (databases, details).prop_map(move |(databases, details)| {
            let roles =
                names
                    .iter()
                    .zip(details)
                    .enumerate()
                    .map(|(at, (name, ((login, member, set), limit)))| {
                        let before = names[..at].iter().filter(|_| member).map(|of| (role(of), FULL));
                        let iam = (login && at > 0).then(|| (role("rds_iam"), BARE));
                        let key = SettingName {
                            database: None,
                            name: "search_path".to_owned(),
                        };
                        let wanted = WantedRole {
                            login,
                            connection_limit: limit,
                            member_of: before.chain(iam).collect(),
                            settings: set
                                .then(|| (key, format!("\"{}\"", name.replace('"', "\"\""))))
                                .into_iter()
                                .collect(),
                            was: None,
                        };
                        (role(name), wanted)
                    });
            Wanted {
                roles: roles.collect(),
                databases,
                break_glass: BTreeSet::new(),
                ended: BTreeMap::new(),
            }
        })
    })
}

/// Names in quotes, and what is left of a statement without them and without texts.
fn parts(statement: &str) -> (BTreeSet<String>, String) {
    let (mut names, mut rest) = (BTreeSet::new(), String::new());
    let mut characters = statement.chars().peekable();
    while let Some(c) = characters.next() {
        if c != '"' && c != '\'' {
            rest.push(c);
            continue;
        }
        let escapes = c == '\'' && rest.ends_with('E');
        let mut name = String::new();
        loop {
            let next = characters.next().expect("a quote is open");
            if next == '\\' && escapes {
                characters.next();
            } else if next == c && characters.peek() != Some(&c) {
                break;
            } else if next == c {
                characters.next();
            }
            name.push(next);
        }
        if c == '"' {
            names.insert(name);
        }
    }
    (names, rest)
}

fn statements(plan: &Plan) -> impl Iterator<Item = &String> {
    plan.steps.iter().flat_map(|step| &step.statements)
}

/// With roles of others in everything that a plan reads.
fn crowded(mut found: Inspected) -> Inspected {
    let mut other = login();
    other.member_of.extend(
        found
            .roles
            .keys()
            .take(2)
            .map(|of| row(of.as_str(), FULL, "unmanaged_one")),
    );
    found.roles.insert(role("unmanaged_one"), other);
    for database in found.databases.values_mut() {
        database.grants.insert(
            to("unmanaged_one"),
            [Privilege::Connect, Privilege::Create].into(),
        );
        if let Some(contents) = &mut database.contents {
            let select = grants([(to("unmanaged_one"), &[Privilege::Select])]);
            let tables = (database.owner.clone(), Kind::Table);
            contents.defaults.insert(tables, select);
            let execute = grants([(Grantee::Public, &[Privilege::Execute])]);
            let functions = (database.owner.clone(), Kind::Function);
            contents.defaults.insert(functions, execute);
        }
        for schema in database
            .contents
            .iter_mut()
            .flat_map(|contents| contents.schemas.values_mut())
        {
            schema
                .grants
                .insert(to("unmanaged_one"), [Privilege::Usage].into());
            for object in schema.objects.values_mut() {
                object
                    .grants
                    .insert(to("unmanaged_one"), [Privilege::Select].into());
            }
        }
    }
    found
}

/// Owners give away what they will create, wherever that is.
fn generous(mut found: Inspected, wanted: &Wanted) -> Inspected {
    for (name, database) in &wanted.databases {
        let contents = found
            .databases
            .get_mut(name)
            .and_then(|found| found.contents.as_mut());
        if let Some(contents) = contents {
            for kind in Kind::ALL {
                let privilege = match kind {
                    Kind::Function => Privilege::Execute,
                    Kind::Table | Kind::Sequence => Privilege::Select,
                };
                let grantees = wanted.roles.keys().cloned().map(Grantee::Role);
                let grants = grantees
                    .chain([Grantee::Public, to("unmanaged_one")])
                    .map(|to| (to, [privilege].into()));
                contents
                    .defaults
                    .insert((database.owner.clone(), kind), grants.collect());
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn settled_means_nothing_to_do(wanted in manifest(), version in select(VERSIONS.to_vec())) {
        let plan = plan(&wanted, &crowded(settled(&wanted, version))).unwrap();
        prop_assert_eq!(script(&plan), Vec::<String>::new());
    }

    #[test]
    fn what_owners_give_anywhere_is_taken_and_nothing_else(wanted in manifest(), version in select(VERSIONS.to_vec())) {
        let plan = plan(&wanted, &generous(settled(&wanted, version), &wanted)).unwrap();
        let is_it = |statement: &&String| statement.starts_with("ALTER DEFAULT PRIVILEGES REVOKE ");
        let is_lent = |statement: &&String| statement.contains(PROVISIONER);
        let others: Vec<_> = statements(&plan).filter(|one| !is_it(one) && !is_lent(one)).collect();
        prop_assert_eq!(others, Vec::<&String>::new());
        let public = "ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM PUBLIC";
        let taken = statements(&plan).filter(|one| one.as_str() == public).count();
        prop_assert_eq!(taken, wanted.databases.len());
    }

    #[test]
    fn from_anything_to_anything(before in manifest(), after in manifest(), version in select(VERSIONS.to_vec())) {
        let settled = crowded(settled(&before, version));
        for found in [cluster(version), settled.clone(), generous(settled, &after)] {
            let first = plan(&after, &found).unwrap();
            prop_assert_eq!(&first, &plan(&after, &found).unwrap());
            for statement in statements(&first) {
                prop_assert!(drift::statement::read(statement).is_some(), "drift does not know: {}", statement);
                let (names, rest) = parts(statement);
                prop_assert!(!names.contains("unmanaged_one") && !names.contains("postgres"), "{}", statement);
                let bare = rest.replace("(integer, )", "").replace("(integer)", "");
                let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || " ,.-()".contains(c);
                prop_assert!(bare.chars().all(plain), "{} leaves {}", statement, bare);
            }
            prop_assert!(first.steps.iter().all(|step| !step.title.contains('\n')));
        }
    }
}
