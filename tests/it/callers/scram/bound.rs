//! SCRAM-SHA-256-PLUS: the password exchange holds for this TLS connection only, by every client that can do it.

use super::{SECRET, proxy};
use crate::callers::assert_is;
use crate::callers::by_driver::{NODE_POSTGRES, PSYCOPG};
use crate::differential::tokio_tls::Tls;
use crate::drivers::{node_modules, python};
use crate::support::tls::client_tls;
use crate::support::{Proxy, Sandbox, psql};
use std::process::Command;
use tokio_postgres::config::{ChannelBinding, SslMode};

const WHO: &str = "select current_user";

#[test]
fn libpq_can_require_channel_binding() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, &client_tls(sandbox, ""));
    let place = format!(
        "port={} user=dashboard dbname=app channel_binding=require",
        proxy.port()
    );
    let roots = sandbox.text("/ca/proxy_ca");
    let connection = format!("host=localhost {place} sslmode=verify-full sslrootcert={roots}");
    let password = [("PGPASSWORD", SECRET)];
    assert_is(&proxy, &psql(&connection, &password, WHO), "app_ro");
    // A newer one.
    let script = PSYCOPG.replace(
        "connect('')",
        &format!("connect('{connection} require_auth=scram-sha-256')"),
    );
    let output = Command::new(python())
        .args(["-c", &script])
        .env("PGPASSWORD", SECRET)
        .output()
        .unwrap();
    assert_is(&proxy, &output, "app_ro");
    // Outside of TLS there is nothing to bind to, and a client that insists on it does not go on.
    let clear = format!("host=127.0.0.1 {place} sslmode=disable");
    let output = psql(&clear, &password, WHO);
    assert!(!output.status.success() && output.stdout.is_empty());
}

const SAY_MECHANISM: &str =
    "client.connection.on('authenticationSASLContinue', () => console.error(client.saslSession.mechanism));";

/// node-postgres takes the mechanism when it is offered; what it binds to must be what dbproxy binds to.
#[test]
fn other_drivers_bind_to_the_channel_too() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, &client_tls(sandbox, "required = true"));
    let roots = sandbox.text("/ca/proxy_ca");
    let options =
        format!("{{ enableChannelBinding: true, ssl: {{ ca: require('fs').readFileSync('{roots}') }} }}");
    let script = NODE_POSTGRES
        .replace("Client)()", &format!("Client)({options})"))
        .replace("client.connect()", &format!("{SAY_MECHANISM}\nclient.connect()"));
    let output = Command::new("node")
        .args(["-e", &script])
        .env("NODE_PATH", node_modules())
        .env("PGHOST", "localhost")
        .env("PGPORT", proxy.port().to_string())
        .env("PGUSER", "dashboard")
        .env("PGPASSWORD", SECRET)
        .env("PGDATABASE", "app")
        .output()
        .unwrap();
    assert_is(&proxy, &output, "app_ro");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "SCRAM-SHA-256-PLUS\n");
    assert_eq!(by_tokio_postgres(&proxy, &roots).unwrap(), "app_ro");
}

fn by_tokio_postgres(proxy: &Proxy, roots: &str) -> Result<String, tokio_postgres::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::Config::new()
            .host("localhost")
            .port(proxy.port())
            .user("dashboard")
            .password(SECRET)
            .dbname("app")
            .ssl_mode(SslMode::Require)
            .channel_binding(ChannelBinding::Require)
            .connect(Tls::trusting(roots))
            .await?;
        tokio::spawn(connection);
        Ok(client.query_one("select current_user::text", &[]).await?.get(0))
    })
}
