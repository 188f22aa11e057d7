//! The provisioner is made by an administrator shaped like RDS's master user, who can log in by password afterwards.

use super::super::{PROVISIONER, wait_for};
use super::ground::{Ground, listing};
use super::{SHOP, on_all, wanted};
use dbproxy::provision::apply::{Options, apply};
use dbproxy::provision::inspect::inspect;
use dbproxy::provision::name::RoleName;
use dbproxy::provision::plan::bootstrap::{finish, foreseen, founding, without_untrusted};
use dbproxy::provision::plan::plan;
use dbproxy::provision::step::Plan;
use dbproxy::provision::wanted::Wanted;

const ADMINISTRATOR: &str = "dbadmin";

/// A cluster as it comes: its administrator, and a database that is the administrator's.
fn as_it_comes(ground: &Ground, attributes: &str) {
    let sql = format!(
        "drop role dbproxy_provisioner; create role rds_superuser; create role dbadmin {attributes};\
         grant rds_superuser to dbadmin; grant pg_monitor to dbadmin with admin option;\
         alter database postgres owner to dbadmin"
    );
    sql.split(';')
        .for_each(|one| drop(ground.administer("postgres", one)));
    ground.administer("postgres", "create database app owner dbadmin");
}

fn shop() -> Wanted {
    let mut wanted = wanted(SHOP);
    wanted.break_glass.insert(RoleName::new(ADMINISTRATOR).unwrap());
    wanted
}

fn options() -> Options {
    Options {
        break_glass: [RoleName::new(ADMINISTRATOR).unwrap()].into(),
        ..Options::default()
    }
}

/// As the administrator, but for what only RDS lets it do: there whoever administers gives rds_iam without having it.
fn found(ground: &Ground, wanted: &Wanted) -> Plan {
    let doors = ground.doors_of(ADMINISTRATOR);
    let databases = wanted.databases.keys().cloned().collect();
    let inspected = wait_for(inspect(&doors, &databases)).unwrap();
    let provisioner = RoleName::new(PROVISIONER).unwrap();
    let founding = founding(wanted, &inspected, &provisioner).unwrap();
    let later = foreseen(&inspected, &provisioner, &founding);
    let rest = plan(&without_untrusted(wanted, &inspected), &later).unwrap();
    let mut steps = founding.plan;
    let of_rds = |statement: &String| statement.starts_with("GRANT \"rds_iam\"");
    let mut given = Vec::new();
    for step in &mut steps.steps {
        given.extend(step.statements.iter().filter(|one| of_rds(one)).cloned());
        step.statements.retain(|one| !of_rds(one));
    }
    if let Err(error) = wait_for(apply(&doors, &steps, &options(), |_| {})) {
        panic!("{}\n{}", dbproxy::error::Chain(&error), listing(&steps));
    }
    given
        .iter()
        .for_each(|one| drop(ground.administer("postgres", one)));
    rest
}

const BY_IAM: &str = "with recursive reach (oid) as (select 'rds_iam'::regrole::oid \
    union select m.member from pg_auth_members m join reach r on m.roleid = r.oid) \
    select rolname from pg_roles where oid in (select oid from reach) and rolname in ('dbadmin', 'dbproxy_provisioner')";

#[test]
fn from_an_empty_cluster_to_the_manifest_and_nobody_is_shut_out() {
    on_all(|ground| {
        as_it_comes(ground, "login createrole createdb");
        let wanted = shop();
        let foreseen = found(ground, &wanted);
        assert_eq!(
            ground.administer("postgres", BY_IAM),
            PROVISIONER,
            "who logs in by IAM"
        );
        assert_eq!(
            ground.administer(
                "postgres",
                "select 1 from pg_roles where rolname = 'dbproxy_bootstrap'"
            ),
            ""
        );
        let plan = ground.settle(&wanted);
        assert_eq!(
            listing(&plan),
            listing(&foreseen),
            "what was foreseen is what ran"
        );
        assert_eq!(
            ground.administer("postgres", BY_IAM),
            PROVISIONER,
            "who logs in by IAM now"
        );
        let owner = "select datdba::regrole from pg_database where datname = 'app'";
        assert_eq!(ground.administer("postgres", owner), "app_owner");
        ground.cannot("writer", "postgres", "select 1");
        ground.can(ADMINISTRATOR, "postgres", "select 1");
        ground.can(ADMINISTRATOR, "app", "select 1");
        // And again.
        let steps = found_again(ground, &wanted);
        assert_eq!(steps, "", "nothing is left for the administrator");
    });
}

fn found_again(ground: &Ground, wanted: &Wanted) -> String {
    let doors = ground.doors_of(ADMINISTRATOR);
    let databases = wanted.databases.keys().cloned().collect();
    let inspected = wait_for(inspect(&doors, &databases)).unwrap();
    let founding = founding(wanted, &inspected, &RoleName::new(PROVISIONER).unwrap()).unwrap();
    listing(&founding.plan)
}

/// The stand-in of a run that ended in the middle is found and taken away.
#[test]
fn a_founding_that_broke_is_taken_up() {
    on_all(|ground| {
        if ground.major < 16 {
            return;
        }
        as_it_comes(ground, "login createrole createdb");
        for sql in [
            "create role dbproxy_bootstrap createrole createdb",
            "grant dbproxy_bootstrap to dbadmin with inherit false, set true",
            "set role dbproxy_bootstrap; create role dbproxy_provisioner login createrole createdb",
        ] {
            ground.can(ADMINISTRATOR, "postgres", sql);
        }
        let wanted = shop();
        found(ground, &wanted);
        assert_eq!(ground.administer("postgres", BY_IAM), PROVISIONER);
        ground.settle(&wanted);
    });
}

#[test]
fn a_superuser_creates_what_is_not_trusted_and_mends_old_public() {
    on_all(|ground| {
        as_it_comes(ground, "login superuser");
        let mut wanted = shop();
        let app = wanted.databases.values_mut().next().unwrap();
        app.extensions.insert(
            "pageinspect".to_owned(),
            dbproxy::provision::wanted::Need::Required,
        );
        found(ground, &wanted);
        let databases = wanted.databases.keys().cloned().collect();
        let inspected = wait_for(inspect(ground, &databases)).unwrap();
        let rest = plan(&without_untrusted(&wanted, &inspected), &inspected).unwrap();
        ground.apply(&rest, |_| {}).unwrap();
        let doors = ground.doors_of(ADMINISTRATOR);
        let inspected = wait_for(inspect(&doors, &databases)).unwrap();
        let last = finish(&wanted, &inspected).unwrap();
        wait_for(apply(&doors, &last, &options(), |_| {})).unwrap();
        ground.is_settled(&wanted);
        let made = "select count(*) from pg_extension where extname = 'pageinspect'";
        assert_eq!(ground.administer("app", made), "1");
        ground.cannot("reader", "app", "create table public.t ()");
    });
}
