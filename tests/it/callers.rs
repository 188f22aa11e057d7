//! Callers prove who they are, by every authenticator, and policy says whom they may be: with the real
//! binary, drivers, an issuer of tokens and the sandbox's AWS.

mod aws_iam;
mod bearer;
pub mod client;
mod guesses;
mod issuers;
mod oidc;
mod outside;
pub mod scram;
mod several;

use crate::drivers::{node_modules, python};
use crate::support::raw::Message;
use crate::support::{Proxy, Sandbox, psql};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// What everybody reads who has proven nothing, whatever was wrong.
const NOT_PROVEN: &str = "who you are was not proven";

pub const USERS: &str = "db_users = [\"app_ro\", \"app_rw\"]\ndb_roles = { reader = [\"app_ro\"] }";

/// A directory of the test's own, such as for policies.
pub fn directory(sandbox: &Sandbox) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let directory = sandbox.dir.join(format!("callers-{number}"));
    // An earlier run's.
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// `[policy]` with this policy.
fn policy(sandbox: &Sandbox, cedar: &str) -> String {
    let directory = directory(sandbox);
    std::fs::write(directory.join("it.cedar"), cedar).unwrap();
    format!("[policy]\ndir = \"{}\"\n", directory.display())
}

/// Whoever is (in) this may be the db user.
pub fn permit(principal: &str, db_user: &str) -> String {
    let id = db_user.replace('_', "-");
    format!(
        "@id(\"as-{id}\")\npermit (principal {principal}, action == Action::\"connect\", \
         resource == DbUser::\"orders/{db_user}\");\n"
    )
}

/// A loopback listener that takes these authenticators: `head` stands at the top of the file, `tables` behind.
pub fn configuration(
    sandbox: &Sandbox,
    authenticators: &[&str],
    cedar: &str,
    (head, tables): (&str, &str),
) -> String {
    format!(
        "authenticators = {authenticators:?}\n{head}\n{}{tables}\n{}",
        policy(sandbox, cedar),
        sandbox.target("orders", USERS)
    )
}

/// SQLSTATE, message and hint of the last message, which is a refusal.
#[track_caller]
pub fn refusal(messages: &[Message]) -> [String; 3] {
    let error = messages.last().expect("an answer");
    assert_eq!(error.tag, b'E', "{messages:?}");
    [error.field(b'C'), error.field(b'M'), error.field(b'H')]
}

/// The client was told that it has proven nothing, and no more; the log says why.
#[track_caller]
fn assert_not_proven(proxy: &Proxy, messages: &[Message], because: &str) {
    let [state, message, _] = refusal(messages);
    assert_eq!((state.as_str(), message.as_str()), ("28P01", NOT_PROVEN));
    let line = line_of(proxy, messages.last().unwrap());
    assert!(line.contains(because), "no `{because}` in {line}");
}

/// The line of the log about a refusal.
pub fn line_of(proxy: &Proxy, error: &Message) -> String {
    let detail = error.field(b'D');
    let session = detail.strip_prefix("dbproxy session ").expect("a session");
    let is_meant = |line: &&str| line.contains(session) && line.contains("session refused");
    proxy.wait_until_logged(session);
    let log = proxy.log();
    let line = log.lines().find(is_meant);
    line.unwrap_or_else(|| panic!("no line about {session}:\n{log}"))
        .to_owned()
}

/// psql with this password, without TLS.
fn psql_as(proxy: &Proxy, user: &str, password: &str, sql: &str) -> Output {
    let connection = format!(
        "host=127.0.0.1 port={} user={user} dbname=app sslmode=disable",
        proxy.port()
    );
    psql(&connection, &[("PGPASSWORD", password)], sql)
}

#[track_caller]
fn assert_is(proxy: &Proxy, output: &Output, db_user: &str) {
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        db_user,
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        proxy.log()
    );
}

const PSYCOPG: &str =
    "import psycopg; print(psycopg.connect('').execute('select current_user').fetchone()[0])";
const ASYNCPG: &str = "
import asyncio, asyncpg
async def main():
    connection = await asyncpg.connect()
    print(await connection.fetchval('select current_user'))
    await connection.close()
asyncio.run(main())";
const NODE_POSTGRES: &str = "
const client = new (require('pg').Client)();
client.connect()
  .then(() => client.query('select current_user'))
  .then((result) => { console.log(result.rows[0].current_user); return client.end(); })";

/// Every driver gets in with this user and a password of this kind, and is that db user.
#[track_caller]
fn assert_drivers_log_in(proxy: &Proxy, user: &str, password: impl Fn() -> String, db_user: &str) {
    assert_is(
        proxy,
        &psql_as(proxy, user, &password(), "select current_user"),
        db_user,
    );
    let python = python();
    let scripts: [(&Path, &str, &str); 3] = [
        (&python, "-c", PSYCOPG),
        (&python, "-c", ASYNCPG),
        (Path::new("node"), "-e", NODE_POSTGRES),
    ];
    for (program, flag, script) in scripts {
        let output = Command::new(program)
            .args([flag, script])
            .env("NODE_PATH", node_modules())
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", proxy.port().to_string())
            .env("PGUSER", user)
            .env("PGPASSWORD", password())
            .env("PGDATABASE", "app")
            .env("PGSSLMODE", "disable")
            .output()
            .unwrap();
        assert_is(proxy, &output, db_user);
    }
    assert_eq!(by_tokio_postgres(proxy, user, &password()).unwrap(), db_user);
}

fn by_tokio_postgres(proxy: &Proxy, user: &str, password: &str) -> Result<String, tokio_postgres::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::Config::new()
            .host("127.0.0.1")
            .port(proxy.port())
            .user(user)
            .password(password)
            .dbname("app")
            .connect(tokio_postgres::NoTls)
            .await?;
        tokio::spawn(connection);
        Ok(client.query_one("select current_user::text", &[]).await?.get(0))
    })
}
