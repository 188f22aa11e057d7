//! What is planned for which difference.

use super::fixture::*;
use super::{Obstacle, plan};
use crate::provision::inspected::{Inspected, InspectedDatabase, InspectedObject, InspectedRole};
use crate::provision::step::Plan;
use crate::provision::wanted::{
    Grantee, Kind, MembershipOptions, Need, Privilege, SettingName, Wanted, WantedRole,
};
use std::collections::BTreeSet;

const V15: u32 = 150_018;
const V18: u32 = 180_004;

fn planned(wanted: &Wanted, found: &Inspected) -> Plan {
    plan(wanted, found).unwrap()
}

/// The plan for `orders()` on a cluster where it is settled but for what the closure changes.
fn after(version: u32, change: impl FnOnce(&mut Wanted, &mut Inspected)) -> Plan {
    let mut wanted = orders();
    let mut found = settled(&wanted, version);
    change(&mut wanted, &mut found);
    planned(&wanted, &found)
}

fn steps(version: u32, change: impl FnOnce(&mut Wanted, &mut Inspected)) -> Vec<String> {
    script(&after(version, change))
}

fn role_of<'a>(found: &'a mut Inspected, name: &str) -> &'a mut InspectedRole {
    found.roles.get_mut(&role(name)).unwrap()
}

fn orders_of(found: &mut Inspected) -> &mut InspectedDatabase {
    found.databases.get_mut(&database("orders")).unwrap()
}

fn app_of(found: &mut Inspected) -> &mut crate::provision::inspected::InspectedSchema {
    orders_of(found)
        .contents
        .as_mut()
        .unwrap()
        .schemas
        .get_mut(&schema("app"))
        .unwrap()
}

fn table(owner: &str) -> InspectedObject {
    InspectedObject {
        owner: role(owner),
        grants: grants([]),
    }
}

#[test]
fn nothing_is_planned_where_nothing_differs() {
    for version in VERSIONS {
        assert_eq!(after(version, |_, _| {}), Plan::default(), "{version}");
    }
}

