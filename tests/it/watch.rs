//! Sessions stay under watch: policies that change, time that is over.

use crate::support::{Proxy, Raw, Sandbox};
use std::path::{Path, PathBuf};

/// Local callers may be both db users.
const BOTH: &str = r#"@id("both") permit (principal is LocalUser, action, resource in Cluster::"orders");"#;
const READ_ONLY: &str =
    r#"@id("read-only") permit (principal is LocalUser, action, resource == DbUser::"orders/app_ro");"#;

pub fn policies(sandbox: &Sandbox, name: &str, text: &str) -> PathBuf {
    let dir = sandbox
        .dir
        .join(format!("policies-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    write(&dir, text);
    dir
}

/// As one step: a file half written is not to be read.
pub fn write(dir: &Path, text: &str) {
    let draft = dir.join("draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(draft, dir.join("all.cedar")).unwrap();
}

fn proxy(sandbox: &Sandbox, dir: &Path, general: &str) -> Proxy {
    let target = sandbox.target(
        "orders",
        "db_users = [\"app_ro\", \"app_rw\"]\ndatabases = [\"app\"]",
    );
    Proxy::start(
        sandbox,
        &format!("{general}{target}[policy]\ndir = \"{}\"\n", dir.display()),
    )
}

/// SQLSTATE and sentence of the last message.
fn told(raw: &mut Raw) -> (String, String) {
    let message = raw.message().expect("a message before the close");
    assert!(raw.is_closed());
    (message.field(b'C'), message.field(b'M'))
}

fn closed(proxy: &Proxy, reason: &str, count: f64) {
    let name = format!("dbproxy_connections_closed_total{{reason=\"{reason}\"}}");
    proxy.wait_for_metric(&name, count);
}

#[test]
fn policies_that_change_end_what_they_no_longer_permit() {
    let (sandbox, _turn) = Sandbox::shared();
    let dir = policies(sandbox, "change", BOTH);
    let mut proxy = proxy(sandbox, &dir, "");
    let (mut reader, _) = Raw::log_in(proxy.port(), "app_ro");
    let (mut writer, _) = Raw::log_in(proxy.port(), "app_rw");
    let (mut busy, _) = Raw::log_in(proxy.port(), "app_rw");
    busy.query("begin");
    busy.read_until(b'Z');
    write(&dir, READ_ONLY);
    // Nobody says so: the files are looked at.
    proxy.wait_for_log("policies reloaded");
    let (state, text) = told(&mut writer);
    assert_eq!(state, "57P01", "{text}");
    assert!(text.contains("policy no longer permits it"), "{text}");
    // A transaction may end first.
    busy.query("commit");
    busy.read_until(b'Z');
    assert_eq!(told(&mut busy).0, "57P01");
    closed(&proxy, "policy_changed", 2.0);
    reader.query("select 1");
    reader.read_until(b'Z');
    let output = proxy.psql("app_rw", "select 1");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("may not connect as db user \"app_rw\""), "{error}");
    assert!(error.contains("You may connect as: app_ro."), "{error}");
}

#[test]
fn a_set_with_a_mistake_never_replaces_a_good_one() {
    let (sandbox, _turn) = Sandbox::shared();
    let dir = policies(sandbox, "broken", READ_ONLY);
    let mut proxy = proxy(sandbox, &dir, "");
    write(&dir, &BOTH.replace("LocalUser", "LocalUsr"));
    proxy.signal("HUP");
    let log = proxy.wait_for_log("policies were not reloaded");
    assert!(log.contains("LocalUsr"), "{log}");
    proxy.wait_for_metric("dbproxy_policy_reloads_total{outcome=\"refused\"}", 1.0);
    assert_eq!(proxy.query("app_ro", "select 1"), "1");
    assert!(!proxy.psql("app_rw", "select 1").status.success());
    write(&dir, BOTH);
    proxy.signal("HUP");
    proxy.wait_for_log("policies reloaded");
    assert_eq!(proxy.query("app_rw", "select 1"), "1");
}

#[test]
fn dbproxy_does_not_start_with_a_broken_set() {
    let (sandbox, _turn) = Sandbox::shared();
    let dir = policies(
        sandbox,
        "start",
        "@id(\"a\") permit (principal, action, resource) when { context.no };",
    );
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]");
    let config = format!("{target}[policy]\ndir = \"{}\"\n", dir.display());
    let path = crate::support::proxy::config_file(sandbox, &config);
    let output = crate::support::proxy::dbproxy(&[])
        .arg("--config")
        .arg(&path)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("all.cedar:1:") && error.contains('^'), "{error}");
}

