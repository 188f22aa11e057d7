//! Client certificates: which name of them counts, and every client that can present one.

mod house;
mod names;
mod refused;
mod replaced;

use super::by_driver::{ASYNCPG, PSYCOPG, by_sqlx};
use super::{NOT_PROVEN, assert_is, configuration, line_of_session, permit, scram};
use crate::drivers::{node_modules, python};
use crate::support::{Proxy, Sandbox};
use house::{Held, House, dns, named, uri};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::path::Path;
use std::process::{Command, Output};

const SPIFFE: &str = "spiffe://example.org/ns/prod/sa/report";
const WHO: &str = "select current_user";

/// Whoever has any certificate.
fn anybody() -> String {
    permit("is Certificate", "app_ro")
}

/// psql was told that nothing is proven, and no more; the log says why.
#[track_caller]
fn assert_names_nobody(proxy: &Proxy, output: &Output, because: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains(NOT_PROVEN) && output.stdout.is_empty(), "{told}");
    let session = told.split("dbproxy session ").nth(1).expect("a session");
    let line = line_of_session(proxy, session.lines().next().unwrap());
    assert!(line.contains(because), "no `{because}` in {line}");
}

#[test]
fn every_driver_can_present_a_certificate() {
    let (sandbox, _turn) = Sandbox::shared();
    let house = House::new(sandbox);
    let cedar = permit(&format!("== Certificate::\"uri:{SPIFFE}\""), "app_ro");
    let proxy = house.proxy(sandbox, &cedar, "required = true");
    let held = house.give("report", &named(1, &[uri(SPIFFE)]));
    assert_is(&proxy, &house.psql(&proxy, Some(&held), WHO), "app_ro");
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
            .env("PGHOST", "localhost")
            .env("PGPORT", proxy.port().to_string())
            .env("PGUSER", "jane")
            .env("PGDATABASE", "app")
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", &house.roots)
            .env("PGSSLCERT", &held.certificate)
            .env("PGSSLKEY", &held.key)
            .output()
            .unwrap();
        assert_is(&proxy, &output, "app_ro");
    }
    let options = PgConnectOptions::new_without_pgpass()
        .host("localhost")
        .port(proxy.port())
        .username("jane")
        .database("app")
        .ssl_mode(PgSslMode::VerifyFull)
        .ssl_root_cert(&house.roots)
        .ssl_client_cert(&held.certificate)
        .ssl_client_key(&held.key);
    assert_eq!(by_sqlx(&options).unwrap(), "app_ro");
    proxy.wait_until_logged(&format!("caller=cert:uri:{SPIFFE} "));

    // Another one's is another one's.
    let held = house.give("other", &named(2, &[uri(&format!("{SPIFFE}2"))]));
    let told = house.psql(&proxy, Some(&held), WHO).stderr;
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("HINT:  You may be none of the db users"), "{told}");
    proxy.wait_until_logged(&format!("caller=cert:uri:{SPIFFE}2 "));
}

/// Its own reading of the environment gives node-postgres no key.
const NODE_POSTGRES: &str = "
const [ca, cert, key] = ['ROOTCERT', 'CERT', 'KEY'].map((name) => require('fs').readFileSync(process.env['PGSSL' + name]));
const client = new (require('pg').Client)({ ssl: { ca, cert, key } });
client.connect()
  .then(() => client.query('select current_user'))
  .then((result) => { console.log(result.rows[0].current_user); return client.end(); })";
const POSTGRES_JS: &str = "
const [ca, cert, key] = ['ROOTCERT', 'CERT', 'KEY'].map((name) => require('fs').readFileSync(process.env['PGSSL' + name]));
const sql = require('postgres')({ ssl: { ca, cert, key, servername: 'localhost' }, fetch_types: false });
sql`select current_user`.then(([row]) => { console.log(row.current_user); return sql.end(); })";

/// A certificate is optional inside TLS; what stands behind `mtls` is asked of those who have none.
#[test]
fn without_a_certificate_the_next_authenticator_asks() {
    let (sandbox, _turn) = Sandbox::shared();
    let house = House::new(sandbox);
    let held = house.give("jane", &named(1, &[dns("jane.example.org")]));
    let twice = house.give("twice", &named(2, &[dns("a.example.org"), dns("b.example.org")]));
    let alone = house.proxy(sandbox, &anybody(), "");
    let because = "nothing that the listener accepts was proven";
    assert_names_nobody(&alone, &house.psql(&alone, None, WHO), because);
    assert_names_nobody(&alone, &super::psql_as(&alone, "jane", "", WHO), because);

    let cedar = anybody() + &permit("is PasswordUser", "app_rw");
    let tables = scram::table(sandbox, &[("jane", scram::SECRET)]) + &house.tls(sandbox, "");
    let password = [("PGPASSWORD", scram::SECRET)];
    let who = |authenticators: &[&str], held: Option<&Held>, environment: &[(&str, &str)]| {
        let config = configuration(sandbox, authenticators, &cedar, ("", &tables));
        let proxy = Proxy::start(sandbox, &config);
        let output = house.psql_with(&proxy, held, environment, WHO);
        (proxy, output)
    };
    let (proxy, output) = who(&["mtls", "scram"], Some(&held), &password);
    assert_is(&proxy, &output, "app_ro");
    let (proxy, output) = who(&["mtls", "scram"], None, &password);
    assert_is(&proxy, &output, "app_rw");
    let (_proxy, output) = who(&["mtls", "scram"], None, &[]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("no password supplied"), "{told}");
    // One that names nobody is not passed over.
    let (proxy, output) = who(&["mtls", "scram"], Some(&twice), &password);
    assert_names_nobody(&proxy, &output, "more than one DNS name");
    // Everybody is asked for a password first: then a certificate stands for nothing.
    let (proxy, output) = who(&["scram", "mtls"], Some(&held), &password);
    assert_is(&proxy, &output, "app_rw");
}
