//! Small clusters and manifests for tests.

use crate::provision::inspected::{
    Contents, Inspected, InspectedDatabase, InspectedMembership, InspectedObject, InspectedRole,
    InspectedSchema, Server,
};
use crate::provision::name::{Database, RoleName, SchemaName};
use crate::provision::step::{Plan, Step, StepKind};
use crate::provision::wanted::{
    Grantee, Grants, Kind, MembershipOptions, Need, Privilege, SettingName, Wanted, WantedDatabase,
    WantedRole, WantedSchema,
};
use std::collections::{BTreeMap, BTreeSet};

pub const VERSIONS: [u32; 6] = [130_020, 140_017, 150_018, 160_010, 170_006, 180_004];
pub const PROVISIONER: &str = "dbproxy_provisioner";
pub const FULL: MembershipOptions = MembershipOptions {
    admin: false,
    inherit: true,
    set: true,
};
pub const BARE: MembershipOptions = MembershipOptions {
    admin: false,
    inherit: false,
    set: false,
};
pub const ADMIN: MembershipOptions = MembershipOptions {
    admin: true,
    inherit: false,
    set: false,
};

pub fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

pub fn database(name: &str) -> Database {
    Database::new(name).unwrap()
}

pub fn schema(name: &str) -> SchemaName {
    SchemaName::new(name).unwrap()
}

pub fn to(name: &str) -> Grantee {
    Grantee::Role(role(name))
}

pub fn grants<const N: usize>(grants: [(Grantee, &[Privilege]); N]) -> Grants {
    grants
        .into_iter()
        .map(|(to, what)| (to, what.iter().copied().collect()))
        .collect()
}

pub fn row(of: &str, options: MembershipOptions, grantor: &str) -> InspectedMembership {
    InspectedMembership {
        role: role(of),
        options,
        grantor: role(grantor),
    }
}

pub fn login() -> InspectedRole {
    InspectedRole {
        login: true,
        inherit: true,
        ..InspectedRole::default()
    }
}

pub fn marked(login: bool) -> InspectedRole {
    InspectedRole {
        login,
        inherit: true,
        marked: true,
        ..InspectedRole::default()
    }
}

/// A server with a provisioner by IAM and nothing else.
pub fn cluster(version: u32) -> Inspected {
    let provisioner = InspectedRole {
        create_role: true,
        create_db: true,
        member_of: ["rds_iam", "pg_monitor"]
            .map(|of| row(of, MembershipOptions { admin: true, ..FULL }, "postgres"))
            .to_vec(),
        ..login()
    };
    let superuser = InspectedRole {
        superuser: true,
        ..login()
    };
    let group = InspectedRole {
        inherit: true,
        ..InspectedRole::default()
    };
    let roles = [
        ("postgres", superuser),
        ("rds_iam", group.clone()),
        ("pg_monitor", group),
        (PROVISIONER, provisioner),
    ];
    let postgres = InspectedDatabase {
        owner: role("postgres"),
        connection_limit: None,
        grants: grants([(Grantee::Public, &[Privilege::Connect, Privilege::Temporary])]),
        contents: None,
    };
    let trusted = [("pg_trgm", true), ("pgaudit", false)];
    Inspected {
        server: Server {
            version,
            provisioner: role(PROVISIONER),
            provisioner_is_superuser: false,
            provisioner_may_create_roles: true,
            provisioner_may_create_databases: true,
            available_extensions: trusted.map(|(name, trusted)| (name.to_owned(), trusted)).into(),
        },
        roles: roles.map(|(name, found)| (role(name), found)).into(),
        databases: [(database("postgres"), postgres)].into(),
        dependencies: BTreeMap::new(),
        creditors: BTreeMap::new(),
        closed: BTreeSet::new(),
    }
}

/// Owner, reader and writer of one database, and a user of each kind.
pub fn orders() -> Wanted {
    use Privilege::{Connect, Create, Delete, Insert, Select, Temporary, Update, Usage};
    let app = WantedSchema {
        owner: role("app_owner"),
        grants: grants([
            (to("app_owner"), &[Usage, Create]),
            (to("app_rw"), &[Usage]),
            (to("app_ro"), &[Usage]),
        ]),
        on_all: BTreeMap::from([
            (
                Kind::Table,
                grants([
                    (to("app_rw"), &[Select, Insert, Update, Delete]),
                    (to("app_ro"), &[Select]),
                ]),
            ),
            (
                Kind::Sequence,
                grants([(to("app_rw"), &[Usage, Select]), (to("app_ro"), &[Select])]),
            ),
        ]),
        on_one: BTreeMap::new(),
    };
    let orders = WantedDatabase {
        owner: role("app_owner"),
        connection_limit: Some(50),
        extensions: [("pg_trgm".to_owned(), Need::Required)].into(),
        grants: grants([
            (to("app_owner"), &[Connect, Temporary]),
            (to("app_rw"), &[Connect, Temporary]),
            (to("app_ro"), &[Connect]),
        ]),
        schemas: [(schema("app"), app)].into(),
    };
    let timeout = SettingName {
        database: None,
        name: "statement_timeout".to_owned(),
    };
    let path = SettingName {
        database: Some(database("orders")),
        name: "search_path".to_owned(),
    };
    let user = |of: &str| WantedRole {
        login: true,
        member_of: [(role("rds_iam"), BARE), (role(of), FULL)].into(),
        ..WantedRole::default()
    };
    let app = WantedRole {
        connection_limit: Some(5),
        settings: [(timeout, "60s".to_owned()), (path, "app, public".to_owned())].into(),
        ..user("app_rw")
    };
    let roles = ["app_owner", "app_rw", "app_ro"].map(|name| (role(name), WantedRole::default()));
    let users = [
        ("app", app),
        ("migrator", user("app_owner")),
        ("watch", user("pg_monitor")),
    ];
    Wanted {
        roles: roles
            .into_iter()
            .chain(users.map(|(name, user)| (role(name), user)))
            .collect(),
        databases: [(database("orders"), orders)].into(),
        break_glass: BTreeSet::new(),
        ended: BTreeMap::new(),
    }
}