#[test]
fn a_session_ends_when_its_permitted_time_is_over() {
    let (sandbox, _turn) = Sandbox::shared();
    let dir = policies(
        sandbox,
        "time",
        &BOTH.replace("permit (", "@max_session(\"2s\") permit ("),
    );
    let proxy = proxy(sandbox, &dir, "session_grace = \"1s\"\n");
    let (mut idle, _) = Raw::log_in(proxy.port(), "app_ro");
    let (mut stubborn, _) = Raw::log_in(proxy.port(), "app_rw");
    stubborn.query("begin");
    stubborn.read_until(b'Z');
    let (state, text) = told(&mut idle);
    assert_eq!(state, "57P01");
    assert!(text.contains("permitted time is over"), "{text}");
    // Its transaction goes on, for as long as the grace allows.
    assert!(told(&mut stubborn).1.contains("permitted time is over"));
    closed(&proxy, "permit_expired", 2.0);
}

/// Time that policies give is theirs to change; it counts from the session's beginning.
#[test]
fn a_time_that_policies_shorten_holds_for_open_sessions() {
    let (sandbox, _turn) = Sandbox::shared();
    let limited = |time: &str| BOTH.replace("permit (", &format!("@max_session(\"{time}\") permit ("));
    let dir = policies(sandbox, "shorter", &limited("8h"));
    let mut proxy = proxy(sandbox, &dir, "");
    let (mut session, _) = Raw::log_in(proxy.port(), "app_ro");
    write(&dir, &limited("7h"));
    proxy.wait_for_log("policies reloaded");
    session.query("select 1");
    session.read_until(b'Z');
    write(&dir, &limited("1s"));
    let (state, text) = told(&mut session);
    assert_eq!(state, "57P01");
    assert!(text.contains("permitted time is over"), "{text}");
    closed(&proxy, "permit_expired", 1.0);
}

/// Most people never run `policy check`.
#[test]
fn what_is_odd_about_policies_stands_in_the_log_at_start_and_after_each_change() {
    let (sandbox, _turn) = Sandbox::shared();
    let odd = |group: &str| {
        format!(
            "{BOTH}\n@id(\"odd\") permit (principal in Group::\"{group}\", action, resource in Cluster::\"orders\");"
        )
    };
    let dir = policies(sandbox, "odd", &odd("nobody-one"));
    let proxy = proxy(sandbox, &dir, "");
    proxy.wait_until_logged("policy `odd` names Group::\"nobody-one\", which has no member");
    write(&dir, &odd("nobody-two"));
    proxy.wait_until_logged("policy `odd` names Group::\"nobody-two\", which has no member");
    let log = proxy.log();
    for once in ["nobody-one", "nobody-two"] {
        assert_eq!(log.matches(once).count(), 1, "{log}");
    }
}

/// A pipe keeps whoever opens it waiting for a writer. Sessions end by time all the same, and dbproxy does.
#[test]
fn a_manifest_that_became_a_pipe_holds_nothing_up() {
    let (sandbox, _turn) = Sandbox::shared();
    let limited = BOTH.replace("permit (", "@max_session(\"8s\") permit (");
    let dir = policies(sandbox, "pipe", &limited);
    let manifest = dir.join("access.toml");
    std::fs::write(
        &manifest,
        "[clusters.orders]\n[clusters.orders.users.app_ro]\n[clusters.orders.users.app_rw]\n",
    )
    .unwrap();
    let mut proxy = proxy(sandbox, &dir, &format!("manifest = \"{}\"\n", manifest.display()));
    let (mut session, _) = Raw::log_in(proxy.port(), "app_ro");
    let pipe = dir.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    std::fs::rename(&pipe, &manifest).unwrap();
    proxy.wait_until_logged("is not a regular file");
    assert!(told(&mut session).1.contains("permitted time is over"));
    // Policies are read on.
    write(&dir, READ_ONLY);
    proxy.wait_for_log("policies reloaded");
    proxy.signal("TERM");
    assert_eq!(proxy.wait_for_exit().code(), Some(143));
}
