//! What the catalogs say.

use super::super::{Facts, Finding, Mend, database};
use super::{kinds, manifest, name, now, told};
use crate::provision::inspected::{Inspected, InspectedRole};
use crate::provision::plan::fixture::{
    ADMIN, BARE, FULL, PROVISIONER, VERSIONS, login, marked, role, row, schema, settled, to,
};
use crate::provision::plan::sketch;
use crate::provision::wanted::{Grantee, Kind, Privilege, SettingName};

const NEW: u32 = 160_010;

/// After a change of somebody's.
fn after(version: u32, change: impl FnOnce(&mut Inspected)) -> Vec<Finding> {
    let manifest = manifest();
    let (name, cluster) = (name(), &manifest.clusters[&name()]);
    let wanted = cluster.wanted(now());
    let mut inspected = settled(&wanted, version);
    for (name, superuser) in [("known", false), ("sa", true)] {
        let known = InspectedRole {
            superuser,
            member_of: vec![row("rds_iam", FULL, "postgres")],
            ..login()
        };
        inspected.roles.insert(role(name), known);
    }
    change(&mut inspected);
    let (plan, obstacles) = sketch(&wanted, &inspected);
    database(&Facts {
        name: &name,
        cluster,
        wanted: &wanted,
        inspected: &inspected,
        plan: &plan,
        obstacles: &obstacles,
    })
}

fn found<'i>(inspected: &'i mut Inspected, name: &str) -> &'i mut InspectedRole {
    inspected.roles.get_mut(&role(name)).unwrap()
}

fn app(inspected: &mut Inspected) -> &mut crate::provision::inspected::InspectedDatabase {
    let app = crate::provision::plan::fixture::database("app");
    inspected.databases.get_mut(&app).unwrap()
}

#[test]
fn a_settled_cluster_has_not_drifted() {
    for version in VERSIONS {
        told(&after(version, |_| {}), &[]);
    }
}

#[test]
fn what_is_missing_is_told_once_without_what_follows_from_it() {
    let findings = after(NEW, |all| {
        all.roles.remove(&role("writer"));
        app(all).contents.as_mut().unwrap().schemas.remove(&schema("s"));
        app(all).contents.as_mut().unwrap().extensions.clear();
    });
    let names = kinds(&findings);
    for kind in ["missing_role", "missing_schema", "missing_extension"] {
        assert_eq!(
            names.iter().filter(|name| **name == kind).count(),
            1,
            "{findings:#?}"
        );
    }
    assert_eq!(findings.len(), 3, "{findings:#?}");
    told(
        &after(NEW, |all| {
            all.databases.clear();
        }),
        &["missing_database database \"app\""],
    );
    let findings = after(NEW, |all| {
        found(all, "writer")
            .member_of
            .retain(|row| row.role == role("rds_iam"));
    });
    told(&findings, &["missing_membership db user \"writer\""]);
    assert_eq!(findings[0].mend, Mend::Command("dbproxy apply c".to_owned()));
}

#[test]
fn what_somebody_changed_by_hand_is_told() {
    let findings = after(NEW, |all| {
        found(all, "writer").create_role = true;
        found(all, "writer").connection_limit = None;
        found(all, "maker").marked = false;
        app(all).connection_limit = None;
        let setting = |name: &str| SettingName {
            database: None,
            name: name.to_owned(),
        };
        found(all, "writer").settings = [(setting("work_mem"), "1GB".to_owned())].into();
    });
    let expected = [
        "role_changed db user \"writer\"",
        "role_changed db user \"writer\"",
        "setting_changed database \"app\"",
        "setting_changed db user \"writer\"",
        "setting_changed db user \"writer\"",
        "unadopted_role db user \"maker\"",
    ];
    let mut lines: Vec<_> = findings
        .iter()
        .map(|one| format!("{} {}", one.kind.as_str(), one.subject))
        .collect();
    lines.sort();
    assert_eq!(lines, expected, "{findings:#?}");
    // One step takes something away, so all wait for leave.
    assert!(
        findings
            .iter()
            .all(|one| one.mend == Mend::Command("dbproxy apply c --allow-destructive".to_owned()))
    );
}

