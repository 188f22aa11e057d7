//! node-postgres and postgres.js.

use super::ways::{Way, Ways};
use crate::drivers::node_modules;
use crate::support::Sandbox;
use crate::support::sandbox::root;

/// The transcript of a script of tests/drivers.
fn run(way: &Way, script: &str) -> String {
    let output = way
        .command("node")
        .arg(root().join("tests/drivers").join(script))
        .env("NODE_PATH", node_modules())
        .output()
        .unwrap();
    let transcript = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {transcript}\n{errors}", way.name);
    assert!(transcript.ends_with("[\"end\"]\n"), "{}: {transcript}", way.name);
    transcript
}

#[test]
fn node_postgres_sees_the_same_through_dbproxy_as_directly() {
    let (sandbox, _turn) = Sandbox::shared();
    let ways = Ways::new(sandbox, "node-postgres");
    ways.compare("script", |way| run(way, "diff_node_postgres.js"));
}

#[test]
fn postgres_js_sees_the_same_through_dbproxy_as_directly() {
    let (sandbox, _turn) = Sandbox::shared();
    let ways = Ways::new(sandbox, "postgres-js");
    ways.compare("script", |way| run(way, "diff_postgres_js.js"));
}