/// What the catalogs say when all of it is done.
pub fn settled(wanted: &Wanted, version: u32) -> Inspected {
    let mut found = cluster(version);
    for (name, role) in &wanted.roles {
        let rows = role
            .member_of
            .iter()
            .map(|(of, options)| row(of.as_str(), *options, PROVISIONER));
        let found_role = InspectedRole {
            connection_limit: role.connection_limit,
            member_of: rows.collect(),
            settings: role.settings.clone(),
            ..marked(role.login)
        };
        found.roles.insert(name.clone(), found_role);
        if version >= 160_000 {
            let provisioner = found.roles.get_mut(&self::role(PROVISIONER)).unwrap();
            provisioner.member_of.push(row(name.as_str(), ADMIN, "postgres"));
        }
    }
    for (name, wanted) in &wanted.databases {
        found.databases.insert(name.clone(), settled_database(wanted));
    }
    found
}

fn settled_database(wanted: &WantedDatabase) -> InspectedDatabase {
    let mut grants = wanted.grants.clone();
    grants
        .entry(to(PROVISIONER))
        .or_default()
        .insert(Privilege::Connect);
    let mut schemas: BTreeMap<_, _> = wanted
        .schemas
        .iter()
        .map(|(n, s)| (n.clone(), settled_schema(n, s)))
        .collect();
    schemas.entry(schema("public")).or_insert_with(public);
    InspectedDatabase {
        owner: wanted.owner.clone(),
        connection_limit: wanted.connection_limit,
        grants,
        contents: Some(Contents {
            extensions: wanted.extensions.keys().cloned().collect(),
            schemas,
            ..Contents::default()
        }),
    }
}

pub fn public() -> InspectedSchema {
    InspectedSchema {
        owner: role("pg_database_owner"),
        grants: grants([(Grantee::Public, &[Privilege::Usage])]),
        objects: BTreeMap::new(),
        defaults: BTreeMap::new(),
    }
}

fn settled_schema(name: &SchemaName, wanted: &WantedSchema) -> InspectedSchema {
    let mut objects = BTreeMap::new();
    let some = Kind::ALL.map(|kind| {
        (
            kind,
            if kind == Kind::Function {
                "f(integer)"
            } else {
                "one"
            }
            .to_owned(),
        )
    });
    for (kind, name) in some.into_iter().chain(wanted.on_one.keys().cloned()) {
        let mut grants = wanted.on_all.get(&kind).cloned().unwrap_or_default();
        for (to, what) in wanted.on_one.get(&(kind, name.clone())).into_iter().flatten() {
            grants.entry(to.clone()).or_default().extend(what);
        }
        objects.insert(
            (kind, name),
            InspectedObject {
                owner: wanted.owner.clone(),
                grants,
            },
        );
    }
    let defaults = wanted
        .on_all
        .iter()
        .map(|(kind, grants)| ((wanted.owner.clone(), *kind), grants.clone()));
    let base = public();
    let is_public = name.as_str() == "public";
    let mut grants = wanted.grants.clone();
    if is_public {
        grants.extend(base.grants);
    }
    InspectedSchema {
        owner: if is_public {
            base.owner
        } else {
            wanted.owner.clone()
        },
        grants,
        objects,
        defaults: defaults.collect(),
    }
}

/// `kind place as who: statement` of each, to compare with.
pub fn script(plan: &Plan) -> Vec<String> {
    plan.steps.iter().flat_map(lines).collect()
}

fn lines(step: &Step) -> impl Iterator<Item = String> + '_ {
    let kind = match step.kind {
        StepKind::Ordinary => "",
        StepKind::Destructive => "! ",
        StepKind::Alone => "* ",
    };
    let place = step
        .database
        .as_ref()
        .map(|database| format!("[{database}] "))
        .unwrap_or_default();
    let who = step
        .as_role
        .as_ref()
        .map(|role| format!("({role}) "))
        .unwrap_or_default();
    step.statements
        .iter()
        .map(move |statement| format!("{kind}{place}{who}{statement}"))
}
