//! The database: what a client that names none, or another, gets.

use super::{Attacked, NOBODY_ELSE, readers};
use crate::support::Sandbox;

/// On `app` alone.
fn on_app(db_user: &str) -> String {
    readers(db_user).replace(");", ") when { context.database == \"app\" };")
}

#[test]
fn a_permit_for_one_database_is_none_for_what_the_server_would_default_to() {
    let (sandbox, _turn) = Sandbox::shared();
    let attacked = Attacked::start(sandbox, &on_app("app_ro"), "db_users = [\"*\"]");
    for (database, judged) in [
        (None, "app_ro"),
        (Some(""), "app_ro"),
        (Some("app_ro"), "app_ro"),
        (Some("postgres"), "postgres"),
        (Some("template1"), "template1"),
        (Some("App"), "App"),
        (Some("app "), "app "),
        (Some("\"app\""), "\"app\""),
        (Some("app/../postgres"), "app/../postgres"),
        // libpq reads this as a connection string; the server does not.
        (Some("dbname=app"), "dbname=app"),
    ] {
        let parameters = [("user", &b"app_ro"[..])].into_iter();
        let database = database.map(|name| ("database", name.as_bytes()));
        let parameters: Vec<_> = parameters.chain(database).collect();
        attacked.attempt(&parameters).assert_refused(
            "42501",
            &attacked.denial("connect", "app_ro", judged),
            NOBODY_ELSE,
        );
    }
    let too_long = "x".repeat(64);
    for (name, what) in [
        (too_long.as_bytes(), "name is 64 bytes long, the limit is 63"),
        (b"app\xff", "name is not valid UTF-8"),
    ] {
        let message = format!("the database name in the startup packet is not acceptable: {what}");
        attacked
            .attempt(&[("user", b"app_ro"), ("database", name)])
            .assert_refused("28000", &message, "");
    }
    // What `options` says about it, the server does not know.
    let by_options = attacked.attempt(&[("user", b"app_ro"), ("options", b"-c database=app")]);
    by_options.assert_refused(
        "42501",
        &attacked.denial("connect", "app_ro", "app_ro"),
        NOBODY_ELSE,
    );
    attacked.assert_untouched();
    let mut on_app = attacked.attempt(&[("user", b"app_ro"), ("database", b"app")]);
    assert_eq!(on_app.value("select current_database()"), "app");
}

/// A default is judged as if the client had named it; one that is named is judged itself.
#[test]
fn the_default_database_is_judged_and_is_the_one_that_is_opened() {
    let (sandbox, _turn) = Sandbox::shared();
    let users = "db_users = [\"*\"]\ndefault_database = \"app\"";
    let attacked = Attacked::start(sandbox, &on_app("app_ro"), users);
    let named = attacked.attempt(&[("user", b"app_ro"), ("database", b"postgres")]);
    named.assert_refused(
        "42501",
        &attacked.denial("connect", "app_ro", "postgres"),
        NOBODY_ELSE,
    );
    // Not a default: it is named like another user than this one.
    let named = attacked.attempt(&[("user", b"app_ro"), ("database", b"app_rw")]);
    named.assert_refused(
        "42501",
        &attacked.denial("connect", "app_ro", "app_rw"),
        NOBODY_ELSE,
    );
    attacked.assert_untouched();
    for parameters in [
        &[("user", &b"app_ro"[..])][..],
        &[("user", b"app_ro"), ("database", b"")],
        &[("user", b"app_ro"), ("database", b"app_ro")],
    ] {
        let mut session = attacked.attempt(parameters);
        assert_eq!(session.value("select current_database()"), "app");
    }
    let on_postgres = readers("app_ro").replace(");", ") when { context.database == \"app_ro\" };");
    let attacked = Attacked::start(sandbox, &on_postgres, users);
    attacked.attempt(&[("user", b"app_ro")]).assert_refused(
        "42501",
        &attacked.denial("connect", "app_ro", "app"),
        NOBODY_ELSE,
    );
    attacked.assert_untouched();
}

/// A db user that is named like a database, and a client that names neither of the target's.
#[test]
fn a_user_named_like_a_database_is_no_way_into_it() {
    let (sandbox, _turn) = Sandbox::shared();
    let users = "db_users = [\"app_ro\"]\ndatabases = [\"app\"]";
    let attacked = Attacked::start(sandbox, &on_app("app_ro"), users);
    // The database is the user's name before it is decided whom the client gets.
    let [state, message, hint] = attacked.attempt(&[("user", b"postgres")]).refused();
    assert_eq!(
        (state.as_str(), message.as_str()),
        ("3D000", "database \"postgres\" is not one of target \"orders\"")
    );
    assert!(hint.starts_with("Databases here: app."), "{hint}");
    attacked.assert_untouched();
    let mut session = attacked.attempt(&[("user", b"app")]);
    assert_eq!(
        session.value("select current_user || ' on ' || current_database()"),
        "app_ro on app"
    );
}
