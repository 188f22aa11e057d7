//! Replication asked for by whom may only connect, and the other way round.

use super::{Attacked, NOBODY_ELSE};
use crate::support::Sandbox;

const ON: &[&str] = &["true", "TRUE", "t", "Tr", "on", "oN", "yes", "Y", "1", "database"];
const OFF: &[&str] = &["false", "F", "off", "oF", "no", "N", "0"];
/// What the server refuses, so that nobody needs to know better.
const NEITHER: &[&str] = &[
    "",
    "o",
    "2",
    "01",
    "maybe",
    "Database",
    "DATABASE",
    " true",
    "true ",
    "database\n",
    "physical",
];

fn may(action: &str) -> String {
    format!(
        "@id(\"{action}\") permit (principal in Group::\"oidc:readers\", action == Action::\"{action}\", \
         resource == DbUser::\"orders/sandbox_admin\");"
    )
}

fn start(sandbox: &Sandbox, action: &str) -> Attacked {
    Attacked::start(sandbox, &may(action), "db_users = [\"*\"]")
}

fn asking<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a [u8])> {
    let more = more.iter().map(|(name, value)| (*name, value.as_bytes()));
    [("user", &b"sandbox_admin"[..]), ("database", b"app")]
        .into_iter()
        .chain(more)
        .collect()
}

/// A walsender answers this, an ordinary session calls it a syntax error.
fn is_walsender(session: &mut super::Attempt) -> bool {
    assert!(session.is_in(), "{:?}", session.messages);
    session.raw.query("IDENTIFY_SYSTEM");
    let answer = session.raw.read_until(b'Z');
    answer.iter().any(|message| message.tag == b'D')
}

#[test]
fn who_may_only_connect_replicates_by_no_spelling() {
    let (sandbox, _turn) = Sandbox::shared();
    let attacked = start(sandbox, "connect");
    let denial = attacked.denial("replicate", "sandbox_admin", "app");
    for value in ON.iter().chain(NEITHER) {
        attacked
            .attempt(&asking(&[("replication", value)]))
            .assert_refused("42501", &denial, NOBODY_ELSE);
    }
    attacked.assert_untouched();
    for value in OFF {
        let mut session = attacked.attempt(&asking(&[("replication", value)]));
        assert!(!is_walsender(&mut session), "{value:?}");
    }
}

/// It is no setting: the server knows the exact parameter only, and refuses everything else that is called so.
#[test]
fn replication_does_not_slip_by_under_another_name() {
    let (sandbox, _turn) = Sandbox::shared();
    let attacked = start(sandbox, "connect");
    for (name, value) in [
        ("options", "-c replication=database"),
        ("options", "-creplication=true"),
        ("options", "--replication=1"),
        ("options", "--Replication=database"),
        ("Replication", "database"),
        ("REPLICATION", "true"),
    ] {
        let asked = attacked.attempt(&asking(&[(name, value)]));
        let [state, message, _] = asked.refused();
        assert_eq!(state, "42704", "{message}");
        assert!(
            message.starts_with("unrecognized configuration parameter \""),
            "{message}"
        );
    }
    // A text with the word in it is a text.
    let mut session = attacked.attempt(&asking(&[("application_name", "replication=database")]));
    assert!(!is_walsender(&mut session));
}

#[test]
fn who_may_only_replicate_gets_no_ordinary_session() {
    let (sandbox, _turn) = Sandbox::shared();
    let attacked = start(sandbox, "replicate");
    let denial = attacked.denial("connect", "sandbox_admin", "app");
    for more in OFF.iter().map(|value| ("replication", *value)).chain([
        ("Replication", "database"),
        ("options", "-c replication=database"),
        ("application_name", "replication"),
    ]) {
        attacked
            .attempt(&asking(&[more]))
            .assert_refused("42501", &denial, NOBODY_ELSE);
    }
    attacked
        .attempt(&asking(&[]))
        .assert_refused("42501", &denial, NOBODY_ELSE);
    attacked.assert_untouched();
    for value in ON {
        let mut session = attacked.attempt(&asking(&[("replication", value)]));
        assert!(is_walsender(&mut session), "{value:?}");
    }
    for value in NEITHER {
        attacked
            .attempt(&asking(&[("replication", value)]))
            .assert_refused_by_the_server(
                "22023",
                &format!("invalid value for parameter \"replication\": \"{value}\""),
            );
    }
}