#[test]
fn privileges_and_owners_are_told_apart() {
    let public = |privilege| {
        move |all: &mut Inspected| {
            let grants = &mut app(all).grants;
            grants.entry(Grantee::Public).or_default().insert(privilege);
        }
    };
    let findings = after(NEW, public(Privilege::Connect));
    told(&findings, &["public_privilege PUBLIC"]);
    assert_eq!(findings[0].database.as_deref(), Some("app"));
    assert!(
        findings[0]
            .what
            .contains("everybody has CONNECT on DATABASE \"app\""),
        "{findings:?}"
    );
    let findings = after(NEW, |all| {
        let s = app(all)
            .contents
            .as_mut()
            .unwrap()
            .schemas
            .get_mut(&schema("s"))
            .unwrap();
        let one = (Kind::Table, "one".to_owned());
        let table = s.objects.get_mut(&one).unwrap();
        table
            .grants
            .entry(to("app_ro"))
            .or_default()
            .insert(Privilege::Delete);
        table
            .grants
            .get_mut(&to("app_rw"))
            .unwrap()
            .remove(&Privilege::Select);
        let to_come = s.defaults.get_mut(&(role("app_owner"), Kind::Table)).unwrap();
        to_come.get_mut(&to("app_ro")).unwrap().insert(Privilege::Update);
    });
    told(
        &findings,
        &[
            "extra_privilege db role \"app_ro\"",
            "extra_privilege db role \"app_ro\"",
            "missing_privilege db role \"app_rw\"",
        ],
    );
    assert!(
        findings[1]
            .what
            .contains("what will be created: TABLES IN SCHEMA \"s\""),
        "{findings:#?}"
    );
    let findings = after(NEW, |all| app(all).owner = role(PROVISIONER));
    assert_eq!(kinds(&findings)[0], "owner_changed", "{findings:#?}");
}

#[test]
fn memberships_are_told_whoever_can_take_them() {
    let join = |who: &'static str, of: &'static str, options, grantor: &'static str| {
        move |all: &mut Inspected| found(all, who).member_of.push(row(of, options, grantor))
    };
    for version in VERSIONS {
        let findings = after(version, join("writer", "app_owner", FULL, PROVISIONER));
        told(&findings, &["extra_membership db user \"writer\""]);
    }
    // Of somebody else's making: only that one can take it back.
    let findings = after(NEW, join("writer", "app_owner", FULL, "postgres"));
    told(&findings, &["extra_membership role \"writer\""]);
    let revoke = "REVOKE \"app_owner\" FROM \"writer\" GRANTED BY \"postgres\";";
    assert_eq!(findings[0].mend, Mend::Sql(revoke.to_owned()));
    let findings = after(NEW, join("writer", "app_rw", ADMIN, PROVISIONER));
    told(&findings, &["extra_membership db user \"writer\""]);
    assert!(findings[0].what.contains("ADMIN OPTION"), "{findings:?}");
    // What a broken run left with the provisioner.
    let findings = after(NEW, join(PROVISIONER, "app_owner", BARE, PROVISIONER));
    told(
        &findings,
        &["extra_membership provisioner \"dbproxy_provisioner\""],
    );
    // But what a run lends itself is nobody's affair.
    let findings = after(NEW, |all| {
        app(all)
            .grants
            .entry(Grantee::Public)
            .or_default()
            .insert(Privilege::Temporary);
    });
    assert_eq!(kinds(&findings), ["public_privilege"]);
}

