//! What an administrator does of each kind, on servers of each kind.

use super::super::fixture::{cluster, database, login, orders, role, row, script};
use super::super::{Obstacle, plan};
use super::{finish, foreseen, founding, without_untrusted};
use crate::provision::inspected::{Inspected, InspectedDatabase, InspectedRole};
use crate::provision::step::StepKind;
use crate::provision::wanted::{MembershipOptions, Need, Wanted};

const NEW: &str = "prov";

/// As the master user of RDS finds its new cluster: a member of `rds_superuser`, by password, owner of `postgres`.
fn found(version: u32) -> Inspected {
    let mut found = cluster(version);
    let provisioner = found.server.provisioner.clone();
    found.roles.remove(&provisioner);
    let options = MembershipOptions {
        admin: false,
        inherit: true,
        set: true,
    };
    let administrator = InspectedRole {
        create_role: true,
        create_db: true,
        member_of: vec![row("rds_superuser", options, "postgres")],
        ..login()
    };
    found
        .roles
        .insert(role("rds_superuser"), InspectedRole::default());
    found.roles.insert(role("dbadmin"), administrator);
    found.server.provisioner = role("dbadmin");
    for database in found.databases.values_mut() {
        database.owner = role("dbadmin");
    }
    found
}

fn wanted() -> Wanted {
    Wanted {
        break_glass: [role("dbadmin")].into(),
        ..orders()
    }
}

/// The statements, or why there are none.
fn founded(found: &Inspected) -> Result<Vec<String>, Vec<Obstacle>> {
    founding(&wanted(), found, &role(NEW)).map(|founding| script(&founding.plan))
}

#[test]
fn until_15_the_administrator_creates_it() {
    let expected = [
        "CREATE ROLE \"prov\" LOGIN CREATEROLE CREATEDB",
        "GRANT \"rds_iam\" TO \"prov\" WITH ADMIN OPTION",
        "GRANT \"pg_monitor\" TO \"prov\" WITH ADMIN OPTION",
        "GRANT CONNECT ON DATABASE \"postgres\" TO \"dbadmin\", \"prov\"",
        "REVOKE CONNECT, TEMPORARY ON DATABASE \"postgres\" FROM PUBLIC",
    ];
    assert_eq!(founded(&found(150_000)).unwrap(), expected);
}

#[test]
fn since_16_somebody_else_does_who_does_not_stay() {
    let mut found = found(160_000);
    let theirs = found.databases[&database("postgres")].clone();
    found.databases.insert(database("orders"), theirs);
    let expected = [
        "CREATE ROLE \"dbproxy_bootstrap\" CREATEROLE CREATEDB",
        "GRANT \"dbproxy_bootstrap\" TO \"dbadmin\" WITH INHERIT FALSE, SET TRUE",
        "(dbproxy_bootstrap) CREATE ROLE \"prov\" LOGIN CREATEROLE CREATEDB",
        "(dbproxy_bootstrap) GRANT \"prov\" TO \"dbadmin\" WITH INHERIT FALSE, SET TRUE",
        "ALTER DATABASE \"orders\" OWNER TO \"prov\"",
        "(dbproxy_bootstrap) REVOKE \"prov\" FROM \"dbadmin\"",
        "DROP ROLE \"dbproxy_bootstrap\"",
        "GRANT \"rds_iam\" TO \"prov\" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
        "GRANT \"pg_monitor\" TO \"prov\" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
        "GRANT CONNECT ON DATABASE \"postgres\" TO \"dbadmin\", \"prov\"",
        "REVOKE CONNECT, TEMPORARY ON DATABASE \"postgres\" FROM PUBLIC",
    ];
    assert_eq!(founded(&found).unwrap(), expected);

    // An administrator by IAM has nothing to lose.
    let own = found.roles.get_mut(&role("dbadmin")).unwrap();
    own.member_of.push(row(
        "rds_iam",
        MembershipOptions {
            admin: true,
            inherit: false,
            set: false,
        },
        "postgres",
    ));
    let statements = founded(&found).unwrap();
    assert_eq!(statements[0], "CREATE ROLE \"prov\" LOGIN CREATEROLE CREATEDB");
    assert!(
        !statements.concat().contains("dbproxy_bootstrap"),
        "{statements:#?}"
    );
    // Nor has a superuser, who moreover gives away without becoming anybody.
    found.server.provisioner_is_superuser = true;
    let statements = founded(&found).unwrap();
    assert_eq!(statements[1], "ALTER DATABASE \"orders\" OWNER TO \"prov\"");
}

