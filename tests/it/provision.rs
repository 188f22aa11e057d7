//! Provisioning against a real server, as a provisioner that is no superuser and logs in by IAM.

mod apply;
mod breaks;
mod command_line;
mod door;
mod drift;
mod iam;
mod inspect;
mod lockout;
mod versions;

use crate::support::{Proxy, Sandbox, psql};
use dbproxy::domain::reason::CloseReason;
use dbproxy::error::{Refusal, SqlState};
use dbproxy::provision::apply::{Applied, ApplyError, Options, Progress, apply};
use dbproxy::provision::doors::{APPLICATION, Doors, MAINTENANCE, OpenError};
use dbproxy::provision::inspect::inspect;
use dbproxy::provision::inspected::Inspected;
use dbproxy::provision::name::{Database, RoleName};
use dbproxy::provision::step::{Plan, Step, StepKind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio_postgres::{Client, NoTls};

const PROVISIONER: &str = "dbproxy_provisioner";

/// Runs exclude one another, in the server.
static TURN: Mutex<()> = Mutex::new(());

pub fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A dbproxy that lets the provisioner and an administrator in, and what a test made, which goes with it.
struct Town {
    proxy: Proxy,
    administrator: &'static str,
    provisioner: &'static str,
    clear: String,
}

impl Town {
    /// `clear` is SQL that removes everything of the test: before, in case an earlier run broke, and afterwards.
    fn new(sandbox: &Sandbox, clear: &str) -> Self {
        let target = sandbox.target(
            "orders",
            "db_users = [\"dbproxy_provisioner\", \"sandbox_admin\"]",
        );
        Self::of(
            Proxy::start(sandbox, &target),
            ["sandbox_admin", PROVISIONER],
            clear,
        )
    }

    fn of(proxy: Proxy, [administrator, provisioner]: [&'static str; 2], clear: &str) -> Self {
        let town = Self {
            proxy,
            administrator,
            provisioner,
            clear: clear.to_owned(),
        };
        town.clear();
        town
    }

    fn clear(&self) {
        for statement in self.clear.split(";\n").filter(|text| !text.trim().is_empty()) {
            self.sql("postgres", statement);
        }
    }

    /// The way in for the administrator.
    fn administration(&self, database: &str) -> String {
        format!(
            "host=127.0.0.1 port={} user={} dbname='{database}'",
            self.proxy.port(),
            self.administrator
        )
    }

    /// As the administrator.
    fn sql(&self, database: &str, sql: &str) -> String {
        query(&self.administration(database), sql)
    }

    fn exists(&self, role: &str) -> bool {
        self.sql(
            "postgres",
            &format!("select count(*) from pg_roles where rolname = '{role}'"),
        ) == "1"
    }

    fn inspect(&self, databases: &[&str]) -> Inspected {
        let databases = databases.iter().map(|name| database(name)).collect();
        wait_for(inspect(self, &databases)).unwrap()
    }

    fn apply(&self, steps: Vec<Step>) -> Result<Applied, ApplyError> {
        self.apply_with(steps, &Options::default(), |_| {})
    }

    fn apply_with(
        &self,
        steps: Vec<Step>,
        options: &Options,
        progress: impl FnMut(Progress<'_>),
    ) -> Result<Applied, ApplyError> {
        apply_at(self, steps, options, progress)
    }
}

fn apply_at(
    doors: &impl Doors,
    steps: Vec<Step>,
    options: &Options,
    progress: impl FnMut(Progress<'_>),
) -> Result<Applied, ApplyError> {
    let plan = Plan {
        steps,
        notes: Vec::new(),
    };
    wait_for(apply(doors, &plan, options, progress))
}

impl Drop for Town {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.clear();
        }
    }
}

impl Doors for Town {
    async fn open(&self, database: Option<&Database>) -> Result<Client, OpenError> {
        let name = database.map_or(MAINTENANCE, Database::as_str);
        let connected = tokio_postgres::Config::new()
            .host("127.0.0.1")
            .port(self.proxy.port())
            .user(self.provisioner)
            .dbname(name)
            .application_name(APPLICATION)
            .connect(NoTls)
            .await;
        let (client, connection) = connected.map_err(|error| {
            let code = error.code().map_or("08006", |code| code.code());
            let refusal = Refusal::new(
                CloseReason::ServerRefused,
                SqlState::of_server(code),
                error.to_string(),
            );
            OpenError {
                database: name.to_owned(),
                refusal: Box::new(refusal),
                source: error.into(),
            }
        })?;
        tokio::spawn(connection);
        Ok(client)
    }
}

fn query(at: &str, sql: &str) -> String {
    let output = psql(at, &[], sql);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{sql}\n{told}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn wait_for<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(work)
}

fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

fn database(name: &str) -> Database {
    Database::new(name).unwrap()
}

/// A step for the whole cluster.
fn step(statements: &[&str]) -> Step {
    Step {
        title: statements.first().unwrap_or(&"nothing").to_string(),
        database: None,
        as_role: None,
        statements: statements.iter().map(ToString::to_string).collect(),
        kind: StepKind::Ordinary,
    }
}

fn inside(place: &str, as_role: Option<&str>, statements: &[&str]) -> Step {
    Step {
        database: Some(database(place)),
        as_role: as_role.map(role),
        ..step(statements)
    }
}

fn of_kind(kind: StepKind, statement: &str) -> Step {
    Step {
        kind,
        ..step(&[statement])
    }
}