#[test]
fn others_are_told_where_they_touch_what_is_managed() {
    let findings = after(NEW, |all| {
        let stranger = InspectedRole {
            member_of: vec![row("app_rw", FULL, "postgres")],
            ..login()
        };
        all.roles.insert(role("stranger"), stranger);
        all.roles.insert(role("gone"), marked(true));
        found(all, "maker").bypass_rls = true;
    });
    let expected = [
        "excess_power role \"maker\"",
        "foreign_member role \"stranger\"",
        "role_left_manifest role \"gone\"",
    ];
    let mut lines: Vec<_> = findings
        .iter()
        .map(|one| format!("{} {}", one.kind.as_str(), one.subject))
        .collect();
    lines.sort();
    assert_eq!(lines, expected, "{findings:#?}");
}

#[test]
fn who_may_only_give_a_membership_can_take_it_and_is_told() {
    let eve = |of: &'static str, also: &'static [&'static str]| {
        move |all: &mut Inspected| {
            let mut eve = InspectedRole {
                member_of: vec![row(of, ADMIN, "postgres")],
                ..login()
            };
            eve.member_of
                .extend(also.iter().map(|of| row(of, FULL, "postgres")));
            all.roles.insert(role("eve"), eve);
            all.roles.insert(role("rds_superuser"), InspectedRole::default());
        }
    };
    let findings = after(NEW, eve("app_owner", &[]));
    told(&findings, &["foreign_member role \"eve\""]);
    assert!(findings[0].what.contains("(ADMIN OPTION)"), "{findings:?}");
    let revoke = "REVOKE \"app_owner\" FROM \"eve\" GRANTED BY \"postgres\";";
    assert_eq!(findings[0].mend, Mend::Sql(revoke.to_owned()));
    told(
        &after(NEW, eve("app_owner", &["app_ro"])),
        &["foreign_member role \"eve\""; 2],
    );
    // RDS's administrators have it of what they created.
    told(&after(NEW, eve("app_owner", &["rds_superuser"])), &[]);
    for version in VERSIONS {
        // Whoever can be the provisioner can be everybody: by the provisioner's own path to rds_iam, one of IAM too.
        let findings = after(version, |all| {
            let mut eve = login();
            eve.member_of.push(row(PROVISIONER, FULL, "postgres"));
            all.roles.insert(role("eve"), eve);
        });
        let expected = [
            "unmanaged_rds_iam_user db user \"eve\"",
            "foreign_member role \"eve\"",
        ];
        told(&findings, &expected);
        let findings = after(version, |all| {
            found(all, "writer")
                .member_of
                .push(row(PROVISIONER, FULL, "postgres"));
        });
        assert!(kinds(&findings).contains(&"extra_membership"), "{findings:#?}");
    }
}

#[test]
fn what_owners_give_anywhere_is_told_and_mended() {
    let everywhere = |whom: Grantee, of: &'static str| {
        move |all: &mut Inspected| {
            let contents = app(all).contents.as_mut().unwrap();
            let grants = [(whom, [Privilege::Select].into())].into();
            contents.defaults.insert((role(of), Kind::Table), grants);
        }
    };
    for version in VERSIONS {
        let findings = after(version, everywhere(Grantee::Public, "app_owner"));
        told(&findings, &["public_privilege PUBLIC"]);
        let command = "dbproxy apply c --allow-destructive".to_owned();
        assert_eq!(findings[0].mend, Mend::Command(command));
        let words = "SELECT on what will be created: TABLES in any schema";
        assert!(findings[0].what.contains(words), "{findings:?}");
        // Of others it is theirs to take.
        let findings = after(version, everywhere(to("app_ro"), "postgres"));
        told(&findings, &["extra_privilege db role \"app_ro\""]);
        let sql = "ALTER DEFAULT PRIVILEGES FOR ROLE \"postgres\" REVOKE SELECT ON TABLES FROM \"app_ro\";";
        assert_eq!(findings[0].mend, Mend::Sql(sql.to_owned()));
        told(&after(version, everywhere(to("known"), "app_owner")), &[]);
    }
}