#[test]
fn a_run_that_broke_is_taken_up_where_it_was() {
    let mut found = found(160_000);
    let half = InspectedRole {
        create_role: true,
        create_db: true,
        ..login()
    };
    found.roles.insert(role(NEW), half);
    found
        .roles
        .insert(role("dbproxy_bootstrap"), InspectedRole::default());
    let statements = founded(&found).unwrap();
    let expected = [
        "GRANT \"dbproxy_bootstrap\" TO \"dbadmin\" WITH INHERIT FALSE, SET TRUE",
        "DROP ROLE \"dbproxy_bootstrap\"",
    ];
    assert_eq!(statements[..2], expected);
    assert!(statements[2].starts_with("GRANT \"rds_iam\""), "{statements:#?}");
}

/// It would be dropped, and until then it can give the provisioner to others.
#[test]
fn a_role_of_somebody_is_not_taken_for_the_stand_in() {
    let options = MembershipOptions {
        admin: false,
        inherit: false,
        set: true,
    };
    let name = || role("dbproxy_bootstrap");
    let changes: [fn(&mut Inspected); 3] = [
        |found| drop(found.roles.insert(role("dbproxy_bootstrap"), login())),
        |found| drop(found.roles.insert(role("evil"), login())),
        |found| {
            let more = MembershipOptions {
                admin: true,
                inherit: true,
                set: true,
            };
            let found = found.roles.get_mut(&role("dbproxy_bootstrap")).unwrap();
            found.member_of.push(row("rds_superuser", more, "postgres"));
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut found = found(160_000);
        found.roles.insert(name(), InspectedRole::default());
        change(&mut found);
        if let Some(evil) = found.roles.get_mut(&role("evil")) {
            evil.member_of.push(row("dbproxy_bootstrap", options, "postgres"));
        }
        let told = founded(&found).unwrap_err();
        assert!(
            matches!(&told[..], [Obstacle::NotOfBootstrap { .. }]),
            "{number}: {told:?}"
        );
    }
}

#[test]
fn members_of_the_provisioner_are_told() {
    let mut found = found(160_000);
    found.roles.insert(
        role(NEW),
        InspectedRole {
            create_role: true,
            create_db: true,
            ..login()
        },
    );
    let options = MembershipOptions {
        admin: true,
        inherit: false,
        set: false,
    };
    let mut evil = login();
    evil.member_of.push(row(NEW, options, "postgres"));
    found.roles.insert(role("evil"), evil);
    let notes = founding(&wanted(), &found, &role(NEW)).unwrap().plan.notes;
    assert!(notes[0].contains("REVOKE \"prov\" FROM \"evil\""), "{notes:?}");
}

#[test]
fn what_is_done_is_not_done_again() {
    for version in [150_000, 160_000] {
        let mut found = found(version);
        let first = founding(&wanted(), &found, &role(NEW)).unwrap();
        let administrator = found.server.clone();
        found = foreseen(&found, &role(NEW), &first);
        found.server = administrator;
        found
            .databases
            .get_mut(&database("postgres"))
            .unwrap()
            .grants
            .clear();
        assert_eq!(founded(&found).unwrap(), Vec::<String>::new());
    }
}

#[test]
fn what_an_administrator_lacks_is_said() {
    let mut found = found(160_000);
    let own = found.roles.get_mut(&role("dbadmin")).unwrap();
    own.member_of.clear();
    found.server.provisioner_may_create_roles = false;
    found.server.provisioner_may_create_databases = false;
    let told = founded(&found).unwrap_err();
    let told: Vec<String> = told.iter().map(ToString::to_string).collect();
    for (told, part) in told.iter().zip([
        "ALTER ROLE \"dbadmin\" CREATEROLE",
        "CREATEDB",
        "GRANT \"rds_iam\" TO \"dbadmin\"",
    ]) {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(told.len(), 3);
    found.roles.remove(&role("rds_iam"));
    assert!(founded(&found).unwrap_err().contains(&Obstacle::NoRdsIam));
    // Its database, which since PostgreSQL 16 it can give only to one that it administers.
    let mut found = self::found(160_000);
    found.roles.insert(role(NEW), login());
    let theirs = found.databases[&database("postgres")].clone();
    found.databases.insert(database("orders"), theirs);
    let told = founded(&found).unwrap_err();
    assert!(
        matches!(
            &told[..],
            [Obstacle::NotAdministrator { .. }, Obstacle::NotGivenAway { .. }]
        ),
        "{told:?}"
    );
}

#[test]
fn shutting_others_out_of_postgres_takes_something_away() {
    let mut found = found(150_000);
    found.roles.insert(role("grafana"), login());
    let plan = founding(&wanted(), &found, &role(NEW)).unwrap().plan;
    let last = plan.steps.last().unwrap();
    assert_eq!(last.kind, StepKind::Destructive);
    assert!(last.title.contains("grafana"), "{}", last.title);
    // What belongs to somebody else is theirs to close.
    found.databases.get_mut(&database("postgres")).unwrap().owner = role("rdsadmin");
    let plan = founding(&wanted(), &found, &role(NEW)).unwrap().plan;
    assert!(
        plan.notes[0].contains("rdsadmin") && plan.notes[0].contains("REVOKE CONNECT"),
        "{:?}",
        plan.notes
    );
}

#[test]
fn the_provisioners_plan_is_known_before_there_is_one() {
    for version in [130_000, 180_000] {
        let mut wanted = wanted();
        let orders = wanted.databases.get_mut(&database("orders")).unwrap();
        orders.extensions.insert("pgaudit".to_owned(), Need::Required);
        let found = found(version);
        let first = founding(&wanted, &found, &role(NEW)).unwrap();
        let later = foreseen(&found, &role(NEW), &first);
        assert!(
            plan(&wanted, &later).is_err(),
            "the provisioner may not create pgaudit"
        );
        let rest = plan(&without_untrusted(&wanted, &found), &later).unwrap();
        let statements = script(&rest);
        assert!(
            statements
                .iter()
                .any(|line| line.contains("CREATE DATABASE \"orders\"")),
            "{statements:#?}"
        );
        // Of a database to come it is not known yet whose `public` will be.
        let mut expected = vec!["[orders] CREATE EXTENSION \"pgaudit\""];
        if version < 150_000 {
            expected.push("[orders] REVOKE CREATE ON SCHEMA \"public\" FROM PUBLIC");
        }
        assert_eq!(script(&finish(&wanted, &found).unwrap()), expected);
    }
}

#[test]
fn extensions_that_nobody_can_create_are_in_the_way() {
    let mut wanted = wanted();
    let orders = wanted.databases.get_mut(&database("orders")).unwrap();
    orders.extensions.insert("pgaudit".to_owned(), Need::Required);
    let mut found = found(160_000);
    found.roles.get_mut(&role("dbadmin")).unwrap().member_of.clear();
    let told = finish(&wanted, &found).unwrap_err();
    assert!(
        matches!(&told[..], [Obstacle::ExtensionNotTrusted { .. }]),
        "{told:?}"
    );
    wanted
        .databases
        .get_mut(&database("orders"))
        .unwrap()
        .extensions
        .insert("pgaudit".to_owned(), Need::WhereAvailable);
    assert_eq!(finish(&wanted, &found).unwrap().notes.len(), 1);
    // One that lets nobody in is not passed over.
    let shut = InspectedDatabase {
        contents: None,
        ..found.databases[&database("postgres")].clone()
    };
    found.databases.insert(database("orders"), shut);
    assert!(matches!(
        &finish(&wanted, &found).unwrap_err()[..],
        [Obstacle::Unseen { .. }]
    ));
    // Unless there is nothing to do in it.
    let orders = wanted.databases.get_mut(&database("orders")).unwrap();
    orders.extensions.remove("pgaudit");
    assert_eq!(script(&finish(&wanted, &found).unwrap()), [""; 0]);
}
