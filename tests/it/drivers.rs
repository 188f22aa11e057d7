//! Drivers as people use them: psycopg (sync and async), asyncpg, node-postgres, tokio-postgres,
//! pgbench. Each runs the same story: log in, parameters, a transaction, an error, COPY, a notice,
//! LISTEN/NOTIFY, a cancel, many at once.

use crate::support::sandbox::root;
use crate::support::{Proxy, Sandbox};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Mutex;

fn proxy(sandbox: &Sandbox) -> Proxy {
    Proxy::start(
        sandbox,
        &sandbox.target("orders", "db_users = [\"app_ro\", \"app_rw\"]"),
    )
}

pub fn target_dir() -> PathBuf {
    std::env::var("CARGO_TARGET_DIR").map_or_else(|_| root().join("target"), PathBuf::from)
}

/// The interpreter of the sandbox, which has the drivers and botocore.
pub fn python() -> PathBuf {
    target_dir().join("sandbox-venv/bin/python")
}

fn told(output: &Output) -> String {
    format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[track_caller]
fn run(program: impl AsRef<std::ffi::OsStr>, script: &str, proxy: &Proxy) {
    let output = Command::new(program)
        .arg(root().join("tests/drivers").join(script))
        .env("DBPROXY_PORT", proxy.port().to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("all steps passed"), "{}", told(&output));
}

#[test]
fn psycopg() {
    let (sandbox, _turn) = Sandbox::shared();
    run(
        target_dir().join("sandbox-venv/bin/python"),
        "psycopg_story.py",
        &proxy(sandbox),
    );
}

#[test]
fn asyncpg() {
    let (sandbox, _turn) = Sandbox::shared();
    run(
        target_dir().join("sandbox-venv/bin/python"),
        "asyncpg_story.py",
        &proxy(sandbox),
    );
}

/// The folder with the packages of tests/drivers/package-lock.json, installed when that has changed.
pub fn node_modules() -> PathBuf {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap();
    let place = target_dir().join("drivers-node");
    std::fs::create_dir_all(&place).unwrap();
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(root().join("tests/drivers").join(file), place.join(file)).unwrap();
    }
    let (wanted, installed) = (place.join("package-lock.json"), place.join("installed-lock.json"));
    let wanted = std::fs::read(wanted).unwrap();
    if std::fs::read(&installed).ok().as_ref() != Some(&wanted) {
        let install = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&place)
            .output()
            .unwrap();
        assert!(install.status.success(), "{}", told(&install));
        std::fs::write(installed, wanted).unwrap();
    }
    place.join("node_modules")
}

#[test]
fn node_postgres() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let output = Command::new("node")
        .arg(root().join("tests/drivers/node_story.js"))
        .env("NODE_PATH", node_modules())
        .env("DBPROXY_PORT", proxy.port().to_string())
        .output()
        .unwrap();
    assert!(
        output.status.success() && told(&output).contains("all steps passed"),
        "{}",
        told(&output)
    );
}

#[test]
fn pgbench_in_every_query_mode() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    for mode in ["simple", "extended", "prepared"] {
        let output = Command::new("pgbench")
            .args(["-n", "-S", "-c", "4", "-j", "2", "-t", "50", "-M", mode])
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &proxy.port().to_string(),
                "-U",
                "app_rw",
                "app",
            ])
            .output()
            .unwrap();
        assert!(
            told(&output).contains("number of transactions actually processed: 200/200"),
            "{}",
            told(&output)
        );
    }
}

#[test]
fn tokio_postgres() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let config = format!("host=127.0.0.1 port={} user=app_rw dbname=app", proxy.port());
        let (mut client, connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let row = client
            .query_one("select $1::int + 1, current_user::text", &[&41i32])
            .await
            .unwrap();
        assert_eq!(
            (row.get::<_, i32>(0), row.get::<_, String>(1)),
            (42, "app_rw".to_owned())
        );
        // Pipelined: a hundred queries under way at once.
        let statement = client.prepare("select $1::int").await.unwrap();
        let numbers: Vec<i32> = (0..100).collect();
        let queries: Vec<_> = numbers
            .iter()
            .map(|n| {
                let (client, statement) = (&client, &statement);
                async move { client.query_one(statement, &[n]).await.unwrap().get::<_, i32>(0) }
            })
            .collect();
        for (number, query) in queries.into_iter().enumerate() {
            assert_eq!(query.await, number as i32);
        }
        let transaction = client.transaction().await.unwrap();
        let error = transaction
            .execute("insert into items values (1, 'again')", &[])
            .await
            .unwrap_err();
        assert_eq!(error.code().unwrap().code(), "23505");
        transaction.rollback().await.unwrap();
        let token = client.cancel_token();
        let sleeping = client.simple_query("select pg_sleep(60)");
        let cancel = async {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            token.cancel_query(tokio_postgres::NoTls).await.unwrap();
        };
        let (slept, ()) = tokio::join!(sleeping, cancel);
        assert_eq!(slept.unwrap_err().code().unwrap().code(), "57014");
    });
}
