//! The caller's side of a shared broker: a dbproxy in front of another one, and `dbproxy login`.

mod command;
mod strange;

use crate::support::proxy::config_file;
use crate::support::raw::{Message, backend_key, cancel_request, startup};
use crate::support::tls::client_tls;
use crate::support::{Proxy, Raw, Sandbox};
use crate::watch::policies;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const AUDIENCE: &str = "orders-broker";
/// What proofs begin with: nothing that is logged or told may hold it.
const PROOF: &str = "dbproxy-aws-v1.";

/// A user of the sandbox's AWS that may do nothing there. The broker lets it be `app_ro` and `sandbox_admin`.
const CALLER: &str = "powerless";

fn broker(sandbox: &Sandbox) -> Proxy {
    let permit = |id: &str, user: &str| {
        format!(
            "@id(\"{id}\") permit (principal == IamUser::\"{}\", action, resource == DbUser::\"orders/{user}\");\n",
            sandbox.text(&format!("/aws/{CALLER}/arn"))
        )
    };
    // Tests run beside each other.
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("via{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let dir = policies(
        sandbox,
        &name,
        &(permit("reads", "app_ro") + &permit("looks", "sandbox_admin")),
    );
    let config = format!(
        "authenticators = [\"aws-iam\"]\n{}{}[aws_iam]\naudience = \"{AUDIENCE}\"\nendpoint = \"{}\"\n\
         [policy]\ndir = \"{}\"\n",
        sandbox.target("orders", "db_users = [\"app_ro\", \"app_rw\", \"sandbox_admin\"]"),
        client_tls(sandbox, "required = true"),
        sandbox.text("/aws/endpoint_url"),
        dir.display()
    );
    Proxy::start(sandbox, &config)
}

/// A laptop's dbproxy in front of it, with nothing but flags.
fn laptop(sandbox: &Sandbox, broker: &Proxy) -> Proxy {
    laptop_with(
        sandbox,
        broker,
        &["--audience", AUDIENCE, "--ca-file", &sandbox.text("/ca/proxy_ca")],
        &[],
    )
}

