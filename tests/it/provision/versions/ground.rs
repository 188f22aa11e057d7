//! A cluster of one version, empty but for a provisioner: no superuser, ADMIN of `rds_iam` and `pg_monitor`. Users come
//! by the socket, or through dbproxy.

use super::super::{PROVISIONER, wait_for};
use crate::support::modern::Major;
use crate::support::proxy::dbproxy;
use crate::support::{Proxy, Sandbox};
use dbproxy::domain::reason::CloseReason;
use dbproxy::error::{Refusal, SqlState};
use dbproxy::provision::apply::{Applied, ApplyError, Options, Progress, apply};
use dbproxy::provision::doors::{APPLICATION, Doors, MAINTENANCE, OpenError};
use dbproxy::provision::inspect::inspect;
use dbproxy::provision::name::Database;
use dbproxy::provision::plan::plan;
use dbproxy::provision::step::Plan;
use dbproxy::provision::wanted::Wanted;
use std::sync::{MutexGuard, OnceLock};
use tokio_postgres::{Client, Error, NoTls, SimpleQueryMessage};

pub struct Ground {
    pub major: u32,
    pub sandbox: &'static Sandbox,
    pub server: &'static Major,
    /// In front of the server, once users are to log in through it.
    proxy: OnceLock<Proxy>,
    _alone: MutexGuard<'static, ()>,
}

const SETTLERS: &str = "create role rds_iam;\n\
    create role dbproxy_provisioner login createrole createdb;\n\
    grant rds_iam to dbproxy_provisioner with admin option;\n\
    grant pg_monitor to dbproxy_provisioner with admin option";

impl Ground {
    pub fn new(sandbox: &'static Sandbox, major: u32) -> Self {
        let (server, alone) = Major::alone(sandbox, major);
        let ground = Self {
            major,
            sandbox,
            server,
            proxy: OnceLock::new(),
            _alone: alone,
        };
        ground.anew();
        ground
    }

    /// As a test begins, whatever an earlier one left.
    pub fn anew(&self) {
        self.clear();
        self.administer("postgres", SETTLERS);
    }

    fn clear(&self) {
        let as_it_came = "alter database postgres owner to postgres; \
            grant connect, temporary on database postgres to public";
        self.administer("postgres", as_it_came);
        let databases = "select format('drop database %I with (force)', datname) from pg_database \
            where datname not in ('postgres', 'template0', 'template1')";
        let owned = "select format('drop owned by %I cascade', rolname) from pg_roles where oid >= 16384";
        let roles = "select format('drop role %I', rolname) from pg_roles where oid >= 16384";
        for statements in [databases, owned, roles] {
            for statement in self.administer("postgres", statements).lines() {
                self.administer("postgres", statement);
            }
        }
    }

    /// From now on users log in through a dbproxy, which has a password for those there are: here is no IAM.
    pub fn through_dbproxy(&self) -> &Proxy {
        let users = "select format('alter role %I password ', rolname) from pg_roles where rolcanlogin and oid >= 16384";
        let change: Vec<String> = self
            .administer("postgres", users)
            .lines()
            .map(|begin| format!("{begin}'{}';", self.server.password))
            .collect();
        let hashed = "set password_encryption = 'scram-sha-256';";
        self.administer("postgres", &format!("{hashed}{}", change.concat()));
        self.proxy.get_or_init(|| {
            let mut proxy = Proxy::start(self.sandbox, &self.server.target("c"));
            proxy.keep_secret(&self.server.password);
            proxy
        })
    }

    /// As the superuser.
    pub fn administer(&self, database: &str, sql: &str) -> String {
        let done = self.try_as("postgres", database, sql);
        done.unwrap_or_else(|error| panic!("{error}: {sql}"))
    }

    /// As this user, who must be able to.
    pub fn can(&self, user: &str, database: &str, sql: &str) -> String {
        let done = self.try_as(user, database, sql);
        done.unwrap_or_else(|error| panic!("{user} in {database}: {error}: {sql}"))
    }

    /// As this user, who must lack the privilege.
    pub fn cannot(&self, user: &str, database: &str, sql: &str) {
        let done = self.try_as(user, database, sql);
        let code = match &done {
            Err(Failed::Server(code, _)) => code.as_str(),
            _ => "",
        };
        assert_eq!(code, "42501", "{user} in {database}: {done:?}: {sql}");
    }

