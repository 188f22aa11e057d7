//! sqlx, told directly in Rust.

use super::ways::{Way, Ways};
use crate::support::Sandbox;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions, PgSslMode};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, Executor, PgConnection, Row, TypeInfo};
use std::fmt::Write;

fn options(way: &Way) -> PgConnectOptions {
    let value = |name| way.value(name).unwrap();
    let options = PgConnectOptions::new_without_pgpass()
        .host(value("PGHOST"))
        .port(value("PGPORT").parse().unwrap())
        .username(value("PGUSER"))
        .database(value("PGDATABASE"));
    let options = match way.value("PGPASSWORD") {
        Some(password) => options.password(password),
        None => options,
    };
    match way.value("PGSSLROOTCERT") {
        Some(root) => options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(root),
        None => options.ssl_mode(PgSslMode::Disable),
    }
}

/// Every field of an error of the server.
fn fields(error: &sqlx::Error) -> String {
    format!("{:?}", error.as_database_error())
}

async fn queries(connection: &mut PgConnection, told: &mut String) {
    for query in [
        "create temp table t (id int primary key, x text check (x <> 'bad'))",
        "insert into t select n, 'n' from generate_series(1, 40) as n",
        "insert into t values (1, 'again')",
        "insert into t values (50, 'bad')",
        "select 1 / 0",
        "selekt",
        "select nothing from items",
        "delete from items",
        "do $$ begin raise exception 'made by hand' using detail = 'a detail', hint = 'a hint', errcode = 'ZZ001', \
         column = 'c', constraint = 'k', datatype = 'd', table = 't', schema = 's'; end $$",
        "set timezone = 'Asia/Kathmandu'",
    ] {
        // Both as a simple query and prepared.
        let simple = connection.execute(sqlx::raw_sql(query)).await;
        let prepared = connection.execute(sqlx::query(query)).await;
        for result in [simple, prepared] {
            match result {
                Ok(done) => writeln!(told, "{query}: {done:?}").unwrap(),
                Err(error) => writeln!(told, "{query}: {}", fields(&error)).unwrap(),
            }
        }
    }
    for id in [1i32, 2] {
        let query = sqlx::query("select id, x, $2::int8 + 1 as sum, null::uuid as none from t where id = $1");
        let row = query
            .bind(id)
            .bind(41i64)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        let columns: Vec<_> = row
            .columns()
            .iter()
            .map(|c| (c.name(), c.type_info().name()))
            .collect();
        let values = (
            row.get::<i32, _>(0),
            row.get::<String, _>(1),
            row.get::<i64, _>(2),
        );
        writeln!(told, "{columns:?} {values:?}").unwrap();
    }
    let big = vec![7u8; 1_000_000];
    let same = sqlx::query_scalar("select $1::bytea")
        .bind(&big)
        .fetch_one(&mut *connection);
    let same: Vec<u8> = same.await.unwrap();
    writeln!(told, "{}", same == big).unwrap();
}

async fn transaction_and_copy(connection: &mut PgConnection, told: &mut String) {
    let mut transaction = connection.begin().await.unwrap();
    let failed = transaction.execute("select 1 / 0").await.unwrap_err();
    let aborted = transaction.execute("select 1").await.unwrap_err();
    writeln!(told, "{} {}", fields(&failed), fields(&aborted)).unwrap();
    transaction.rollback().await.unwrap();
    for lines in ["100\tin\n101\tin\n", "x\ty\n"] {
        let mut copy = connection.copy_in_raw("copy t from stdin").await.unwrap();
        copy.send(lines.as_bytes()).await.unwrap();
        match copy.finish().await {
            Ok(count) => writeln!(told, "copied {count}").unwrap(),
            Err(error) => writeln!(told, "{}", fields(&error)).unwrap(),
        }
    }
}

async fn transcript(way: &Way) -> String {
    let mut told = String::new();
    let mut connection = options(way).connect().await.unwrap();
    queries(&mut connection, &mut told).await;
    transaction_and_copy(&mut connection, &mut told).await;
    let label = way.value("DIFF_LABEL").unwrap();
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .connect_with(options(way))
        .await
        .unwrap();
    let mut listener = PgListener::connect_with(&pool).await.unwrap();
    listener.listen(label).await.unwrap();
    let notify = AssertSqlSafe(format!("notify {label}, 'hello'; select pg_backend_pid()"));
    let sender = connection.fetch_one(sqlx::raw_sql(notify)).await.unwrap();
    let heard = listener.recv().await.unwrap();
    let own = heard.process_id() as i32 == sender.get::<i32, _>(0);
    writeln!(
        told,
        "{} {} from the sender: {own}",
        heard.channel(),
        heard.payload()
    )
    .unwrap();
    let settings = options(way)
        .application_name("named")
        .options([("work_mem", "6MB")]);
    let mut named = settings.connect().await.unwrap();
    let query = "select current_setting('application_name') || current_setting('work_mem')";
    let set: String = sqlx::query_scalar(query).fetch_one(&mut named).await.unwrap();
    writeln!(told, "{set}").unwrap();
    let refused = [
        options(way).database("nothing"),
        options(way).options([("work_mem", "never")]),
    ];
    for options in refused {
        let error = options.connect().await.unwrap_err();
        let error = error.as_database_error().unwrap();
        // Where in its source the server has it from, dbproxy does not pass on here.
        writeln!(told, "{:?} {}", error.code(), error.message()).unwrap();
    }
    told
}

#[test]
fn sqlx_sees_the_same_through_dbproxy_as_directly() {
    let (sandbox, _turn) = Sandbox::shared();
    let ways = Ways::new(sandbox, "sqlx");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(1)
        .build()
        .unwrap();
    ways.compare("script", |way| {
        let told = runtime.block_on(transcript(way));
        assert!(told.contains("diff_sqlx hello from the sender: true"), "{told}");
        told
    });
}