#[test]
fn what_others_let_everybody_and_managed_roles_do_is_told() {
    use crate::provision::inspected::InspectedObject;
    let given = |at: &'static str, whom: Grantee, what: Privilege| {
        move |all: &mut Inspected| {
            let contents = app(all).contents.as_mut().unwrap();
            let schema = contents.schemas.get_mut(&schema(at)).unwrap();
            let table = InspectedObject {
                owner: role("postgres"),
                grants: [(whom, [what].into())].into(),
            };
            schema.objects.insert((Kind::Table, "theirs".to_owned()), table);
        }
    };
    let findings = after(NEW, given("s", Grantee::Public, Privilege::Insert));
    told(&findings, &["public_privilege PUBLIC"]);
    let revoke = "REVOKE INSERT ON TABLE \"s\".\"theirs\" FROM PUBLIC;".to_owned();
    assert_eq!(findings[0].mend, Mend::Sql(revoke));
    assert_eq!(findings[0].database.as_deref(), Some("app"));
    let findings = after(NEW, given("s", to("app_ro"), Privilege::Insert));
    told(&findings, &["extra_privilege db role \"app_ro\""]);
    // What the manifest gives, what strangers have, and PUBLIC where the manifest says nothing.
    told(&after(NEW, given("s", to("app_ro"), Privilege::Select)), &[]);
    told(&after(NEW, given("s", to("known"), Privilege::Insert)), &[]);
    told(
        &after(NEW, given("public", Grantee::Public, Privilege::Select)),
        &[],
    );
    // A schema, a database, what they will create, and what was given on.
    let findings = after(NEW, |all| {
        let contents = app(all).contents.as_mut().unwrap();
        let public = contents.schemas.get_mut(&schema("public")).unwrap();
        public.owner = role("postgres");
        public
            .grants
            .entry(Grantee::Public)
            .or_default()
            .insert(Privilege::Create);
    });
    told(&findings, &["public_privilege PUBLIC"]);
    let findings = after(NEW, |all| {
        let postgres = crate::provision::plan::fixture::database("postgres");
        let theirs = all.databases.get_mut(&postgres).unwrap();
        theirs.grants.insert(to("writer"), [Privilege::Create].into());
    });
    told(&findings, &["extra_privilege db user \"writer\""]);
    let findings = after(NEW, |all| {
        let contents = app(all).contents.as_mut().unwrap();
        let s = contents.schemas.get_mut(&schema("s")).unwrap();
        let grants = [(Grantee::Public, [Privilege::Select].into())].into();
        s.defaults.insert((role("postgres"), Kind::Table), grants);
        contents.given_on = [
            (role("maker"), to("writer")),
            (role("maker"), to("known")),
            (role("known"), Grantee::Public),
        ]
        .into();
    });
    let expected = [
        "public_privilege PUBLIC",
        "public_privilege PUBLIC",
        "extra_privilege db user \"writer\"",
    ];
    told(&findings, &expected);
}

