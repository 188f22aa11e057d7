//! tokio-postgres, told directly in Rust.

use super::tokio_tls::Tls;
use super::ways::{Way, Ways};
use crate::support::Sandbox;
use std::fmt::Write;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use tokio_postgres::{AsyncMessage, Client, Connection, Error, NoTls, Socket};

/// What the server says without being asked, as it comes.
type Heard = Arc<Mutex<Vec<String>>>;

impl Way {
    fn config(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        let value = |name| self.value(name).unwrap();
        config
            .host(value("PGHOST"))
            .port(value("PGPORT").parse().unwrap());
        config.user(value("PGUSER")).dbname(value("PGDATABASE"));
        if let Some(password) = self.value("PGPASSWORD") {
            config.password(password);
        }
        if self.tls().is_some() {
            config.ssl_mode(tokio_postgres::config::SslMode::Require);
        }
        config
    }

    fn tls(&self) -> Option<Tls> {
        self.value("PGSSLROOTCERT").map(Tls::trusting)
    }
}

/// Every field of an error; the driver's own errors have none.
fn fields(error: &Error) -> String {
    format!("{:?}", error.as_db_error())
}

const PARAMETERS: [&str; 12] = [
    "server_version",
    "server_encoding",
    "client_encoding",
    "application_name",
    "is_superuser",
    "session_authorization",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
    "in_hot_standby",
];

/// Drives the connection; writes down its parameters first, then what is heard.
fn drive<T>(mut connection: Connection<Socket, T>, heard: &Heard)
where
    T: tokio_postgres::tls::TlsStream + Unpin + Send + 'static,
{
    let heard = heard.clone();
    for name in PARAMETERS {
        let line = format!("{name} = {:?}", connection.parameter(name));
        heard.lock().unwrap().push(line);
    }
    tokio::spawn(async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            let line = match message {
                Ok(AsyncMessage::Notice(notice)) => format!("notice {notice:?}"),
                Ok(AsyncMessage::Notification(note)) => format!("note {} {}", note.channel(), note.payload()),
                Ok(_) => "something else".to_owned(),
                Err(error) => fields(&error),
            };
            heard.lock().unwrap().push(line);
        }
    });
}

async fn connect(way: &Way, config: &tokio_postgres::Config, heard: &Heard) -> Result<Client, Error> {
    match way.tls() {
        Some(tls) => {
            let (client, connection) = config.connect(tls).await?;
            drive(connection, heard);
            Ok(client)
        }
        None => {
            let (client, connection) = config.connect(NoTls).await?;
            drive(connection, heard);
            Ok(client)
        }
    }
}

async fn queries(client: &Client, told: &mut String) {
    for query in [
        "select 1 as a, 'x', null; select 2; set work_mem = '5MB'",
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
        "do $$ begin raise notice 'a notice' using detail = 'd', hint = 'h'; raise warning 'w'; end $$",
        "begin; select 1 / 0",
        "select 'not now'",
        "rollback",
    ] {
        match client.simple_query(query).await {
            Ok(answers) => writeln!(told, "{query}: {answers:?}").unwrap(),
            Err(error) => writeln!(told, "{query}: {}", fields(&error)).unwrap(),
        }
    }
    let statement = client
        .prepare("select $1::int8 + 1, $2::text, id from t where id = $3")
        .await;
    let statement = statement.unwrap();
    let columns: Vec<_> = statement
        .columns()
        .iter()
        .map(|c| (c.name(), c.type_().oid()))
        .collect();
    writeln!(told, "{:?} {columns:?}", statement.params()).unwrap();
    for id in [1i32, 2, 1000] {
        let rows = client.query(&statement, &[&41i64, &"zwölf", &id]).await.unwrap();
        let row = rows.first();
        writeln!(told, "{:?}", row.map(|row| row.get::<_, i64>(0))).unwrap();
    }
    for query in ["select 1 / $1::int", "select $1::nothing"] {
        let error = client.query(query, &[&0i32]).await.unwrap_err();
        writeln!(told, "{query}: {}", fields(&error)).unwrap();
    }
}

/// Cancels a query that is sure to be under way.
async fn cancel(way: &Way, client: &Client, told: &mut String) {
    let other = connect(way, &way.config(), &Heard::default()).await.unwrap();
    let pid = client.query_one("select pg_backend_pid()", &[]).await.unwrap();
    let pid: i32 = pid.get(0);
    let asleep = "select 1 from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'";
    let token = client.cancel_token();
    let sleeping = client.simple_query("select pg_sleep(60)");
    let cancelling = async {
        while other.query(asleep, &[&pid]).await.unwrap().is_empty() {}
        match way.tls() {
            Some(tls) => token.cancel_query(tls).await,
            None => token.cancel_query(NoTls).await,
        }
    };
    let (slept, cancelled) = tokio::join!(sleeping, cancelling);
    cancelled.unwrap();
    writeln!(told, "{}", fields(&slept.unwrap_err())).unwrap();
}

async fn transcript(way: &Way) -> String {
    let (mut told, heard) = (String::new(), Heard::default());
    let client = connect(way, &way.config(), &heard).await.unwrap();
    queries(&client, &mut told).await;
    cancel(way, &client, &mut told).await;
    let label = way.value("DIFF_LABEL").unwrap();
    let notify = format!("listen {label}; notify {label}, 'to myself'; select 1");
    writeln!(told, "{:?}", client.simple_query(&notify).await.unwrap()).unwrap();
    // Notices and notifications are heard before the answer behind them.
    client.simple_query("select 'the end'").await.unwrap();
    for (option, value) in [("options", "-c work_mem=never"), ("dbname", "nothing")] {
        let mut config = way.config();
        match option {
            "options" => config.options(value),
            _ => config.dbname(value),
        };
        let error = connect(way, &config, &heard).await.err().unwrap();
        let error = error.as_db_error().unwrap();
        // Where in its source the server has it from, dbproxy does not pass on here.
        writeln!(told, "{option} {:?} {}", error.code(), error.message()).unwrap();
    }
    writeln!(told, "{}", heard.lock().unwrap().join("\n")).unwrap();
    told
}

#[test]
fn tokio_postgres_sees_the_same_through_dbproxy_as_directly() {
    let (sandbox, _turn) = Sandbox::shared();
    let ways = Ways::new(sandbox, "tokio");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(1)
        .build()
        .unwrap();
    ways.compare("script", |way| {
        let told = runtime.block_on(transcript(way));
        assert!(told.contains("note diff_tokio to myself"), "{told}");
        told
    });
}
