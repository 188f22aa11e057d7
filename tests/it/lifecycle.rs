//! From the ready line to the last goodbye: probes, drain, signals, exit codes, unix sockets.

use crate::support::proxy::dbproxy;
use crate::support::raw::{backend_key, cancel_request, message, startup};
use crate::support::{Proxy, Raw, Sandbox, psql};

fn proxy(sandbox: &Sandbox, general: &str) -> Proxy {
    let target = sandbox.target("orders", "db_users = [\"app_ro\", \"sandbox_admin\"]");
    Proxy::start(sandbox, &format!("{general}{target}"))
}

#[test]
fn idle_sessions_are_told_at_shutdown_and_transactions_may_finish() {
    let (sandbox, _turn) = Sandbox::shared();
    let mut proxy = proxy(sandbox, "");
    let (mut idle, _) = Raw::log_in(proxy.port(), "app_ro");
    let (mut busy, _) = Raw::log_in(proxy.port(), "app_ro");
    busy.query("begin");
    busy.read_until(b'Z');
    proxy.signal("TERM");
    let error = idle.message().expect("a message before the close");
    assert_eq!((error.tag, error.field(b'C')), (b'E', "57P01".to_owned()));
    assert!(idle.is_closed());
    let mut late = Raw::connect(proxy.port());
    late.send(&startup(3 << 16, &[("user", "app_ro"), ("database", "app")]));
    assert_eq!(late.message().unwrap().field(b'C'), "57P01", "no new sessions");
    assert!(
        proxy
            .admin_request("GET", "/readiness", "")
            .1
            .contains("draining")
    );
    assert!(proxy.admin_request("GET", "/liveness", "").0.contains("200"));
    busy.query("select 1");
    busy.read_until(b'Z');
    busy.query("commit");
    busy.read_until(b'Z');
    assert_eq!(busy.message().unwrap().field(b'C'), "57P01");
    assert_eq!(proxy.wait_for_exit().code(), Some(143));
}

/// While a query holds up the end, its client can still cancel it.
#[test]
fn cancel_works_during_drain() {
    let (sandbox, _turn) = Sandbox::shared();
    let mut proxy = proxy(sandbox, "drain_timeout = \"10m\"\n");
    let (mut raw, greeting) = Raw::log_in(proxy.port(), "app_ro");
    raw.query("select pg_sleep(600)");
    let pid = i32::from_be_bytes(backend_key(&greeting)[..4].try_into().unwrap());
    let running =
        format!("select state = 'active' from pg_stat_activity where pid = {pid} and query like '%600%'");
    while proxy.query("sandbox_admin", &running) != "t" {}
    proxy.signal("TERM");
    proxy.wait_for_log("draining");
    let mut canceller = Raw::connect(proxy.port());
    canceller.send(&cancel_request(&backend_key(&greeting)));
    let answer = raw.read_until(b'Z');
    assert!(
        answer.iter().any(|m| m.tag == b'E' && m.field(b'C') == "57014"),
        "{answer:?}"
    );
    assert_eq!(raw.message().unwrap().field(b'C'), "57P01");
    assert_eq!(proxy.wait_for_exit().code(), Some(143));
}

/// Execute and Flush without Sync: the server is inside an implicit transaction.
#[test]
fn work_that_no_sync_has_ended_is_not_cut_by_drain() {
    let (sandbox, _turn) = Sandbox::shared();
    let mut proxy = proxy(sandbox, "drain_timeout = \"10m\"\n");
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    let flushed = [
        message(b'P', b"\0select 1\0\0\0"),
        message(b'B', b"\0\0\0\0\0\0\0\0"),
        message(b'E', b"\0\0\0\0\0"),
        message(b'H', b""),
    ];
    raw.send(&flushed.concat());
    raw.read_until(b'C');
    proxy.signal("TERM");
    proxy.wait_for_log("draining");
    raw.send(&message(b'S', b""));
    raw.read_until(b'Z');
    assert_eq!(raw.message().unwrap().field(b'C'), "57P01");
    proxy.wait_for_exit();
}

#[test]
fn a_connection_that_says_nothing_does_not_hold_up_the_end() {
    let (sandbox, _turn) = Sandbox::shared();
    let mut proxy = proxy(sandbox, "drain_timeout = \"10m\"\n");
    let mut silent = Raw::connect(proxy.port());
    proxy.wait_for_metric("dbproxy_connections_accepted_total", 1.0);
    proxy.signal("TERM");
    assert_eq!(proxy.wait_for_exit().code(), Some(143));
    assert!(silent.rest().is_empty());
}

