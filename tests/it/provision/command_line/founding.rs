//! `dbproxy bootstrap`: from an administrator with a password to a cluster that is provisioned by IAM.

use super::{House, Told, allow};
use crate::provision::turn;
use crate::support::Sandbox;

const PASSWORD: &str = "it-c-admin-secret";

/// The cluster of the sandbox with an administrator as RDS makes one, and a manifest whose provisioner is not there yet.
fn house(sandbox: &Sandbox) -> House {
    let house = House::new(sandbox);
    allow(sandbox);
    let make = format!("create role it_c_admin login createrole createdb password '{PASSWORD}'");
    house.town.sql("postgres", &make);
    house
        .town
        .sql("postgres", "grant pg_monitor to it_c_admin with admin option");
    house
        .town
        .sql("postgres", "create database it_c owner it_c_admin");
    house.edit(
        "account_id =",
        "provisioner = \"it_c_provisioner\"\nbreak_glass = [\"it_c_admin\"]\naccount_id =",
    );
    house
}

fn bootstrap(house: &House, password: &str, flags: &[&str]) -> Told {
    let arguments: Vec<&str> = ["bootstrap", "orders", "--as", "it_c_admin"]
        .iter()
        .chain(flags)
        .copied()
        .collect();
    let told = house.run_with(&arguments, &[("PGPASSWORD", password)]);
    assert!(!told.all().contains(PASSWORD), "a secret: {}", told.all());
    told
}

#[test]
fn one_command_makes_the_provisioner_and_what_the_manifest_says() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let house = house(sandbox);
    let told = bootstrap(&house, PASSWORD, &["--dry-run", "--sql"]).done();
    for part in [
        "as it_c_admin:",
        "CREATE ROLE \"it_c_provisioner\" LOGIN CREATEROLE CREATEDB;",
        "as it_c_provisioner:",
        "create db user \"it_c_reader\"",
    ] {
        assert!(told.out.contains(part), "{part}\n{}", told.all());
    }
    assert!(!house.town.exists("it_c_provisioner"), "a dry run");
    // The database was there, and others of the sandbox could enter it as PUBLIC.
    bootstrap(&house, PASSWORD, &[]).refused("! take access to database");
    assert!(!house.town.exists("it_c_provisioner"), "it is asked first");
    let told = bootstrap(&house, PASSWORD, &["--allow-destructive"]).done();
    assert!(told.last().starts_with("done: cluster orders"), "{}", told.all());
    assert!(house.steps().is_empty(), "the provisioner has nothing left to do");
    assert_eq!(bootstrap(&house, PASSWORD, &[]).done().last(), "nothing to do");
    let owner = "select datdba::regrole from pg_database where datname = 'it_c'";
    assert_eq!(house.town.sql("postgres", owner), "it_c_owner");
}

#[test]
fn an_administrator_who_is_not_let_in_is_told_about_the_password() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let house = house(sandbox);
    let told = bootstrap(&house, "wrong", &[]);
    assert_eq!(told.code, 4, "{}", told.all());
    assert!(
        told.err.contains("Is this its password, in PGPASSWORD?"),
        "{}",
        told.all()
    );
    let told = house.run(&["bootstrap", "--as", "it_c_admin"]);
    assert_eq!(told.code, 4, "{}", told.all());
    assert!(told.err.contains("put that into PGPASSWORD"), "{}", told.all());
    house
        .run(&["bootstrap", "--as", "it_c_provisioner"])
        .refused("somebody else has to make it");
}

/// Whoever lives by what everybody may do is asked about first, and nothing has been done by then.
#[test]
fn others_are_not_shut_out_of_postgres_by_the_way() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let house = house(sandbox);
    house
        .town
        .sql("postgres", "alter database postgres owner to it_c_admin");
    let told = bootstrap(&house, PASSWORD, &[]);
    house
        .town
        .sql("postgres", "alter database postgres owner to rdsadmin");
    let told = told.refused("let nobody else into database \"postgres\"");
    assert!(told.err.contains("--allow-destructive"), "{}", told.all());
    assert!(!house.town.exists("it_c_provisioner"), "{}", told.all());
}
