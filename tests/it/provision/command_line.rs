//! Provisioning as people do it: from the command line, and seen by those who then log in through dbproxy.

mod changes;
mod ends;
mod founding;

use super::{Town, turn};
use crate::support::proxy::{config_file, dbproxy};
use crate::support::{Proxy, Sandbox, psql};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};

const CLEAR: &str = "drop database if exists it_c with (force);\n\
    drop role if exists it_c_owner, it_c_rw, it_c_ro, it_c_maker, it_c_writer, it_c_reader, it_c_new;\n\
    drop role if exists it_c_provisioner, it_c_admin";

const MANIFEST: &str = r#"# Who may be whom. This line stays.
[clusters.orders]
account_id = "ACCOUNT"

[clusters.orders.databases.it_c]
schemas = ["app"]

[clusters.orders.roles.it_c_owner]
template = "owner"

[clusters.orders.roles.it_c_rw]
template = "read-write"

[clusters.orders.roles.it_c_ro]
template = "read-only"

[clusters.orders.users.it_c_maker]
roles = ["it_c_owner"]

[clusters.orders.users.it_c_writer]
roles = ["it_c_rw"] # writes

[clusters.orders.users.it_c_reader]
roles = ["it_c_ro"]
connection_limit = 5
"#;

/// IAM lets dbproxy be the new users. It is the same for all runs, so nothing has to take it back.
const ALLOW: &str = r#"
import boto3, json, sys
boto3.client("iam").put_user_policy(UserName="dbproxy", PolicyName="it-command-line", PolicyDocument=json.dumps(
    {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "rds-db:connect", "Resource": sys.argv[1]}]}))
"#;

/// A manifest of the test's own, and the commands that work with it.
struct House {
    town: Town,
    environment: Vec<(String, String)>,
    config: PathBuf,
    manifest: PathBuf,
}

struct Told {
    code: i32,
    out: String,
    err: String,
}

impl Told {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    fn all(&self) -> String {
        format!("exit code {}\n{}\n{}", self.code, self.out, self.err)
    }

    fn last(&self) -> &str {
        self.out.lines().last().unwrap_or_default()
    }

    #[track_caller]
    fn done(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.all());
        self
    }

    #[track_caller]
    fn refused(self, because: &str) -> Self {
        assert_eq!(self.code, 1, "{}", self.all());
        assert!(self.err.contains(because), "{because}\n{}", self.all());
        self
    }
}

impl House {
    fn new(sandbox: &Sandbox) -> Self {
        let town = Town::new(sandbox, CLEAR);
        let config = config_file(sandbox, &sandbox.target("orders", "db_users = [\"app_ro\"]"));
        let manifest = config.with_extension("access.toml");
        let text = MANIFEST.replace("ACCOUNT", &sandbox.text("/aws/accounts/a"));
        std::fs::write(&manifest, text).unwrap();
        Self {
            town,
            environment: sandbox.aws_env("dbproxy"),
            config,
            manifest,
        }
    }

    fn run(&self, arguments: &[&str]) -> Told {
        self.run_with(arguments, &[])
    }

    fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Told {
        let output = dbproxy(&self.environment)
            .args(arguments)
            .envs(environment.iter().copied())
            .env("DBPROXY_CONFIG", &self.config)
            .env("DBPROXY_MANIFEST", &self.manifest)
            .output()
            .unwrap();
        let told = Told::of(&output);
        assert!(!told.all().contains("X-Amz-S"), "a secret: {}", told.all());
        told
    }

    /// `dbproxy plan -o json`
    fn steps(&self) -> Vec<Value> {
        let told = self.run(&["plan", "-o", "json"]).done();
        let json: Value = serde_json::from_str(&told.out).unwrap();
        assert_eq!(json["cluster"], "orders");
        json["steps"].as_array().unwrap().clone()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.manifest).unwrap()
    }

    fn edit(&self, from: &str, to: &str) {
        let text = self.text();
        assert!(text.contains(from), "{from}");
        std::fs::write(&self.manifest, text.replace(from, to)).unwrap();
    }
}

