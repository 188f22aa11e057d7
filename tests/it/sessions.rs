//! What operators see and do: live sessions, their end, reloads; and audit files read back.

mod history;

use crate::support::proxy::dbproxy;
use crate::support::{Proxy, Raw, Sandbox};
use crate::watch::policies;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Output;

/// Everybody may connect; the rest is the test's.
const CONNECT: &str =
    r#"@id("connect") permit (principal is LocalUser, action == Action::"connect", resource);"#;

fn config(sandbox: &Sandbox, general: &str, more: &str) -> String {
    let lines = "db_users = [\"app_ro\", \"app_rw\"]\ndatabases = [\"app\"]";
    let (orders, payroll) = (sandbox.target("orders", lines), sandbox.target("payroll", lines));
    format!("{general}{orders}{payroll}{more}")
}

fn proxy(sandbox: &Sandbox, general: &str) -> Proxy {
    Proxy::start(sandbox, &config(sandbox, general, ""))
}

/// With these rules beside the one that lets everybody connect.
fn ruled(sandbox: &Sandbox, name: &str, rules: &str) -> (Proxy, PathBuf) {
    let dir = policies(sandbox, name, &format!("{CONNECT}\n{rules}"));
    let more = format!("[policy]\ndir = \"{}\"\n", dir.display());
    (Proxy::start(sandbox, &config(sandbox, "", &more)), dir)
}