fn laptop_with(sandbox: &Sandbox, broker: &Proxy, flags: &[&str], environment: &[(&str, &str)]) -> Proxy {
    let via = format!("localhost:{}", broker.port());
    let arguments = [&["--listen", "127.0.0.1:0", "--via", &via], flags].concat();
    Proxy::start_with(sandbox, CALLER, "", &arguments, environment)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The refusal that a client reads: nothing of a proof is in it, nor in a log.
#[track_caller]
fn refusal(proxy: &Proxy, user: &str) -> String {
    refusal_of(proxy, user, "app")
}

#[track_caller]
fn refusal_of(proxy: &Proxy, user: &str, database: &str) -> String {
    let mut raw = Raw::connect(proxy.port());
    raw.send(&startup(3 << 16, &[("user", user), ("database", database)]));
    let error = raw.message().expect("an ErrorResponse");
    assert_eq!(error.tag, b'E', "{error:?}");
    let field = |kind| error.field(kind);
    let told = format!(
        "{}: {}\nDETAIL: {}\nHINT: {}",
        field(b'C'),
        field(b'M'),
        field(b'D'),
        field(b'H')
    );
    assert!(!told.contains(PROOF), "{told}");
    assert!(!proxy.log().contains(PROOF), "{}", proxy.log());
    told
}

#[test]
fn psql_gets_through_both_as_whoever_the_aws_credentials_are() {
    let (sandbox, _turn) = Sandbox::shared();
    let broker = broker(sandbox);
    let laptop = laptop(sandbox, &broker);
    assert_eq!(laptop.query("app_ro", "select current_user"), "app_ro");
    broker.wait_until_logged(&sandbox.text(&format!("/aws/{CALLER}/arn")));
    laptop.wait_until_logged("broker+aws_iam");
    // psql without a user's name asks for one that is nobody's here; several are permitted.
    let output = laptop.psql("nobody", "select 1");
    let error = text(&output.stderr);
    assert!(
        error.contains("You may connect as: app_ro, sandbox_admin"),
        "{error}"
    );
}

/// The one that logs in at the database says who the caller is; the laptop changes nothing, and what it must not
/// be given the broker refuses.
#[test]
fn the_broker_alone_tells_the_database_who_the_caller_is() {
    let (sandbox, _turn) = Sandbox::shared();
    let broker = broker(sandbox);
    let laptop = laptop(sandbox, &broker);
    let arn = sandbox.text(&format!("/aws/{CALLER}/arn"));
    let name = laptop.query("app_ro", "show application_name");
    assert_eq!(name, format!("psql ({arn})"));
    // Defaults are of databases.
    let config = format!(
        "[defaults]\ncaller_setting = true\n[targets.via]\nlisten = \"127.0.0.1:0\"\nendpoint = \"localhost:{}\"\n\
         ca_file = \"{}\"\ncredential = {{ kind = \"broker\", audience = \"{AUDIENCE}\" }}\n",
        broker.port(),
        sandbox.text("/ca/proxy_ca")
    );
    let laptop = Proxy::start_as(sandbox, CALLER, &config, &[]);
    let unknown = laptop.query("app_ro", "select current_setting('dbproxy.caller', true) is null");
    assert_eq!(unknown, "t");
    let mut raw = Raw::connect(laptop.port());
    let own = [("user", "app_ro"), ("database", "app"), ("dbproxy.caller", "x")];
    raw.send(&startup(3 << 16, &own));
    let error = raw.message().expect("an ErrorResponse");
    assert_eq!(error.field(b'C'), "42501", "{error:?}");
    broker.wait_until_logged("given by dbproxy alone");
}

/// The broker's own words, with its SQLSTATE and its hint, and the session ids of both.
#[test]
fn a_refusal_of_the_broker_reaches_the_client() {
    let (sandbox, _turn) = Sandbox::shared();
    let broker = broker(sandbox);
    let laptop = laptop(sandbox, &broker);
    let error = refusal(&laptop, "app_rw");
    assert!(error.starts_with("42501: "), "{error}");
    assert!(
        error.ends_with("HINT: You may connect as: app_ro, sandbox_admin."),
        "{error}"
    );
    assert_eq!(error.matches("dbproxy session ").count(), 2, "{error}");
    // So do those of the database behind it.
    let error = refusal_of(&laptop, "app_ro", "none");
    assert!(
        error.starts_with("3D000: database \"none\" does not exist"),
        "{error}"
    );
    let output = laptop.psql("app_ro", "delete from items");
    assert!(text(&output.stderr).contains("permission denied for table items"));
}

#[test]
fn a_proof_for_another_broker_is_told_apart() {
    let (sandbox, _turn) = Sandbox::shared();
    let broker = broker(sandbox);
    // The host is the name of a broker that has none.
    let laptop = laptop_with(
        sandbox,
        &broker,
        &["--ca-file", &sandbox.text("/ca/proxy_ca")],
        &[],
    );
    let error = refusal(&laptop, "app_ro");
    for part in [
        "28P01",
        "who you are was not proven",
        "by the session id. The broker did not accept the proof that this dbproxy made for \"localhost\"",
    ] {
        assert!(error.contains(part), "{part}\n{error}");
    }
    broker.wait_until_logged("SignatureDoesNotMatch");
    assert_eq!(laptop.metric("dbproxy_login_retries_total"), 0.0);
}

/// No proof is even made for a server that is not the broker.
#[test]
fn a_broker_that_is_not_trusted_is_shown_nothing() {
    let (sandbox, _turn) = Sandbox::shared();
    let broker = broker(sandbox);
    let wrong = sandbox.text("/ca/wrong");
    for flags in [
        &["--audience", AUDIENCE, "--ca-file", &wrong][..],
        &["--audience", AUDIENCE],
    ] {
        // Without a file it is the machine's own authorities that count.
        let own = [("SSL_CERT_FILE", wrong.as_str())];
        let laptop = laptop_with(sandbox, &broker, flags, &own);
        let error = refusal(&laptop, "app_ro");
        assert!(
            error.contains("08006") && error.contains("does not trust the broker"),
            "{error}"
        );
        assert!(error.contains("`--ca-file`"), "{error}");
    }
    broker.wait_for_metric("dbproxy_connections_closed_total{reason=\"client_tls\"}", 2.0);
    assert_eq!(
        broker.metric("dbproxy_connections_closed_total{reason=\"not_identified\"}"),
        0.0
    );
    let ca = sandbox.text("/ca/proxy_ca");
    let own = [("SSL_CERT_FILE", ca.as_str())];
    let laptop = laptop_with(sandbox, &broker, &["--audience", AUDIENCE], &own);
    assert_eq!(laptop.query("app_ro", "select current_user"), "app_ro");
    // The certificate is right, the name is not: `localhost` and 127.0.0.1 are its names.
    let via = format!("127.0.0.2:{}", broker.port());
    let flags = ["--listen", "127.0.0.1:0", "--via", &via, "--ca-file", &ca];
    let elsewhere = Proxy::start_as(sandbox, CALLER, "", &flags);
    let error = refusal(&elsewhere, "app_ro");
    assert!(
        error.contains("08001") || error.contains("another name"),
        "{error}"
    );
}

#[test]
fn control_c_reaches_the_database_through_both() {
    let (sandbox, _turn) = Sandbox::shared();
    let broker = broker(sandbox);
    let laptop = laptop(sandbox, &broker);
    let connection = format!(
        "host=127.0.0.1 port={} user=app_ro dbname=app application_name=via-ctrl-c",
        laptop.port()
    );
    let mut child = Command::new("psql")
        .args([
            "-X",
            "-v",
            "VERBOSITY=verbose",
            "-c",
            "select pg_sleep(60)",
            &connection,
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let running = "select count(*) from pg_stat_activity where application_name like 'via-ctrl-c (%' and state = 'active'";
    while laptop.query("sandbox_admin", running) != "1" {}
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert!(!child.wait().unwrap().success());
    let mut error = String::new();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert!(error.contains("57014"), "{error}");
    for proxy in [&laptop, &broker] {
        assert_eq!(
            proxy.metric("dbproxy_cancel_requests_total{outcome=\"forwarded\"}"),
            1.0
        );
    }
    // And so does that of a client that leaves in mid-query.
    let (mut raw, _) = Raw::log_in(laptop.port(), "app_ro");
    raw.query("select pg_sleep(61)");
    let running =
        "select count(*) from pg_stat_activity where query = 'select pg_sleep(61)' and state = 'active'";
    while laptop.query("sandbox_admin", running) != "1" {}
    drop(raw);
    while laptop.query("sandbox_admin", running) != "0" {}
}

/// Dates of proofs count seconds, and each proof opens one connection.
#[test]
fn many_connections_at_once_have_each_a_proof_of_its_own() {
    let sandbox = Sandbox::alone();
    let broker = broker(&sandbox);
    let laptop = laptop(&sandbox, &broker);
    let port = laptop.port();
    let clients: Vec<_> = (0..40)
        .map(|_| std::thread::spawn(move || Raw::log_in(port, "app_ro")))
        .collect();
    let sessions: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert_eq!(broker.metric("dbproxy_sessions_open"), 40.0);
    assert_eq!(sandbox.requests("sts.GetCallerIdentity"), 40);
    // Each has its own key at the broker, too.
    let cancels: Vec<_> = sessions
        .iter()
        .map(|(_, greeting)| backend_key(greeting))
        .collect();
    let mut sessions: Vec<Raw> = sessions.into_iter().map(|(raw, _)| raw).collect();
    let (mut first, mut second) = (sessions.remove(0), sessions.remove(0));
    first.query("select pg_sleep(60)");
    second.query("select 'done' from pg_sleep(1)");
    let running =
        "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'";
    while laptop.query("sandbox_admin", running) != "1" {}
    Raw::connect(port).send(&cancel_request(&cancels[0]));
    let is_cancelled =
        |messages: &[Message]| messages.iter().any(|m| m.tag == b'E' && m.field(b'C') == "57014");
    assert!(is_cancelled(&first.read_until(b'Z')));
    assert!(!is_cancelled(&second.read_until(b'Z')));
}

/// `[targets.orders]` with a broker for its server.
fn target(sandbox: &Sandbox, port: u16, credential: &str) -> String {
    format!(
        "[targets.orders]\nlisten = [\"127.0.0.1:0\"]\nendpoint = \"localhost:{port}\"\ndefault_database = \"app\"\n\
         ca_file = \"{}\"\ncredential = {{ kind = \"broker\"{credential} }}\n",
        sandbox.text("/ca/proxy_ca")
    )
}

fn configured(sandbox: &Sandbox, broker: &Proxy) -> PathBuf {
    let audience = format!(", audience = \"{AUDIENCE}\", proof = \"aws-iam\"");
    config_file(sandbox, &target(sandbox, broker.port(), &audience))
}