impl Drop for House {
    fn drop(&mut self) {
        for path in [&self.config, &self.manifest] {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// IAM lets dbproxy be whoever tests here make.
fn allow(sandbox: &Sandbox) {
    let resource = format!(
        "arn:aws:rds-db:us-east-1:{}:dbuser:{}/it_c_*",
        sandbox.text("/aws/accounts/a"),
        sandbox.text("/cluster/resource_id"),
    );
    let allowed = Command::new(crate::drivers::python())
        .args(["-c", ALLOW, &resource])
        .env("AWS_ENDPOINT_URL", sandbox.text("/aws/endpoint_url"))
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ACCESS_KEY_ID", sandbox.text("/aws/accounts/a"))
        .env(
            "AWS_SECRET_ACCESS_KEY",
            sandbox.text("/aws/root_a/secret_access_key"),
        )
        .output()
        .unwrap();
    assert!(
        allowed.status.success(),
        "{}",
        String::from_utf8_lossy(&allowed.stderr)
    );
}

/// A dbproxy through which the new users log in.
fn street(sandbox: &Sandbox) -> Proxy {
    allow(sandbox);
    let users = "db_users = [\"it_c_maker\", \"it_c_writer\", \"it_c_reader\", \"it_c_new\", \"app_ro\"]";
    Proxy::start(sandbox, &sandbox.target("orders", users))
}

/// SQL in the new database.
fn as_user(proxy: &Proxy, user: &str, sql: &str) -> Told {
    let place = format!("host=127.0.0.1 port={} user={user} dbname=it_c", proxy.port());
    Told::of(&psql(&place, &[], sql))
}

#[track_caller]
fn may(proxy: &Proxy, user: &str, sql: &str) -> String {
    as_user(proxy, user, sql).done().out.trim().to_owned()
}

#[track_caller]
fn may_not(proxy: &Proxy, user: &str, sql: &str, because: &str) {
    let told = as_user(proxy, user, sql);
    assert_ne!(told.code, 0, "{user} may: {sql}");
    assert!(told.err.contains(because), "{because}\n{}", told.all());
}

#[test]
fn a_manifest_becomes_roles_that_may_what_it_says() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let house = House::new(sandbox);
    let told = house.run(&["plan"]).done();
    for part in [
        "in the cluster:\n  create db user \"it_c_maker\"\n",
        "  create database \"it_c\"\n",
        "in database \"it_c\":\n",
    ] {
        assert!(told.out.contains(part), "{part}\n{}", told.out);
    }
    assert!(told.last().ends_with(" steps, 0 destructive"), "{}", told.out);
    assert!(!told.out.contains("CREATE ROLE"));
    let told = house.run(&["plan", "orders", "--sql"]).done();
    assert!(
        told.out.contains("      CREATE ROLE \"it_c_rw\" NOLOGIN;\n"),
        "{}",
        told.out
    );
    let steps = house.steps();
    assert_eq!(steps[0]["kind"], "ordinary");
    assert!(!house.town.exists("it_c_rw"), "a plan changes nothing");

    let told = house.run(&["apply"]).done();
    let first = format!("[1/{}] ", steps.len());
    assert!(told.err.starts_with(&first), "{}", told.all());
    assert_eq!(told.err.lines().count(), steps.len(), "{}", told.all());
    assert_eq!(told.last(), "done: cluster orders is what the manifest says");
    assert_eq!(house.steps(), [Value::Null; 0]);
    assert!(house.run(&["plan", "-o", "json"]).out.contains("\"steps\":[]"));
    assert_eq!(house.run(&["plan"]).done().out, "nothing to do\n");
    assert_eq!(house.run(&["apply"]).done().out, "nothing to do\n");

    let proxy = street(sandbox);
    may(&proxy, "it_c_maker", "create table app.t (id int)");
    let owner = "select tableowner from pg_tables where tablename = 't'";
    assert_eq!(may(&proxy, "it_c_maker", owner), "it_c_owner");
    may(&proxy, "it_c_writer", "insert into app.t values (1)");
    may_not(&proxy, "it_c_writer", "create table app.u ()", "42501");
    assert_eq!(may(&proxy, "it_c_reader", "select id from app.t"), "1");
    may_not(&proxy, "it_c_reader", "delete from app.t", "42501");
    may_not(&proxy, "it_c_reader", "create table public.u ()", "42501");
    may_not(&proxy, "app_ro", "select 1", "permission denied for database");
    assert_eq!(house.steps(), [Value::Null; 0], "what users make is no drift");
}

#[test]
fn what_takes_something_away_is_marked_and_must_be_allowed() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let house = House::new(sandbox);
    house.run(&["apply"]).done();
    house.edit(
        "[clusters.orders.users.it_c_writer]\nroles = [\"it_c_rw\"] # writes\n",
        "",
    );
    let told = house.run(&["plan"]).done();
    assert!(told.out.contains("\n! drop \"it_c_writer\"\n"), "{}", told.out);
    assert!(!told.out.contains('\u{1b}'), "no colours but on a terminal");
    assert_eq!(told.last(), "2 steps, 2 destructive");
    house.run(&["apply"]).refused("--allow-destructive");
    assert!(house.town.exists("it_c_writer"));
    // Who is in when its role goes would never be put out.
    let proxy = street(sandbox);
    let ended = changes::sitting(&house, &proxy, "it_c_writer", || {
        let told = house.run(&["apply", "--allow-destructive"]).done();
        assert!(
            told.err.contains("\"it_c_writer\": 1 session ended"),
            "{}",
            told.all()
        );
    });
    assert!(ended.contains("57P01"), "{ended}");
    assert!(!house.town.exists("it_c_writer"));
    assert_eq!(house.steps(), [Value::Null; 0]);
}

#[test]
fn what_was_reviewed_is_what_runs() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let house = House::new(sandbox);
    let file = house.config.with_extension("plan.json");
    let path = file.to_str().unwrap();
    house.run(&["plan", "--plan-out", path]).done();
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(
        (&written["version"], &written["cluster"]),
        (&1.into(), &"orders".into())
    );
    assert!(written["made_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(*written["steps"].as_array().unwrap(), house.steps());

    // Somebody has changed the cluster meanwhile, somebody else the manifest, somebody the plan itself.
    house.town.sql("postgres", "create role it_c_rw");
    let told = house
        .run(&["apply", "--plan-in", path])
        .refused("moved since the plan was made");
    assert!(
        told.out.contains("-   create db role \"it_c_rw\"\n"),
        "{}",
        told.out
    );
    assert!(told.out.contains("+   adopt db role \"it_c_rw\""), "{}", told.out);
    assert!(!house.town.exists("it_c_ro"));
    house.town.sql("postgres", "drop role it_c_rw");
    house.edit("connection_limit = 5", "connection_limit = 6");
    let told = house
        .run(&["apply", "--plan-in", path])
        .refused("moved since the plan was made");
    assert!(
        told.out
            .contains("+       CREATE ROLE \"it_c_reader\" LOGIN CONNECTION LIMIT 6;\n"),
        "{}",
        told.out
    );
    house.edit("connection_limit = 6", "connection_limit = 5");
    let forged = written
        .to_string()
        .replace("CONNECTION LIMIT 5", "CONNECTION LIMIT 9");
    std::fs::write(&file, forged).unwrap();
    house
        .run(&["apply", "--plan-in", path])
        .refused("moved since the plan was made");
    house
        .run(&["apply", "other", "--plan-in", path])
        .refused("the plan is for cluster `orders`, not `other`");
    std::fs::write(&file, "{\"version\": 2}").unwrap();
    house
        .run(&["apply", "--plan-in", path])
        .refused("is a plan of version 2");

    std::fs::write(&file, written.to_string()).unwrap();
    house.run(&["apply", "--plan-in", path]).done();
    assert_eq!(house.steps(), [Value::Null; 0]);
    house
        .run(&["apply", "--plan-in", path])
        .refused("moved since the plan was made");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn mistakes_are_told_with_their_places_and_obstacles_all_at_once() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let house = House::new(sandbox);
    let told = house.run(&["plan", "other"]).refused("has no cluster `other`");
    assert!(told.err.contains("hint: It has: orders"), "{}", told.err);
    house.edit("connection_limit = 5", "connection_limit = \"many\"");
    house.edit("template = \"read-write\"", "template = \"read-writ\"");
    let path = house.manifest.display().to_string();
    for command in [
        &["plan"][..],
        &["apply"],
        &["grants"],
        &["grant", "it_c_new", "it_c_ro"],
    ] {
        let told = house.run(command).refused("has 2 mistakes:");
        assert!(told.err.contains(&path), "{}", told.err);
        assert!(told.err.contains("\n  12:12: "), "{}", told.err);
        assert!(
            told.err
                .contains("clusters.orders.users.it_c_reader.connection_limit"),
            "{}",
            told.err
        );
    }
    house.edit("connection_limit = \"many\"", "connection_limit = 5");
    house.edit("template = \"read-writ\"", "template = \"read-write\"");
    house.edit(
        "schemas = [\"app\"]",
        "schemas = [\"app\"]\nextensions = [\"it_c_none\", \"it_c_nothing\"]",
    );
    let told = house.run(&["plan"]).refused("2 things are in the way:");
    assert!(
        told.err.contains("it_c_none") && told.err.contains("it_c_nothing"),
        "{}",
        told.err
    );

    // A cluster that cannot be reached, and one that lets nobody in.
    house.edit("it_c_none", "plpgsql");
    house.edit("it_c_nothing", "pg_trgm");
    let config = std::fs::read_to_string(&house.config).unwrap();
    let nowhere = config.replace("dial = \"", "dial = \"127.0.0.1:1\" # ");
    std::fs::write(&house.config, nowhere).unwrap();
    assert_eq!(house.run(&["plan"]).code, 3);
    std::fs::write(&house.config, config).unwrap();
    house.edit(
        "[clusters.orders]\n",
        "[clusters.orders]\nprovisioner = \"app_denied\"\n",
    );
    let told = house.run(&["plan"]);
    assert_eq!(told.code, 4, "{}", told.all());
    assert!(
        told.err.contains("hint: ") && told.err.contains("rds-db:connect"),
        "{}",
        told.err
    );
    house.edit("[clusters.orders]", "[clusters.another]");
}
