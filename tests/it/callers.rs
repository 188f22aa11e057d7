//! Callers prove who they are, by every authenticator, and policy says whom they may be: with the real
//! binary, drivers, an issuer of tokens and the sandbox's AWS.

mod aws_iam;
mod bearer;
mod by_driver;
pub mod client;
mod guesses;
mod issuers;
mod limits;
mod mtls;
mod oauth_libpq;
mod oidc;
mod outside;
mod propagation;
mod row_security;
pub mod scram;
mod several;

use crate::support::raw::Message;
use crate::support::{Proxy, Sandbox, psql};
use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};

/// What everybody reads who has proven nothing, whatever was wrong.
const NOT_PROVEN: &str = "who you are was not proven";

pub const USERS: &str = "db_users = [\"app_ro\", \"app_rw\"]\ndb_roles = { reader = [\"app_ro\"] }";

/// A directory of the test's own, such as for policies.
pub fn directory(sandbox: &Sandbox) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let directory = sandbox.dir.join(format!("callers-{number}"));
    // An earlier run's.
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// `[policy]` with this policy.
fn policy(sandbox: &Sandbox, cedar: &str) -> String {
    let directory = directory(sandbox);
    std::fs::write(directory.join("it.cedar"), cedar).unwrap();
    format!("[policy]\ndir = \"{}\"\n", directory.display())
}

/// Whoever is (in) this may be the db user.
pub fn permit(principal: &str, db_user: &str) -> String {
    let id = db_user.replace('_', "-");
    format!(
        "@id(\"as-{id}\")\npermit (principal {principal}, action == Action::\"connect\", \
         resource == DbUser::\"orders/{db_user}\");\n"
    )
}

/// A loopback listener that takes these authenticators: `head` stands at the top of the file, `tables` behind.
pub fn configuration(
    sandbox: &Sandbox,
    authenticators: &[&str],
    cedar: &str,
    (head, tables): (&str, &str),
) -> String {
    format!(
        "authenticators = {authenticators:?}\n{head}\n{}{tables}\n{}",
        policy(sandbox, cedar),
        sandbox.target("orders", USERS)
    )
}

/// SQLSTATE, message and hint of the last message, which is a refusal.
#[track_caller]
pub fn refusal(messages: &[Message]) -> [String; 3] {
    let error = messages.last().expect("an answer");
    assert_eq!(error.tag, b'E', "{messages:?}");
    [error.field(b'C'), error.field(b'M'), error.field(b'H')]
}

/// The client was told that it has proven nothing, and no more; the log says why.
#[track_caller]
fn assert_not_proven(proxy: &Proxy, messages: &[Message], because: &str) {
    let [state, message, _] = refusal(messages);
    assert_eq!((state.as_str(), message.as_str()), ("28P01", NOT_PROVEN));
    let line = line_of(proxy, messages.last().unwrap());
    assert!(line.contains(because), "no `{because}` in {line}");
}

/// The line of the log about a refusal.
pub fn line_of(proxy: &Proxy, error: &Message) -> String {
    let detail = error.field(b'D');
    line_of_session(proxy, detail.strip_prefix("dbproxy session ").expect("a session"))
}

fn line_of_session(proxy: &Proxy, session: &str) -> String {
    let is_meant = |line: &&str| line.contains(session) && line.contains("session refused");
    proxy.wait_until_logged(session);
    let log = proxy.log();
    let line = log.lines().find(is_meant);
    line.unwrap_or_else(|| panic!("no line about {session}:\n{log}"))
        .to_owned()
}

/// psql with this password, without TLS.
fn psql_as(proxy: &Proxy, user: &str, password: &str, sql: &str) -> Output {
    let connection = format!(
        "host=127.0.0.1 port={} user={user} dbname=app sslmode=disable",
        proxy.port()
    );
    psql(&connection, &[("PGPASSWORD", password)], sql)
}

#[track_caller]
fn assert_is(proxy: &Proxy, output: &Output, db_user: &str) {
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        db_user,
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        proxy.log()
    );
}