    pub fn try_as(&self, user: &str, database: &str, sql: &str) -> Result<String, Failed> {
        wait_for(async {
            let client = self.connect(user, database).await?;
            let messages = client.simple_query(sql).await?;
            let rows = messages.iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    let cells: Vec<_> = (0..row.len()).map(|at| row.get(at).unwrap_or("~")).collect();
                    Some(cells.join("|"))
                }
                _ => None,
            });
            Ok(rows.collect::<Vec<_>>().join("\n"))
        })
    }

    async fn connect(&self, user: &str, database: &str) -> Result<Client, Error> {
        let mut config = tokio_postgres::Config::new();
        let proxy = self.proxy.get();
        match proxy.filter(|_| user != "postgres" && user != PROVISIONER) {
            Some(proxy) => config.host("127.0.0.1").port(proxy.port()),
            None => config.host(&self.server.socket).port(self.server.port),
        };
        let (client, connection) = config
            .user(user)
            .dbname(database)
            .application_name(APPLICATION)
            .connect(NoTls)
            .await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// dbproxy, with this manifest of cluster `c`, and the way there as the provisioner.
    pub fn command(&self, manifest: &str, arguments: &[&str]) -> (i32, String) {
        let proxy = self.proxy.get().expect("users come through dbproxy");
        let path = proxy.config.with_extension("access.toml");
        std::fs::write(&path, manifest).unwrap();
        let output = dbproxy(&self.sandbox.aws_env("dbproxy"))
            .args(arguments)
            .env("DBPROXY_CONFIG", &proxy.config)
            .env("DBPROXY_MANIFEST", &path)
            .output()
            .unwrap();
        let _ = std::fs::remove_file(&path);
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(!told.contains(&self.server.password), "a secret: {told}");
        (output.status.code().unwrap_or(-1), told)
    }

    pub fn plan(&self, wanted: &Wanted) -> Plan {
        let databases = wanted.databases.keys().cloned().collect();
        let found = wait_for(inspect(self, &databases)).unwrap();
        plan(wanted, &found).unwrap_or_else(|obstacles| {
            let obstacles: Vec<_> = obstacles.iter().map(ToString::to_string).collect();
            panic!("{}", obstacles.join("\n"))
        })
    }

    pub fn apply(&self, plan: &Plan, progress: impl FnMut(Progress<'_>)) -> Result<Applied, ApplyError> {
        let options = Options {
            allow_destructive: true,
            ..Options::default()
        };
        wait_for(apply(self, plan, &options, progress))
    }

    /// Makes it so in one run, sees that a second would do nothing, and that no more was borrowed than given back.
    pub fn settle(&self, wanted: &Wanted) -> Plan {
        let plan = self.plan(wanted);
        if let Err(error) = self.apply(&plan, |_| {}) {
            panic!("{error}: {}\n{}", dbproxy::error::Chain(&error), listing(&plan));
        }
        self.is_settled(wanted);
        plan
    }

    pub fn is_settled(&self, wanted: &Wanted) {
        let again = self.plan(wanted);
        assert_eq!(listing(&again), "", "the second run is to have nothing to do");
        let lent = format!(
            "select r.rolname from pg_auth_members m join pg_roles r on r.oid = m.roleid \
             where m.member = '{PROVISIONER}'::regrole and m.roleid >= 16384 and r.rolname <> 'rds_iam'{}",
            if self.major < 16 {
                ""
            } else {
                " and (m.inherit_option or m.set_option)"
            }
        );
        assert_eq!(
            self.administer("postgres", &lent),
            "",
            "lent to the provisioner for good"
        );
    }
}

/// Titles and statements.
pub fn listing(plan: &Plan) -> String {
    let steps = plan.steps.iter().map(|step| {
        let place = step.database.as_ref().map_or("", Database::as_str);
        format!(
            "-- {} @{place} {:?} {:?}\n{}\n",
            step.title,
            step.as_role,
            step.kind,
            step.statements.join("\n")
        )
    });
    steps.collect()
}

/// What a server, or the way to it, said.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error("{0} {1}")]
    Server(String, String),
    #[error("{0}")]
    Way(String),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        match error.as_db_error() {
            Some(said) => Self::Server(said.code().code().to_owned(), said.message().to_owned()),
            None => Self::Way(error.to_string()),
        }
    }
}

impl Ground {
    /// The doors of somebody else than the provisioner.
    pub fn doors_of<'a>(&'a self, user: &'a str) -> DoorsOf<'a> {
        DoorsOf { ground: self, user }
    }
}

pub struct DoorsOf<'a> {
    ground: &'a Ground,
    user: &'a str,
}

impl Doors for Ground {
    async fn open(&self, database: Option<&Database>) -> Result<Client, OpenError> {
        self.doors_of(PROVISIONER).open(database).await
    }
}

impl Doors for DoorsOf<'_> {
    async fn open(&self, database: Option<&Database>) -> Result<Client, OpenError> {
        let name = database.map_or(MAINTENANCE, Database::as_str);
        let connected = self.ground.connect(self.user, name).await;
        connected.map_err(|error| {
            let code = error.code().map_or("08006", |code| code.code());
            let state = SqlState::of_server(code);
            let refusal = Refusal::new(CloseReason::ServerRefused, state, error.to_string());
            OpenError {
                database: name.to_owned(),
                refusal: Box::new(refusal),
                source: error.into(),
            }
        })
    }
}