#[test]
fn who_reaches_rds_iam_is_told() {
    let stranger = |superuser| {
        move |all: &mut Inspected| {
            let stranger = InspectedRole {
                superuser,
                member_of: vec![row("rds_iam", FULL, "postgres")],
                ..login()
            };
            all.roles.insert(role("stranger"), stranger);
        }
    };
    told(
        &after(NEW, stranger(false)),
        &["unmanaged_rds_iam_user db user \"stranger\""],
    );
    told(
        &after(NEW, stranger(true)),
        &["password_user_reaches_rds_iam db user \"stranger\""],
    );
    // Since PostgreSQL 16 whoever creates a role is a member of it.
    let findings = after(NEW, |all| {
        let master = InspectedRole {
            member_of: vec![
                row("rds_superuser", FULL, "postgres"),
                row("writer", ADMIN, "postgres"),
            ],
            ..login()
        };
        all.roles.insert(role("rds_superuser"), InspectedRole::default());
        all.roles.insert(role("master"), master);
    });
    told(&findings, &["password_user_reaches_rds_iam db user \"master\""]);
    let revoke = "REVOKE \"writer\" FROM \"master\" GRANTED BY \"postgres\";";
    assert_eq!(findings[0].mend, Mend::Sql(revoke.to_owned()));
    // rds_iam = false: by itself, or through somebody.
    let findings = after(NEW, |all| {
        found(all, "teller")
            .member_of
            .push(row("rds_iam", BARE, PROVISIONER));
    });
    told(&findings, &["password_user_reaches_rds_iam db user \"teller\""]);
    let findings = after(150_018, |all| {
        let mut group = login();
        group.login = false;
        group.member_of.push(row("rds_iam", FULL, "postgres"));
        all.roles.insert(role("group"), group);
        found(all, "teller")
            .member_of
            .push(row("group", FULL, PROVISIONER));
    });
    assert_eq!(
        kinds(&findings),
        ["password_user_reaches_rds_iam", "extra_membership"],
        "{findings:#?}"
    );
    assert!(
        findings[0].what.ends_with("teller -> group -> rds_iam"),
        "{findings:?}"
    );
}

#[test]
fn what_stands_in_the_way_of_apply_is_told_with_the_rest() {
    let findings = after(NEW, |all| {
        all.server.available_extensions.clear();
        app(all).contents.as_mut().unwrap().extensions.clear();
        app(all).connection_limit = None;
    });
    told(
        &findings,
        &["apply_blocked dbproxy apply", "setting_changed database \"app\""],
    );
}

#[test]
fn a_former_name_is_told() {
    let text = super::MANIFEST.replace(
        "[clusters.c.users.writer]",
        "[clusters.c.users.writer]\nwas = 'scribe'",
    );
    let manifest = crate::provision::manifest::read(&text, now()).unwrap();
    let cluster = &manifest.clusters[&name()];
    let wanted = cluster.wanted(now());
    let mut inspected = settled(&wanted, NEW);
    let scribe = inspected.roles.remove(&role("writer")).unwrap();
    inspected.roles.insert(role("scribe"), scribe);
    for row in inspected.roles.values_mut().flat_map(|role| &mut role.member_of) {
        if row.role == role("writer") {
            row.role = role("scribe");
        }
    }
    let (plan, obstacles) = sketch(&wanted, &inspected);
    let facts = Facts {
        name: &name(),
        cluster,
        wanted: &wanted,
        inspected: &inspected,
        plan: &plan,
        obstacles: &obstacles,
    };
    told(&database(&facts), &["former_name db user \"writer\""]);
}

#[test]
fn the_provisioner_itself_is_looked_at() {
    for version in VERSIONS {
        let findings = after(version, |all| found(all, PROVISIONER).create_role = false);
        let own: Vec<&Finding> = findings
            .iter()
            .filter(|one| one.kind == super::Kind::ProvisionerChanged)
            .collect();
        assert!(own[0].what.contains("lacks CREATEROLE"), "{own:?}");
        assert_eq!(
            own[0].mend,
            Mend::Command("dbproxy bootstrap c --as MASTER_USER".to_owned())
        );
        told(
            &after(version, |all| found(all, PROVISIONER).superuser = true),
            &["provisioner_changed db user \"dbproxy_provisioner\""],
        );
        let given = after(version, |all| {
            found(all, PROVISIONER)
                .member_of
                .push(row("app_owner", FULL, "postgres"));
        });
        told(&given, &["provisioner_changed db user \"dbproxy_provisioner\""]);
        // What whoever creates a role has since PostgreSQL 16.
        if version >= 160_000 {
            told(
                &after(version, |all| {
                    found(all, PROVISIONER)
                        .member_of
                        .push(row("app_ro", ADMIN, "postgres"));
                }),
                &[],
            );
        }
    }
}
