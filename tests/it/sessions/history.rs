//! `dbproxy audit` on the files of real runs.

use super::{audit_file, config, text};
use crate::support::proxy::dbproxy;
use crate::support::{Proxy, Raw, Sandbox};
use serde_json::Value;
use std::path::Path;
use std::process::Output;

/// One session that ends, one that is refused.
fn run_once(sandbox: &Sandbox, path: &Path) {
    let more = format!("[audit]\nfile = \"{}\"\n", path.display());
    let mut proxy = Proxy::start(sandbox, &config(sandbox, "", &more));
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    super::works(&mut raw);
    drop(raw);
    proxy.wait_for_metric("dbproxy_sessions_open", 0.0);
    assert!(!proxy.psql("nobody", "select 1").status.success());
    proxy.signal("TERM");
    proxy.wait_for_exit();
}

fn audit(arguments: &[&str]) -> Output {
    let output = dbproxy(&[]).arg("audit").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    output
}

fn rows(arguments: &[&str]) -> Vec<String> {
    let table = text(&audit(arguments).stdout);
    table.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn a_run_is_read_back() {
    let (sandbox, _turn) = Sandbox::shared();
    let path = audit_file(sandbox, "history");
    run_once(sandbox, &path);
    let file = path.to_str().unwrap();
    let all = rows(&[file]);
    let [closed, refused] = &all[..] else {
        panic!("{all:?}")
    };
    for part in ["local", "app_ro@orders/app", "client_closed"] {
        assert!(closed.contains(part), "{closed}");
    }
    assert!(
        refused.contains("nobody@orders/app") && refused.contains("REFUSED policy_denied"),
        "{refused}"
    );
    let json = text(&audit(&[file, "-o", "json", "--reason", "client_closed"]).stdout);
    let line: Value = serde_json::from_str(json.trim()).unwrap();
    let id = line["session"].as_str().unwrap();
    assert!(closed.contains(id), "{closed}");
    let now = line["time"].as_str().unwrap();
    for (filters, count) in [
        (&["--caller", "l*l"][..], 2),
        (&["--caller", "jane"], 0),
        (&["--target", "orders"], 2),
        (&["--target", "payroll"], 0),
        (&["--db-user", "app_ro"], 1),
        (&["--database", "nope"], 0),
        (&["--reason", "policy_denied"], 1),
        (&["--session", id], 1),
        (&["--session", &id.to_uppercase()], 1),
        (&["--from", "-1h"], 2),
        (&["--until", "-1h"], 0),
        (&["--from", &now[..10]], 2),
        (&["--from", now, "--session", id], 1),
        (&["--until", now, "--session", id], 1),
    ] {
        let found = rows(&[&[file], filters].concat());
        assert_eq!(found.len(), count, "{filters:?}: {found:?}");
    }
    // Its end lies behind.
    let open = rows(&[file, "--until", now, "--session", id]);
    assert!(open[0].contains(" open "), "{open:?}");
    let wide = text(&audit(&[file, "--wide"]).stdout);
    assert!(
        wide.contains("AWS SOURCE IDENTITY") && wide.contains(line["aws_key"].as_str().unwrap()),
        "{wide}"
    );
}

#[test]
fn rotated_files_and_broken_lines_are_no_obstacle() {
    let (sandbox, _turn) = Sandbox::shared();
    let path = audit_file(sandbox, "rotated");
    run_once(sandbox, &path);
    let older = path.with_extension("jsonl.1");
    std::fs::rename(&path, &older).unwrap();
    run_once(sandbox, &path);
    let mut written = std::fs::read(&path).unwrap();
    written.extend_from_slice(b"\xff\n{\"event\":\"session.clo");
    std::fs::write(&path, written).unwrap();
    let config = crate::support::proxy::config_file(
        sandbox,
        &format!(
            "[audit]\nfile = \"{}\"\nrequired = \"not judged\"\n",
            path.display()
        ),
    );
    let output = audit(&["--config", config.to_str().unwrap()]);
    assert_eq!(
        text(&output.stdout).lines().count(),
        5,
        "{}",
        text(&output.stdout)
    );
    assert!(
        text(&output.stderr).starts_with("2 lines were skipped"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(rows(&[older.to_str().unwrap()]).len(), 2);
}

#[test]
fn mistakes_are_told() {
    for (arguments, told) in [
        (&["/nonexistent/audit.jsonl"][..], "cannot be read"),
        (&["--from", "yesterday", "x"], "--from: `yesterday` is neither"),
        (&["--session", "12", "x"], "16 hexadecimal digits"),
        (&[], "no audit file is known"),
    ] {
        let output = dbproxy(&[]).arg("audit").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains(told), "{}", text(&output.stderr));
    }
}
