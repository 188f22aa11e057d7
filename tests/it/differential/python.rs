//! asyncpg, which speaks the protocol itself; `libpq` has psycopg.

use super::ways::{Way, Ways};
use crate::drivers::python;
use crate::support::Sandbox;
use crate::support::sandbox::root;

/// The transcript of a script of tests/drivers.
pub fn run(way: &Way, script: &str, environment: &[(&str, &str)]) -> String {
    let output = way
        .command(python())
        .arg(root().join("tests/drivers").join(script))
        .envs(environment.iter().copied())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let transcript = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {transcript}\n{errors}", way.name);
    assert!(transcript.ends_with("[\"end\"]\n"), "{}: {transcript}", way.name);
    transcript
}

#[test]
fn asyncpg_sees_the_same_through_dbproxy_as_directly() {
    let (sandbox, _turn) = Sandbox::shared();
    let ways = Ways::new(sandbox, "asyncpg");
    ways.compare("script", |way| run(way, "diff_asyncpg.py", &[]));
}