/// They keep coming, and none of them gets a session.
#[test]
fn strangers_that_keep_coming_do_not_hold_up_the_end() {
    let (sandbox, _turn) = Sandbox::shared();
    let mut proxy = proxy(sandbox, "drain_timeout = \"10m\"\n");
    let port = proxy.port();
    let (mut idle, _) = Raw::log_in(port, "app_ro");
    let strangers = std::thread::spawn(move || {
        let mut held = Vec::new();
        while let Ok(stream) = std::net::TcpStream::connect(("127.0.0.1", port)) {
            held.push(stream);
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    });
    proxy.signal("TERM");
    assert_eq!(idle.message().unwrap().field(b'C'), "57P01");
    assert_eq!(proxy.wait_for_exit().code(), Some(143));
    strangers.join().unwrap();
}

/// One login a second, and no time to wait for the others.
#[test]
fn clients_that_wait_for_their_login_are_told_at_the_end() {
    let (sandbox, _turn) = Sandbox::shared();
    let mut proxy = proxy(sandbox, "drain_timeout = \"100ms\"\nlogins_per_second = 1\n");
    let mut waiting: Vec<Raw> = (0..20)
        .map(|_| {
            let mut raw = Raw::connect(proxy.port());
            raw.send(&startup(3 << 16, &[("user", "app_ro"), ("database", "app")]));
            raw
        })
        .collect();
    proxy.wait_for_metric("dbproxy_connections_open", 20.0);
    proxy.signal("TERM");
    for raw in &mut waiting {
        let mut told = None;
        while let Some(message) = raw.message() {
            if message.tag == b'E' {
                told = Some(message.field(b'C'));
            }
        }
        assert_eq!(told.as_deref(), Some("57P01"));
    }
    proxy.wait_for_exit();
    let refused = proxy.log().matches("session refused").count();
    assert!(refused > 10, "{refused} of 20 are on record");
}

#[test]
fn a_session_that_does_not_finish_is_ended_after_the_grace() {
    let (sandbox, _turn) = Sandbox::shared();
    let mut proxy = proxy(sandbox, "drain_timeout = \"300ms\"\n");
    let (mut busy, _) = Raw::log_in(proxy.port(), "app_ro");
    busy.query("begin");
    busy.read_until(b'Z');
    proxy.signal("INT");
    assert_eq!(busy.message().unwrap().field(b'C'), "57P01");
    assert_eq!(proxy.wait_for_exit().code(), Some(130));
}

#[test]
fn a_second_signal_ends_the_waiting() {
    let (sandbox, _turn) = Sandbox::shared();
    let mut proxy = proxy(sandbox, "drain_timeout = \"10m\"\n");
    let (mut busy, _) = Raw::log_in(proxy.port(), "app_ro");
    busy.query("begin");
    busy.read_until(b'Z');
    proxy.signal("TERM");
    proxy.wait_for_log("draining");
    proxy.signal("TERM");
    assert_eq!(busy.message().unwrap().field(b'C'), "57P01");
    assert_eq!(proxy.wait_for_exit().code(), Some(143));
}

#[test]
fn sigterm_may_count_as_success() {
    let (sandbox, _turn) = Sandbox::shared();
    let config = sandbox.target("orders", "db_users = [\"app_ro\"]");
    let mut proxy = Proxy::start_as(sandbox, "dbproxy", &config, &["--exit-zero-on-sigterm"]);
    proxy.signal("TERM");
    assert_eq!(proxy.wait_for_exit().code(), Some(0));
}

#[test]
fn wait_healthcheck_and_shutdown_speak_to_a_running_dbproxy() {
    let (sandbox, _turn) = Sandbox::shared();
    let mut proxy = proxy(sandbox, "");
    let admin = proxy.admin();
    let run = |arguments: &[&str]| {
        dbproxy(&[])
            .args(arguments)
            .args(["--admin", &admin])
            .output()
            .unwrap()
    };
    assert_eq!(run(&["wait", "--max", "10s"]).status.code(), Some(0));
    assert_eq!(run(&["healthcheck"]).status.code(), Some(0));
    assert_eq!(run(&["healthcheck", "--ready"]).status.code(), Some(0));
    let (status, _) = proxy.admin_request("POST", "/shutdown", "Origin: http://evil.example\r\n");
    assert!(status.contains("403"), "{status}");
    assert!(proxy.admin_request("GET", "/shutdown", "").0.contains("405"));
    assert_eq!(run(&["shutdown"]).status.code(), Some(0));
    assert_eq!(proxy.wait_for_exit().code(), Some(0));
    let gone = run(&["healthcheck"]);
    assert_eq!(gone.status.code(), Some(1));
    let late = run(&["wait", "--max", "200ms"]);
    assert!(String::from_utf8_lossy(&late.stderr).contains("was not ready within 200ms"));
}

#[test]
fn the_servers_last_error_reaches_the_client() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "");
    let (mut raw, greeting) = Raw::log_in(proxy.port(), "app_ro");
    let key = crate::support::raw::backend_key(&greeting);
    let pid = i32::from_be_bytes(key[..4].try_into().unwrap());
    proxy.query("sandbox_admin", &format!("select pg_terminate_backend({pid})"));
    let error = raw.message().expect("the server's own last word");
    assert_eq!(error.field(b'C'), "57P01");
    assert!(error.field(b'M').contains("administrator command"), "{error:?}");
    assert!(raw.is_closed());
    proxy.wait_for_metric("dbproxy_connections_closed_total{reason=\"server_closed\"}", 1.0);
}

#[test]
fn a_unix_socket_is_for_its_owner() {
    let (sandbox, _turn) = Sandbox::shared();
    let dir = std::env::temp_dir().join(format!("dbproxy-it-{}", std::process::id()));
    let listen = format!("listen = [\"unix:{}:6000\"]", dir.display());
    let target = sandbox
        .target("orders", "db_users = [\"app_ro\"]")
        .replace("listen = [\"127.0.0.1:0\"]", &listen);
    let mut proxy = Proxy::start(sandbox, &target);
    let connection = format!("host={} port=6000 user=app_ro dbname=app", dir.display());
    let output = psql(&connection, &[], "select current_user");
    assert_eq!(
        output.stdout,
        b"app_ro\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        proxy.log().contains("caller=local:uid="),
        "the peer's uid is known"
    );
    proxy.signal("TERM");
    proxy.wait_for_exit();
    assert!(!dir.join(".s.PGSQL.6000").exists());
    std::fs::remove_dir(dir).unwrap();
}