#[test]
fn an_empty_cluster_is_set_up_in_an_order_that_runs() {
    let lines = script(&planned(&orders(), &cluster(V18)));
    let at = |line: &str| {
        lines
            .iter()
            .position(|l| l == line)
            .unwrap_or_else(|| panic!("no {line} in {lines:#?}"))
    };
    let order = [
        r#"CREATE ROLE "app" LOGIN CONNECTION LIMIT 5"#,
        r#"GRANT "rds_iam" TO "app" WITH ADMIN FALSE, INHERIT FALSE, SET FALSE"#,
        r#"ALTER ROLE "app" SET "statement_timeout" TO '60s'"#,
        r#"GRANT "app_owner" TO "dbproxy_provisioner" WITH INHERIT FALSE, SET TRUE"#,
        r#"* CREATE DATABASE "orders""#,
        r#"ALTER DATABASE "orders" OWNER TO "app_owner""#,
        r#"(app_owner) GRANT CONNECT ON DATABASE "orders" TO "dbproxy_provisioner""#,
        r#"(app_owner) REVOKE CONNECT, TEMPORARY ON DATABASE "orders" FROM PUBLIC"#,
        r#"ALTER ROLE "app" IN DATABASE "orders" SET "search_path" TO 'app', 'public'"#,
        r#"[orders] (app_owner) CREATE EXTENSION "pg_trgm""#,
        r#"[orders] (app_owner) CREATE SCHEMA "app""#,
        r#"[orders] (app_owner) ALTER DEFAULT PRIVILEGES IN SCHEMA "app" GRANT SELECT ON TABLES TO "app_ro""#,
        r#"REVOKE "app_owner" FROM "dbproxy_provisioner" GRANTED BY "dbproxy_provisioner""#,
    ];
    let places: Vec<usize> = order.into_iter().map(at).collect();
    assert!(places.is_sorted(), "{lines:#?}");
    assert_eq!(places.last(), Some(&(lines.len() - 1)));
    let before_16 = script(&planned(&orders(), &cluster(V15)));
    assert!(
        before_16.contains(&r#"GRANT "rds_iam" TO "app""#.to_owned()),
        "{before_16:#?}"
    );
    assert!(
        !before_16
            .iter()
            .any(|line| line.contains("INHERIT") || line.contains("GRANTED BY"))
    );
}

#[test]
fn until_14_the_public_schema_of_a_new_database_is_tried() {
    let lines = script(&planned(&orders(), &cluster(140_017)));
    assert!(
        lines.contains(&r#"[orders] REVOKE CREATE ON SCHEMA "public" FROM PUBLIC"#.to_owned()),
        "{lines:#?}"
    );
}

#[test]
fn the_public_schema_is_judged_by_its_privileges() {
    let open = |owner: &'static str| {
        move |_: &mut Wanted, found: &mut Inspected| {
            let mut old = public();
            old.owner = role(owner);
            old.grants = grants([(Grantee::Public, &[Privilege::Usage, Privilege::Create])]);
            orders_of(found)
                .contents
                .as_mut()
                .unwrap()
                .schemas
                .insert(schema("public"), old);
        }
    };
    let line = r#"[orders] (app_owner) REVOKE CREATE ON SCHEMA "public" FROM PUBLIC"#.to_owned();
    assert!(steps(V18, open("pg_database_owner")).contains(&line));
    let note = after(V18, open("postgres"));
    assert_eq!(note.steps, []);
    assert!(note.notes[0].contains(r#"belongs to "postgres""#), "{note:?}");
}

#[test]
fn renamed_roles_keep_what_they_have() {
    let lines = steps(V18, |wanted, _| {
        let old = wanted.roles.remove(&role("app")).unwrap();
        wanted.roles.insert(
            role("shop"),
            WantedRole {
                was: Some(role("app")),
                ..old
            },
        );
    });
    assert_eq!(lines, [r#"ALTER ROLE "app" RENAME TO "shop""#]);
}

#[test]
fn existing_roles_are_adopted_and_lose_their_password() {
    let plan = after(V18, |_, found| {
        let app = role_of(found, "app");
        app.marked = false;
        app.member_of.retain(|row| row.role != role("rds_iam"));
    });
    let lines = script(&plan);
    assert!(
        lines.contains(&r#"! ALTER ROLE "app" PASSWORD NULL"#.to_owned()),
        "{lines:?}"
    );
    assert!(plan.steps[0].title.starts_with("adopt db user \"app\""));
    let lines = steps(V18, |_, found| role_of(found, "app_ro").marked = false);
    assert_eq!(lines, [r#"COMMENT ON ROLE "app_ro" IS 'managed by dbproxy'"#]);
}

#[test]
fn roles_made_by_others_need_admin_since_16() {
    let foreign = |version: u32| {
        let mut found = settled(&orders(), version);
        role_of(&mut found, PROVISIONER)
            .member_of
            .retain(|row| row.role != role("app_ro"));
        role_of(&mut found, "app_ro").login = true;
        plan(&orders(), &found)
    };
    assert!(foreign(V15).is_ok());
    let [Obstacle::NotAdministrator { role, .. }] = &foreign(V18).unwrap_err()[..] else {
        panic!()
    };
    assert_eq!(role, "app_ro");
}

#[test]
fn powers_are_taken_where_that_is_possible() {
    let plan = after(V18, |_, found| {
        let app = role_of(found, "app");
        (app.create_role, app.create_db, app.replication, app.inherit) = (true, true, true, false);
        app.connection_limit = None;
    });
    let wanted = [
        r#"ALTER ROLE "app" INHERIT CONNECTION LIMIT 5"#,
        r#"! ALTER ROLE "app" NOCREATEROLE NOCREATEDB"#,
    ];
    assert_eq!(script(&plan), wanted);
    assert!(plan.notes[0].contains("NOREPLICATION"), "{plan:?}");
    let plan = after(V18, |_, found| {
        let app = role_of(found, "app");
        (app.superuser, app.marked, app.login) = (true, false, false);
    });
    assert_eq!(plan.steps, [], "superusers cannot be altered");
}

#[test]
fn memberships_differ_by_grantor() {
    let admin = MembershipOptions { admin: true, ..FULL };
    let change = |grantor: &'static str, options| {
        move |_: &mut Wanted, found: &mut Inspected| {
            role_of(found, "app").member_of[0] = row("app_rw", options, grantor);
        }
    };
    let bare = change(PROVISIONER, BARE);
    assert_eq!(
        steps(V18, bare),
        [r#"GRANT "app_rw" TO "app" WITH ADMIN FALSE, INHERIT TRUE, SET TRUE"#]
    );
    let own = r#"! REVOKE ADMIN OPTION FOR "app_rw" FROM "app" GRANTED BY "dbproxy_provisioner""#;
    assert_eq!(steps(V18, change(PROVISIONER, admin)), [own]);
    let of_others = after(V18, change("postgres", admin));
    assert_eq!(
        (of_others.steps.len(), of_others.notes.len()),
        (0, 1),
        "{of_others:?}"
    );
    assert_eq!(
        steps(V18, change("postgres", FULL)),
        [""; 0],
        "what others gave is enough"
    );
    let beside = steps(V18, change("postgres", BARE));
    assert_eq!(
        beside,
        [r#"GRANT "app_rw" TO "app" WITH ADMIN FALSE, INHERIT TRUE, SET TRUE"#]
    );
    assert_eq!(
        steps(V15, change("postgres", admin)),
        [r#"! REVOKE ADMIN OPTION FOR "app_rw" FROM "app""#]
    );
}

#[test]
fn memberships_nobody_wants_are_revoked_by_who_gave_them() {
    let extra = |grantor: &'static str| {
        move |_: &mut Wanted, found: &mut Inspected| {
            role_of(found, "app")
                .member_of
                .push(row("app_owner", FULL, grantor));
        }
    };
    let revoke = r#"! REVOKE "app_owner" FROM "app""#;
    assert_eq!(
        steps(V18, extra(PROVISIONER)),
        [format!(r#"{revoke} GRANTED BY "dbproxy_provisioner""#)]
    );
    assert_eq!(steps(V15, extra("postgres")), [revoke]);
    let of_others = after(V18, extra("postgres"));
    assert_eq!(of_others.steps, []);
    assert!(
        of_others.notes[0].contains("by a grant of \"postgres\""),
        "{of_others:?}"
    );
    // It has given its membership on, so PostgreSQL would refuse.
    let given_on = after(V18, |wanted, found| {
        extra(PROVISIONER)(wanted, found);
        role_of(found, "migrator")
            .member_of
            .push(row("app_owner", FULL, "app"));
    });
    assert!(
        script(&given_on).is_empty() && given_on.notes[0].contains("given that on"),
        "{given_on:?}"
    );
}

#[test]
fn settings_are_set_and_reset() {
    let lines = steps(V18, |wanted, found| {
        let app = role_of(found, "app");
        app.settings.insert(
            SettingName {
                database: None,
                name: "TimeZone".to_owned(),
            },
            "UTC".to_owned(),
        );
        app.settings.retain(|key, _| key.database.is_none());
        app.settings.insert(
            SettingName {
                database: None,
                name: "Statement_Timeout".to_owned(),
            },
            "60s".to_owned(),
        );
        wanted.roles.get_mut(&role("watch")).unwrap().settings.insert(
            SettingName {
                database: Some(database("orders")),
                name: "role".to_owned(),
            },
            "it's".to_owned(),
        );
    });
    let expected = [
        r#"ALTER ROLE "app" RESET "timezone""#,
        r#"ALTER ROLE "app" IN DATABASE "orders" SET "search_path" TO 'app', 'public'"#,
        r#"ALTER ROLE "watch" IN DATABASE "orders" SET "role" TO 'it''s'"#,
    ];
    assert_eq!(lines, expected);
}

#[test]
fn what_was_lent_and_not_given_back_is_taken_back() {
    let left = |_: &mut Wanted, found: &mut Inspected| {
        role_of(found, PROVISIONER)
            .member_of
            .push(row("app_owner", FULL, PROVISIONER));
    };
    let back = r#"REVOKE "app_owner" FROM "dbproxy_provisioner""#;
    assert_eq!(steps(V15, left), [back]);
    assert_eq!(
        steps(V18, left),
        [format!(r#"{back} GRANTED BY "dbproxy_provisioner""#)]
    );
}

#[test]
fn who_lives_by_public_is_named() {
    let open = |version, bystander: bool| {
        after(version, |_, found| {
            let everybody = [Privilege::Connect].into();
            orders_of(found).grants.insert(Grantee::Public, everybody);
            if bystander {
                found.roles.insert(role("old_app"), login());
            }
        })
    };
    assert!(
        script(&open(V18, false))
            .contains(&r#"(app_owner) REVOKE CONNECT ON DATABASE "orders" FROM PUBLIC"#.to_owned())
    );
    let plan = open(V18, true);
    assert!(
        script(&plan)
            .contains(&r#"! (app_owner) REVOKE CONNECT ON DATABASE "orders" FROM PUBLIC"#.to_owned())
    );
    assert!(
        plan.steps
            .iter()
            .any(|step| step.title.ends_with("from \"old_app\"")),
        "{plan:?}"
    );
}

#[test]
fn objects_get_their_privileges_by_list_or_all_at_once() {
    let tables = |extensions: bool, foreign: bool| {
        let plan = after(V18, |wanted, found| {
            if !extensions {
                wanted
                    .databases
                    .get_mut(&database("orders"))
                    .unwrap()
                    .extensions
                    .clear();
                orders_of(found).contents.as_mut().unwrap().extensions.clear();
            }
            for name in ["two", "three"] {
                app_of(found)
                    .objects
                    .insert((Kind::Table, name.to_owned()), table("app_owner"));
            }
            if foreign {
                app_of(found)
                    .objects
                    .insert((Kind::Table, "theirs".to_owned()), table("postgres"));
            }
        });
        let line = script(&plan)
            .into_iter()
            .find(|line| line.contains("GRANT SELECT ON") && line.contains("app_ro"));
        (line.unwrap(), plan.notes)
    };
    let (line, notes) = tables(false, false);
    assert_eq!(
        line,
        r#"[orders] (app_owner) GRANT SELECT ON ALL TABLES IN SCHEMA "app" TO "app_ro""#
    );
    assert!(notes.is_empty());
    let list = r#"[orders] (app_owner) GRANT SELECT ON TABLE "app"."three", "app"."two" TO "app_ro""#;
    assert_eq!(
        tables(true, false).0,
        list,
        "extensions have objects of their own"
    );
    let (line, notes) = tables(false, true);
    assert_eq!(line, list, "not all belong to the owner");
    assert!(notes[0].contains(r#"belong to "postgres""#), "{notes:?}");
}

#[test]
fn what_was_given_by_hand_is_taken_from_managed_roles_only() {
    let lines = steps(V18, |_, found| {
        found.roles.insert(role("other"), login());
        let app = app_of(found);
        let one = app.objects.get_mut(&(Kind::Table, "one".to_owned())).unwrap();
        one.grants
            .entry(to("app_ro"))
            .or_default()
            .insert(Privilege::Delete);
        one.grants.insert(to("other"), [Privilege::Select].into());
        app.grants.insert(to("other"), [Privilege::Usage].into());
        let function = app
            .objects
            .get_mut(&(Kind::Function, "f(integer)".to_owned()))
            .unwrap();
        function
            .grants
            .insert(Grantee::Public, [Privilege::Execute].into());
        app.defaults
            .entry((role("app_owner"), Kind::Table))
            .or_default()
            .entry(to("app_ro"))
            .or_default()
            .insert(Privilege::Truncate);
    });
    let expected = [
        r#"! [orders] (app_owner) REVOKE DELETE ON TABLE "app"."one" FROM "app_ro""#,
        r#"! [orders] (app_owner) ALTER DEFAULT PRIVILEGES IN SCHEMA "app" REVOKE TRUNCATE ON TABLES FROM "app_ro""#,
    ];
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.starts_with('!'))
            .collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );
}

#[test]
fn access_goes_when_schema_or_database_leave_the_manifest() {
    let lines = steps(V18, |wanted, _| {
        wanted
            .databases
            .get_mut(&database("orders"))
            .unwrap()
            .schemas
            .clear();
    });
    assert!(
        lines.contains(&r#"! [orders] (app_owner) REVOKE USAGE ON SCHEMA "app" FROM "app_ro""#.to_owned())
    );
    assert!(
        lines.contains(
            &r#"! [orders] (app_owner) REVOKE SELECT ON TABLE "app"."one" FROM "app_ro""#.to_owned()
        )
    );
    let lines = steps(V18, |wanted, _| wanted.databases.clear());
    assert!(lines.contains(&r#"! (app_owner) REVOKE CONNECT ON DATABASE "orders" FROM "app_ro""#.to_owned()));
    assert!(
        !lines
            .iter()
            .any(|line| line.contains("DROP DATABASE") || line.contains("DROP SCHEMA"))
    );
}

#[test]
fn roles_that_left_the_manifest_are_dropped() {
    let plan = after(V18, |wanted, found| {
        wanted.roles.remove(&role("migrator"));
        let places = [None, Some(database("orders")), Some(database("postgres"))];
        found.dependencies.insert(role("migrator"), places.into());
        app_of(found)
            .objects
            .insert((Kind::Table, "its".to_owned()), table("migrator"));
        found.roles.insert(role("unmarked"), login());
    });
    let expected = [
        r#"! ALTER ROLE "migrator" NOLOGIN PASSWORD NULL"#,
        r#"! REVOKE "rds_iam" FROM "migrator" GRANTED BY "dbproxy_provisioner""#,
        r#"GRANT "app_owner" TO "dbproxy_provisioner" WITH INHERIT TRUE, SET TRUE"#,
        r#"GRANT "migrator" TO "dbproxy_provisioner" WITH INHERIT TRUE, SET TRUE"#,
        r#"! [orders] REASSIGN OWNED BY "migrator" TO "app_owner""#,
        r#"! [orders] DROP OWNED BY "migrator""#,
        r#"! [postgres] REASSIGN OWNED BY "migrator" TO "dbproxy_provisioner""#,
        r#"! [postgres] DROP OWNED BY "migrator""#,
        r#"! REASSIGN OWNED BY "migrator" TO "dbproxy_provisioner""#,
        r#"! DROP OWNED BY "migrator""#,
        r#"! [orders] (app_owner) GRANT SELECT ON TABLE "app"."its" TO "app_ro""#,
        r#"! [orders] (app_owner) GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "app"."its" TO "app_rw""#,
        r#"REVOKE "app_owner" FROM "dbproxy_provisioner" GRANTED BY "dbproxy_provisioner""#,
        r#"! DROP ROLE "migrator""#,
    ];
    assert_eq!(script(&plan), expected);
}

#[test]
fn roles_that_cannot_be_dropped_stay_with_a_note() {
    let kept = |change: fn(&mut Wanted, &mut Inspected)| {
        let plan = after(V18, |wanted, found| {
            wanted.roles.remove(&role("watch"));
            change(wanted, found);
        });
        assert!(
            !script(&plan).iter().any(|line| line.contains("DROP")),
            "{plan:?}"
        );
        assert!(
            plan.notes[0].starts_with("\"watch\" is no longer declared, but not dropped"),
            "{plan:?}"
        );
    };
    kept(|_, found| role_of(found, "watch").superuser = true);
    kept(|_, found| {
        role_of(found, PROVISIONER)
            .member_of
            .retain(|row| row.role != role("watch"));
    });
    kept(|_, found| {
        found
            .dependencies
            .insert(role("watch"), [Some(database("gone"))].into());
    });
    kept(|_, found| {
        let postgres = found.databases.get_mut(&database("postgres")).unwrap();
        postgres.grants.insert(to("watch"), [Privilege::Create].into());
    });
}

#[test]
fn nobody_is_locked_out() {
    let refused = |version, change: fn(&mut Wanted, &mut Inspected)| {
        let (mut wanted, mut found) = (orders(), cluster(version));
        found.roles.insert(role("dbadmin"), login());
        wanted.break_glass.insert(role("dbadmin"));
        change(&mut wanted, &mut found);
        plan(&wanted, &found).err().unwrap_or_default()
    };
    let by_password = |_: &mut Wanted, found: &mut Inspected| {
        role_of(found, PROVISIONER)
            .member_of
            .retain(|row| row.role != role("rds_iam"));
        role_of(found, PROVISIONER)
            .member_of
            .push(row("rds_iam_admin", FULL, "postgres"));
    };
    let is_by_password = |obstacle: &Obstacle| matches!(obstacle, Obstacle::ProvisionerByPassword { .. });
    assert!(refused(V18, by_password).iter().any(is_by_password));
    assert!(!refused(V15, by_password).iter().any(is_by_password));
    assert_eq!(refused(V18, |_, _| {}), []);
    assert!(matches!(
        refused(V18, |_, found| {
            found.roles.remove(&role("dbadmin"));
        })[..],
        [Obstacle::BreakGlassCannotLogIn { .. }]
    ));
    // It created a group of which a user by IAM becomes a member, the other way round, and through ADMIN alone.
    let path = refused(V18, |wanted, found| {
        found.roles.insert(role("watch"), login());
        role_of(found, PROVISIONER)
            .member_of
            .push(row("watch", ADMIN, "postgres"));
        role_of(found, "dbadmin").member_of = vec![row("watch", ADMIN, "postgres")];
        assert!(wanted.roles.contains_key(&role("watch")));
    });
    let [Obstacle::BreakGlassByIam { path, .. }] = &path[..] else {
        panic!("{path:?}")
    };
    assert_eq!(path, "dbadmin -> watch -> rds_iam");
}

#[test]
fn break_glass_users_may_enter_what_public_may_not() {
    let lines = steps(V18, |wanted, found| {
        found.roles.insert(role("dbadmin"), login());
        wanted.break_glass.insert(role("dbadmin"));
    });
    assert!(
        lines.contains(&r#"(app_owner) GRANT CONNECT ON DATABASE "orders" TO "dbadmin""#.to_owned()),
        "{lines:?}"
    );
}

#[test]
fn obstacles_are_told_together() {
    let mut wanted = orders();
    let mut found = cluster(V18);
    found.server.provisioner_may_create_roles = false;
    found.server.provisioner_may_create_databases = false;
    let orders = wanted.databases.get_mut(&database("orders")).unwrap();
    orders.extensions = [
        ("nope".to_owned(), Need::Required),
        ("pgaudit".to_owned(), Need::Required),
    ]
    .into();
    orders.grants.insert(to("nobody"), [Privilege::Connect].into());
    wanted
        .roles
        .get_mut(&role("app"))
        .unwrap()
        .member_of
        .insert(role("no_group"), FULL);
    wanted.roles.insert(role(PROVISIONER), WantedRole::default());
    let told: BTreeSet<String> = plan(&wanted, &found)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(told.len(), 7, "{told:#?}");
    assert!(told.iter().all(|text| !text.contains('\n')));
}

#[test]
fn extensions_that_may_be_missing_are_notes() {
    let plan = after(V18, |wanted, _| {
        let orders = wanted.databases.get_mut(&database("orders")).unwrap();
        orders
            .extensions
            .insert("pgaudit".to_owned(), Need::WhereAvailable);
        orders.extensions.insert("nope".to_owned(), Need::WhereAvailable);
    });
    assert_eq!((plan.steps.len(), plan.notes.len()), (0, 2), "{plan:?}");
}

/// While it was not by IAM it may have been given one, to which a later revocation would open the door again.
#[test]
fn whoever_comes_back_to_iam_loses_its_password() {
    for version in [V15, V18] {
        let plan = after(version, |_, found| {
            let app = role_of(found, "app");
            app.member_of.retain(|row| row.role != role("rds_iam"));
        });
        let first = &script(&plan)[0];
        assert_eq!(first, r#"! ALTER ROLE "app" PASSWORD NULL"#);
    }
}

#[test]
fn what_was_given_for_a_time_is_taken_back_without_asking() {
    for version in [V15, V18] {
        let lines = steps(version, |wanted, _| {
            let app = wanted.roles.get_mut(&role("app")).unwrap();
            app.member_of.remove(&role("app_rw"));
            wanted.ended.insert(role("app"), [role("app_rw")].into());
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(r#"REVOKE "app_rw" FROM "app""#), "{lines:?}");
    }
    // Of another role it is a question still.
    let lines = steps(V18, |wanted, _| {
        let app = wanted.roles.get_mut(&role("app")).unwrap();
        app.member_of.remove(&role("app_rw"));
        wanted.ended.insert(role("app"), [role("app_ro")].into());
    });
    assert!(lines[0].starts_with("! REVOKE"), "{lines:?}");
}

#[test]
fn a_database_that_lets_nobody_in_is_not_one_that_is_missing() {
    let wanted = orders();
    let mut found = settled(&wanted, V18);
    found.databases.remove(&database("orders"));
    found.closed.insert(database("orders"));
    let told = plan(&wanted, &found).unwrap_err();
    assert!(matches!(&told[..], [Obstacle::Closed { .. }]), "{told:?}");
}

/// A member of a superuser can do all that a superuser can.
#[test]
fn nobody_is_told_to_make_the_provisioner_a_superuser() {
    let wanted = orders();
    let mut found = settled(&wanted, V18);
    orders_of(&mut found).owner = role("postgres");
    let told = plan(&wanted, &found).unwrap_err();
    assert!(matches!(&told[..], [Obstacle::OfSuperuser { .. }]), "{told:?}");
    assert!(!told[0].to_string().contains("GRANT"), "{}", told[0]);
}

#[test]
fn a_former_name_that_nobody_had_is_noted() {
    let plan = after(V18, |wanted, found| {
        found.roles.remove(&role("app"));
        wanted.roles.get_mut(&role("app")).unwrap().was = Some(role("aap"));
    });
    assert!(
        plan.notes[0].contains("there is no role \"aap\""),
        "{:?}",
        plan.notes
    );
}
