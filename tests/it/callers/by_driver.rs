//! The drivers of the differential tests, each logging in and asking who it is.

use super::{assert_is, psql_as};
use crate::drivers::{node_modules, python};
use crate::support::Proxy;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use std::path::Path;
use std::process::Command;

pub const PSYCOPG: &str =
    "import psycopg; print(psycopg.connect('').execute('select current_user').fetchone()[0])";
pub const ASYNCPG: &str = "
import asyncio, asyncpg
async def main():
    connection = await asyncpg.connect()
    print(await connection.fetchval('select current_user'))
    await connection.close()
asyncio.run(main())";
pub const NODE_POSTGRES: &str = "
const client = new (require('pg').Client)();
client.connect()
  .then(() => client.query('select current_user'))
  .then((result) => { console.log(result.rows[0].current_user); return client.end(); })";

const POSTGRES_JS: &str = "
const sql = require('postgres')({ ssl: false, fetch_types: false });
sql`select current_user`.then(([row]) => { console.log(row.current_user); return sql.end(); })";

/// Every driver gets in with this user and a password of this kind, and is that db user.
#[track_caller]
pub fn assert_drivers_log_in(proxy: &Proxy, user: &str, password: impl Fn() -> String, db_user: &str) {
    assert_is(
        proxy,
        &psql_as(proxy, user, &password(), "select current_user"),
        db_user,
    );
    let python = python();
    let scripts: [(&Path, &str, &str); 4] = [
        (&python, "-c", PSYCOPG),
        (&python, "-c", ASYNCPG),
        (Path::new("node"), "-e", NODE_POSTGRES),
        (Path::new("node"), "-e", POSTGRES_JS),
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
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(proxy.port())
        .username(user)
        .password(&password())
        .database("app")
        .ssl_mode(PgSslMode::Disable);
    assert_eq!(by_sqlx(&options).unwrap(), db_user);
}

pub fn by_tokio_postgres(proxy: &Proxy, user: &str, password: &str) -> Result<String, tokio_postgres::Error> {
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

pub fn by_sqlx(options: &PgConnectOptions) -> Result<String, sqlx::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut connection = options.connect().await?;
        let user = sqlx::query_scalar("select current_user::text");
        let user = user.fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(user)
    })
}