fn audit_file(sandbox: &Sandbox, name: &str) -> PathBuf {
    let path = sandbox
        .dir
        .join(format!("sessions-{name}-{}.jsonl", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn run(proxy: &Proxy, arguments: &[&str]) -> Output {
    dbproxy(&[])
        .args(arguments)
        .args(["--admin", &proxy.admin()])
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn listed(proxy: &Proxy, filters: &[&str]) -> Vec<Value> {
    let output = run(proxy, &[&["sessions", "-o", "json"], filters].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn id_of(proxy: &Proxy, db_user: &str) -> String {
    let sessions = listed(proxy, &[]);
    let found = sessions.iter().find(|session| session["db_user"] == db_user);
    found.expect("a session")["session"].as_str().unwrap().to_owned()
}

/// In a transaction, so that nothing but force ends it at once.
fn busy(port: u16, user: &str) -> Raw {
    let (mut raw, _) = Raw::log_in(port, user);
    raw.query("begin");
    raw.read_until(b'Z');
    raw
}

fn works(raw: &mut Raw) {
    raw.query("select 1");
    raw.read_until(b'Z');
}

fn is_told(raw: &mut Raw) {
    let error = raw.message().expect("a message before the close");
    assert_eq!((error.tag, error.field(b'C')), (b'E', "57P01".to_owned()));
    assert_eq!(
        error.field(b'M'),
        "terminating connection due to administrator command"
    );
    assert!(raw.is_closed());
}

/// What a request with exactly these headers is answered.
fn asked(proxy: &Proxy, request: &str, headers: &[&str], body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(proxy.admin()).unwrap();
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let head = format!(
        "{request} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // A refusal may come before the body is read.
    let _ = stream.write_all(body.as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

fn lines(path: &Path, event: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let all = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|line| line["event"] == event).collect()
}

#[test]
fn live_sessions_are_listed() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "");
    let empty = run(&proxy, &["sessions"]);
    assert!(empty.status.success());
    assert!(
        text(&empty.stdout).starts_with("SESSION"),
        "{}",
        text(&empty.stdout)
    );
    let (_reader, greeting) = Raw::log_in(proxy.port(), "app_ro");
    let (_writer, _) = Raw::log_in(proxy.port_of(1), "app_rw");
    let sessions = listed(&proxy, &[]);
    let [reader, writer] = &sessions[..] else {
        panic!("{sessions:?}")
    };
    let pid = i32::from_be_bytes(
        crate::support::raw::backend_key(&greeting)[..4]
            .try_into()
            .unwrap(),
    );
    for (name, value) in [
        ("caller", json!("local")),
        ("proof", json!("local")),
        ("target", json!("orders")),
        ("database", json!("app")),
        ("db_user", json!("app_ro")),
        ("backend_pid", json!(pid)),
        ("policies", json!(["builtin:local-caller-any-listed-user"])),
        ("expires", Value::Null),
        ("ending", Value::Null),
    ] {
        assert_eq!(reader[name], value, "{name}");
    }
    assert_eq!(reader["session"].as_str().unwrap().len(), 16);
    assert!(reader["source"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(reader["began"].as_str().unwrap() <= writer["began"].as_str().unwrap());
    assert_eq!(writer["db_user"], "app_rw");
    for (filters, count) in [
        (["--target", "orders"], 1),
        (["--target", "nope"], 0),
        (["--caller", "lo*"], 2),
        (["--caller", "jane"], 0),
    ] {
        assert_eq!(listed(&proxy, &filters).len(), count, "{filters:?}");
    }
    let table = text(&run(&proxy, &["sessions", "--target", "payroll"]).stdout);
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 2, "{table}");
    let cells: Vec<&str> = rows[1].split_whitespace().collect();
    assert_eq!(cells[0], writer["session"].as_str().unwrap());
    assert!(cells[8].ends_with('s'), "an age: {table}");
}

#[test]
fn a_permit_that_ends_says_when_and_why() {
    let (sandbox, _turn) = Sandbox::shared();
    let rules = r#"@id("watch") permit (principal, action == Action::"view", resource);"#;
    let dir = policies(
        sandbox,
        "limited",
        &format!("@max_session(\"2h\") {CONNECT}\n{rules}"),
    );
    let more = format!("[policy]\ndir = \"{}\"\n", dir.display());
    let proxy = Proxy::start(sandbox, &config(sandbox, "", &more));
    let (_raw, _) = Raw::log_in(proxy.port(), "app_ro");
    assert_eq!(listed(&proxy, &[])[0]["expires_reason"], "permit_expired");
    let table = text(&run(&proxy, &["sessions"]).stdout);
    assert!(table.contains("in 1h59m: permit_expired"), "{table}");
}

#[test]
fn a_session_is_ended_when_it_is_idle() {
    let (sandbox, _turn) = Sandbox::shared();
    let path = audit_file(sandbox, "idle");
    let more = format!("[audit]\nfile = \"{}\"\n", path.display());
    let mut proxy = Proxy::start(sandbox, &config(sandbox, "session_grace = \"10m\"\n", &more));
    let (mut idle, _) = Raw::log_in(proxy.port(), "app_ro");
    let mut inside = busy(proxy.port(), "app_rw");
    let ids = [id_of(&proxy, "app_ro"), id_of(&proxy, "app_rw")];
    let output = run(&proxy, &["sessions", "--terminate", &ids[0], &ids[1]]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 2);
    is_told(&mut idle);
    works(&mut inside);
    let left = listed(&proxy, &[]);
    assert_eq!((left.len(), &left[0]["ending"]), (1, &json!("terminated")));
    inside.query("commit");
    inside.read_until(b'Z');
    is_told(&mut inside);
    proxy.wait_for_metric("dbproxy_connections_closed_total{reason=\"terminated\"}", 2.0);
    let output = run(&proxy, &["sessions", "--terminate", &ids[0], "-o", "json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&ids[0]), "{}", text(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer, json!({"ending": [], "unknown": [ids[0]], "now": false}));
    proxy.signal("TERM");
    proxy.wait_for_exit();
    let asked = lines(&path, "session.terminate_asked");
    assert_eq!(asked.len(), 2, "{asked:?}");
    for (name, value) in [
        ("operator", json!("local")),
        ("decision", json!("permit")),
        ("target", json!("orders")),
        ("sessions", json!(ids)),
        ("now", json!(false)),
        ("policies", json!(["builtin:local-operator"])),
    ] {
        assert_eq!(asked[0][name], value, "{name}");
    }
    assert_eq!(asked[1]["decision"], "none");
    let closed = lines(&path, "session.closed");
    assert!(
        closed.iter().all(|line| line["reason"] == "terminated"),
        "{closed:?}"
    );
}

#[test]
fn a_session_is_ended_at_once_where_that_is_asked() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "session_grace = \"10m\"\n");
    let mut inside = busy(proxy.port(), "app_rw");
    let id = id_of(&proxy, "app_rw");
    // The second request is more urgent than the first.
    assert!(run(&proxy, &["sessions", "--terminate", &id]).status.success());
    works(&mut inside);
    assert!(
        run(&proxy, &["sessions", "--terminate", &id, "--now"])
            .status
            .success()
    );
    is_told(&mut inside);
}

#[test]
fn a_transaction_has_the_grace_and_no_longer() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "session_grace = \"1s\"\n");
    let mut inside = busy(proxy.port(), "app_rw");
    let id = id_of(&proxy, "app_rw");
    assert!(run(&proxy, &["sessions", "--terminate", &id]).status.success());
    is_told(&mut inside);
}

#[test]
fn what_may_not_be_viewed_is_not_there() {
    let (sandbox, _turn) = Sandbox::shared();
    let (mut proxy, dir) = ruled(
        sandbox,
        "view",
        r#"@id("watch") permit (principal == LocalUser::"local", action == Action::"view", resource == Cluster::"orders");"#,
    );
    let (mut seen, _) = Raw::log_in(proxy.port(), "app_ro");
    let (mut unseen, _) = Raw::log_in(proxy.port_of(1), "app_rw");
    let sessions = listed(&proxy, &[]);
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0]["target"], "orders");
    let body = proxy.admin_request("GET", "/sessions", "").1;
    assert!(!body.contains("payroll"), "{body}");
    proxy.wait_until_logged("db_user=\"app_rw\"");
    let log = proxy.log();
    let hidden = log
        .lines()
        .find(|line| line.contains("session opened") && line.contains("payroll"));
    let hidden = hidden.unwrap().split("session=").nth(1).unwrap()[..16].to_owned();
    // Viewed, but no more than that.
    let id = sessions[0]["session"].as_str().unwrap();
    let output = run(&proxy, &["sessions", "--terminate", id, &hidden, "--now"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "dbproxy: local may not do Action::\"terminate\" on Cluster::\"orders\": no policy permits it\n"
    );
    // As if there were no such session.
    let output = run(&proxy, &["sessions", "--terminate", &hidden, "--now"]);
    let unknown = run(&proxy, &["sessions", "--terminate", "0123456789abcdef", "--now"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr).replace(&hidden, "0123456789abcdef"),
        text(&unknown.stderr)
    );
    works(&mut seen);
    works(&mut unseen);
    std::fs::write(dir.join("all.cedar"), CONNECT).unwrap();
    proxy.signal("HUP");
    proxy.wait_for_log("policies reloaded");
    assert!(listed(&proxy, &[]).is_empty());
    let note = text(&run(&proxy, &["sessions"]).stderr);
    assert!(note.contains("view the sessions of no target"), "{note}");
}

#[test]
fn all_that_are_named_are_ended_or_none() {
    let (sandbox, _turn) = Sandbox::shared();
    let (proxy, _) = ruled(
        sandbox,
        "terminate",
        r#"@id("watch") permit (principal, action == Action::"view", resource);
           @id("mend") permit (principal, action == Action::"terminate", resource == Cluster::"orders");
           @id("never") forbid (principal, action == Action::"terminate", resource == Cluster::"payroll");"#,
    );
    let (mut orders, _) = Raw::log_in(proxy.port(), "app_ro");
    let (mut payroll, _) = Raw::log_in(proxy.port_of(1), "app_rw");
    let (mine, other) = (id_of(&proxy, "app_ro"), id_of(&proxy, "app_rw"));
    let output = run(&proxy, &["sessions", "--terminate", &mine, &other]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(
        error.contains("Cluster::\"payroll\": forbidden by never"),
        "{error}"
    );
    works(&mut orders);
    works(&mut payroll);
    assert!(run(&proxy, &["sessions", "--terminate", &mine]).status.success());
    is_told(&mut orders);
    works(&mut payroll);
}

#[test]
fn web_pages_reach_nothing() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "");
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    let body = json!({"sessions": [id_of(&proxy, "app_ro")], "now": true}).to_string();
    let own = format!("Host: {}", proxy.admin());
    for request in [
        "GET /sessions",
        "POST /sessions/terminate",
        "POST /reload",
        "POST /shutdown",
    ] {
        for headers in [
            &[own.as_str(), "Origin: http://evil.example"][..],
            &[&own, "Origin: null"],
            &["Host: evil.example:9090"],
            &["Host: 127.0.0.1.evil.example"],
        ] {
            let (status, why) = asked(&proxy, request, headers, &body);
            assert!(status.contains("403"), "{request} {headers:?}: {status}");
            assert!(!why.contains("app_ro"), "{why}");
        }
        let (status, _) = asked(&proxy, request, &[], &body);
        assert!(status.contains("40"), "{request} without Host: {status}");
    }
    works(&mut raw);
    let get = |path: &str| asked(&proxy, &format!("GET {path}"), &["Host: localhost"], "").0;
    assert!(get("/sessions").contains("200"));
    assert!(get("/sessions/terminate").contains("405"));
    assert!(get("/reload").contains("405"));
    let terminate = |body: &str| asked(&proxy, "POST /sessions/terminate", &["Host: localhost:1"], body).0;
    assert!(terminate("nonsense").contains("400"));
    assert!(terminate(r#"{"sessions": ["0123"]}"#).contains("400"));
    assert!(terminate(&"x".repeat(64 * 1_024 + 1)).contains("413"));
    assert!(terminate(&body).contains("200"));
    is_told(&mut raw);
}

#[test]
fn a_reload_says_how_it_went() {
    let (sandbox, _turn) = Sandbox::shared();
    let rules = r#"@id("all") permit (principal, action, resource);"#;
    let (mut proxy, dir) = ruled(sandbox, "reload", rules);
    let output = run(&proxy, &["reload"]);
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("read again: credentials") && told.contains("read again: policy"),
        "{told}"
    );
    proxy.wait_for_log("reload asked");
    proxy.wait_for_log("policies reloaded");
    std::fs::write(dir.join("all.cedar"), "@id(\"x\") permit (nobody);").unwrap();
    let output = run(&proxy, &["reload"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("not reloaded, policy stays") && told.contains("all.cedar:1"),
        "{told}"
    );
    std::fs::write(dir.join("all.cedar"), CONNECT).unwrap();
    // Permitted by the set before, unless the change was noticed first.
    run(&proxy, &["reload"]);
    let output = run(&proxy, &["reload"]);
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(
        told.contains("Action::\"reload\" on Broker::\"dbproxy\": no policy permits it"),
        "{told}"
    );
}

/// Whoever reaches the address could end every session otherwise, without a trace.
#[test]
fn a_shutdown_is_judged_by_policy_and_on_record() {
    let (sandbox, _turn) = Sandbox::shared();
    let audit = audit_file(sandbox, "shutdown");
    let dir = policies(sandbox, "shutdown", CONNECT);
    let more = format!(
        "[policy]\ndir = \"{}\"\n[audit]\nfile = \"{}\"\nrequired = true\n",
        dir.display(),
        audit.display()
    );
    let mut proxy = Proxy::start(sandbox, &config(sandbox, "", &more));
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    let output = run(&proxy, &["shutdown"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("Action::\"shutdown\" on Broker::\"dbproxy\": no policy permits it")
            && told.contains("SIGTERM"),
        "{told}"
    );
    works(&mut raw);
    drop(raw);
    let permit = "@id(\"end\") permit (principal is LocalUser, action == Action::\"shutdown\", resource);";
    std::fs::write(dir.join("all.cedar"), permit).unwrap();
    proxy.signal("HUP");
    proxy.wait_for_log("policies reloaded");
    assert!(run(&proxy, &["shutdown"]).status.success());
    proxy.wait_for_exit();
    let lines = std::fs::read_to_string(&audit).unwrap();
    let asked: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["event"] == "broker.shutdown_asked")
        .collect();
    let [denied, permitted] = &asked[..] else {
        panic!("{lines}")
    };
    assert_eq!(
        (&denied["decision"], &denied["operator"]),
        (&"deny".into(), &"local".into())
    );
    assert!(
        denied["because"]
            .as_str()
            .unwrap()
            .contains("no policy permits it")
    );
    assert_eq!(permitted["decision"], "permit");
    assert_eq!(permitted["policies"], json!(["end"]));
}

/// `/dev/full` takes nothing.
#[test]
fn what_must_be_recorded_and_cannot_be_is_not_done() {
    let (sandbox, _turn) = Sandbox::shared();
    let more = "[audit]\nfile = \"/dev/full\"\nrotate_megabytes = 0\n";
    let strict = Proxy::start(sandbox, &config(sandbox, "", &format!("{more}required = true\n")));
    let output = run(&strict, &["reload"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("could not be written"), "{told}");
    assert!(!strict.log().contains("reload: credentials"));
    let lenient = Proxy::start(sandbox, &config(sandbox, "", more));
    assert!(run(&lenient, &["reload"]).status.success());
    // What was asked for, and what was done.
    lenient.wait_for_metric("dbproxy_audit_lines_total{outcome=\"failed\"}", 2.0);
    assert_eq!(
        lenient.metric("dbproxy_audit_lines_total{outcome=\"dropped\"}"),
        0.0
    );
    assert!(lenient.admin_request("GET", "/readiness", "").0.contains("200"));
}

#[test]
fn where_no_dbproxy_is_the_command_says_so() {
    let run = |arguments: &[&str]| dbproxy(&[]).args(arguments).output().unwrap();
    for arguments in [
        &["sessions", "--admin", "127.0.0.1:1"][..],
        &["reload", "--admin", "127.0.0.1:1"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output.stderr).contains("dbproxy at 127.0.0.1:1"),
            "{}",
            text(&output.stderr)
        );
    }
    assert_eq!(
        run(&["sessions", "--now", "--admin", "127.0.0.1:1"])
            .status
            .code(),
        Some(1)
    );
}
