//! One line when a session opens or is refused, one when it ends; where they are required, none is missing.

use crate::support::{Proxy, Raw, Sandbox};
use crate::watch::policies;
use serde_json::Value;
use std::path::PathBuf;

fn file(sandbox: &Sandbox, name: &str) -> PathBuf {
    let path = sandbox
        .dir
        .join(format!("audit-{name}-{}.jsonl", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn lines(path: &PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn proxy(sandbox: &Sandbox, audit: &str) -> Proxy {
    let target = sandbox.target(
        "orders",
        "db_users = [\"app_ro\", \"app_rw\"]\ndatabases = [\"app\"]",
    );
    Proxy::start(sandbox, &format!("{target}[audit]\n{audit}"))
}

#[test]
fn a_session_has_a_line_when_it_opens_and_one_when_it_ends() {
    let (sandbox, _turn) = Sandbox::shared();
    let path = file(sandbox, "both");
    let mut proxy = proxy(sandbox, &format!("file = \"{}\"\n", path.display()));
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    raw.query("select 1");
    raw.read_until(b'Z');
    drop(raw);
    assert!(!proxy.psql("nobody", "select 1").status.success());
    proxy.signal("TERM");
    proxy.wait_for_exit();
    let lines = lines(&path);
    let [opened, closed, refused] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(opened["event"], "session.opened");
    assert_eq!(closed["event"], "session.closed");
    assert_eq!(refused["event"], "session.refused");
    for line in [opened, closed] {
        for (name, value) in [
            ("caller", "local"),
            ("proof", "local"),
            ("target", "orders"),
            ("db_user", "app_ro"),
            ("database", "app"),
            ("decision", "permit"),
            ("credential", "iam"),
            ("server_tls", "TLSv1.3"),
        ] {
            assert_eq!(line[name], value, "{name} of {line}");
        }
        assert_eq!(line["policies"][0], "builtin:local-caller-any-listed-user");
        assert!(line["backend_pid"].as_i64().unwrap() > 0);
        assert_eq!(line["session"], opened["session"]);
        assert!(line["aws_key"].as_str().unwrap().starts_with("AKIA"), "{line}");
        assert!(line["source"].as_str().unwrap().starts_with("127.0.0.1:"));
        let time = line["time"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.contains('.'), "{time}");
    }
    assert_eq!(closed["reason"], "client_closed");
    assert!(closed["bytes_to_client"].as_u64().unwrap() > 0 && closed["seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(refused["reason"], "policy_denied");
    assert_eq!(refused["decision"], "deny");
    assert_eq!(refused["sqlstate"], "42501");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

/// Lines that go to a file without a name are taken by the kernel, and gone.
#[test]
fn where_lines_are_required_a_removed_file_loses_none() {
    let (sandbox, _turn) = Sandbox::shared();
    let path = file(sandbox, "removed");
    let strict = proxy(
        sandbox,
        &format!("file = \"{}\"\nrequired = true\n", path.display()),
    );
    for _ in 0..3 {
        let (raw, _) = Raw::log_in(strict.port(), "app_ro");
        let opened = lines(&path);
        assert_eq!(opened.last().unwrap()["event"], "session.opened", "{opened:?}");
        std::fs::remove_file(&path).unwrap();
        drop(raw);
        strict.wait_for_metric("dbproxy_connections_open", 0.0);
        let _ = std::fs::remove_file(&path);
    }
}

/// `/dev/full` takes nothing.
#[test]
fn where_lines_are_required_no_session_begins_without_its_own() {
    let (sandbox, _turn) = Sandbox::shared();
    let full = "file = \"/dev/full\"\nrotate_megabytes = 0\n";
    let strict = proxy(sandbox, &format!("{full}required = true\n"));
    let output = strict.psql("app_ro", "select 'in'");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains("record of this session could not be written"),
        "{error}"
    );
    assert!(!String::from_utf8_lossy(&output.stdout).contains("in"));
    strict.wait_for_metric(
        "dbproxy_connections_closed_total{reason=\"audit_unavailable\"}",
        1.0,
    );
    assert!(!strict.log().contains("session opened"), "{}", strict.log());
    let lenient = proxy(sandbox, full);
    assert_eq!(lenient.query("app_ro", "select 'in'"), "in");
}

/// Nobody is sent to where every session is refused; and when lines can be written again, dbproxy notices by itself.
#[test]
fn where_no_line_can_be_written_dbproxy_is_not_ready() {
    let (sandbox, _turn) = Sandbox::shared();
    let path = file(sandbox, "ready");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let strict = proxy(
        sandbox,
        &format!("file = \"{}\"\nrequired = true\n", path.display()),
    );
    let readiness = || strict.admin_request("GET", "/readiness", "");
    assert!(readiness().0.contains("200"));
    assert!(!strict.psql("app_ro", "select 1").status.success());
    let (status, why) = readiness();
    assert!(
        status.contains("503") && why.contains("audit: lines are required"),
        "{status} {why}"
    );
    std::fs::remove_file(&path).unwrap();
    let began = std::time::Instant::now();
    while !readiness().0.contains("200") {
        assert!(began.elapsed().as_secs() < 20, "{}", readiness().1);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(strict.query("app_ro", "select 'in'"), "in");
    let lines = lines(&path);
    assert_eq!(lines[0]["event"], "broker.audit_resumed", "{lines:?}");
    assert_eq!(lines[1]["event"], "session.opened", "{lines:?}");
}

#[test]
fn what_is_read_again_is_on_record_whoever_had_it_read() {
    let (sandbox, _turn) = Sandbox::shared();
    let path = file(sandbox, "reloads");
    let ids = |id: &str| format!("@id(\"{id}\") permit (principal is LocalUser, action, resource);");
    let dir = policies(sandbox, "reloads", &ids("one"));
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]\ndatabases = [\"app\"]");
    let mut proxy = Proxy::start(
        sandbox,
        &format!(
            "{target}[policy]\ndir = \"{}\"\n[audit]\nfile = \"{}\"\n",
            dir.display(),
            path.display()
        ),
    );
    let change = |text: &str| {
        std::fs::write(dir.join("draft"), text).unwrap();
        std::fs::rename(dir.join("draft"), dir.join("all.cedar")).unwrap();
    };
    let recorded = |count: usize| {
        for _ in 0..1_000 {
            let all = lines(&path);
            if all
                .iter()
                .filter(|line| line["event"] == "broker.reloaded")
                .count()
                >= count
            {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("{count} reloads");
    };
    change("@id(\"two\") permit (nobody);");
    recorded(1);
    let (kept, _) = Raw::log_in(proxy.port(), "app_ro");
    change(&ids("two").replace("permit", "forbid"));
    recorded(2);
    drop(kept);
    std::fs::rename(&dir, dir.with_extension("away")).unwrap();
    recorded(3);
    std::fs::rename(dir.with_extension("away"), &dir).unwrap();
    proxy.signal("HUP");
    recorded(4);
    proxy.signal("TERM");
    proxy.wait_for_exit();
    let lines = lines(&path);
    let read: Vec<_> = lines
        .iter()
        .filter(|line| line["event"] == "broker.reloaded")
        .collect();
    let [broken, changed, gone, signal] = &read[..] else {
        panic!("{read:?}")
    };
    for (line, by, outcome, generation) in [
        (broken, "file change", "failed", 0),
        (changed, "file change", "done", 1),
        (gone, "file change", "failed", 1),
        (signal, "signal", "done", 2),
    ] {
        assert_eq!(
            (&line["by"], &line["outcome"]),
            (&by.into(), &outcome.into()),
            "{line}"
        );
        assert_eq!(line["policy_generation"], generation, "{line}");
        assert!(
            line["policy_digest"].as_str().unwrap().starts_with("sha256:"),
            "{line}"
        );
    }
    assert_eq!(broken["failed"][0]["what"], "policy");
    assert!(
        broken["failed"][0]["why"]
            .as_str()
            .unwrap()
            .contains("all.cedar:1"),
        "{broken}"
    );
    assert_ne!(broken["policy_digest"], changed["policy_digest"]);
    assert_eq!(changed["policy_digest"], signal["policy_digest"]);
    assert_eq!(changed["sessions_ending"], 1);
    assert_eq!(signal["reloaded"], serde_json::json!(["credentials", "policy"]));
}
