//! The door that dbproxy itself uses. It reads the environment, so it is tried in a process of its own.

use super::{PROVISIONER, database, turn, wait_for};
use crate::support::Sandbox;
use crate::support::proxy::config_file;
use dbproxy::app::provision::ClusterDoors;
use dbproxy::config::check::{CommandLine, check};
use dbproxy::config::source;
use dbproxy::domain::name::DbUser;
use dbproxy::error::ClientFacing;
use dbproxy::platform::task::Background;
use dbproxy::provision::doors::Doors;
use dbproxy::provision::inspect::inspect;
use std::path::PathBuf;
use std::process::Command;

const CONFIG: &str = "IT_PROVISION_CONFIG";
const USER: &str = "IT_PROVISION_USER";

/// The child's part: prints what it found.
#[test]
#[ignore = "a part of the test below"]
fn child() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let path = PathBuf::from(variable(CONFIG));
    let environment = &source::process_environment;
    let file = source::read(Some(&path), environment).unwrap();
    let settings = check(file.table, CommandLine::default(), environment).unwrap();
    let user = DbUser::new(variable(USER)).unwrap();
    wait_for(async {
        let background = Background::new(tokio::runtime::Handle::current());
        let doors = ClusterDoors::new(&settings, &background, &settings.targets[0], user).await;
        let doors = doors.map_err(|error| error.to_string()).unwrap();
        match doors.open(Some(&database("app"))).await {
            Ok(_) => {
                let found = inspect(&doors, &[database("app")].into()).await.unwrap();
                eprintln!("found {}", found.server.provisioner);
            }
            Err(error) => eprintln!("refused: {error}\nhint: {:?}", error.refusal().hint),
        }
    });
}

fn enter(sandbox: &Sandbox, user: &str, lines: &str) -> String {
    let config = config_file(sandbox, &sandbox.target("orders", lines));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "provision::door::child", "--ignored", "--nocapture"])
        .env_clear()
        .envs(sandbox.aws_env("dbproxy"))
        .env(CONFIG, config)
        .env(USER, user)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(!told.contains("X-Amz-S"), "a secret: {told}");
    told
}

#[test]
fn the_provisioner_enters_by_iam_and_a_refusal_says_what_mends_it() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    // The target need not list it.
    let lines = "db_users = [\"app_ro\"]\ndatabases = [\"app\"]";
    assert!(enter(sandbox, PROVISIONER, lines).contains("found dbproxy_provisioner"));
    let told = enter(sandbox, "app_denied", lines);
    assert!(
        told.contains("refused dbproxy's IAM token") && told.contains("rds-db:connect"),
        "{told}"
    );
    let told = enter(sandbox, "app_nogrant", lines);
    assert!(told.contains("GRANT rds_iam TO"), "{told}");
}
