//! Another role from the first moment of a session, by every spelling that the server understands: policy is asked about
//! the role that the server sets, and nobody becomes another session user.

use super::{Attacked, NOBODY_ELSE, Roles, readers};
use crate::support::Sandbox;

const APP: &[u8] = b"app";

type Parameters<'a> = &'a [(&'a str, &'a str)];

/// Spellings of `attack-r one`, which the server reads from all of them.
const SPELLINGS: &[Parameters<'_>] = &[
    &[("options", r"-c role=attack-r\ one")],
    &[("options", r"-crole=attack-r\ one")],
    &[("options", r"--role=attack-r\ one")],
    &[("options", r"--ROLE=attack-r\ one")],
    &[("options", r"-c RoLe=attack-r\ one")],
    &[("options", "\t-c\n\x0brole=attack-r\\ one\r ")],
    &[("options", r"-\c ro\le=attack-r\ one")],
    &[("options", r"-jEecrole=attack-r\ one")],
    &[("options", r"-e-role=attack-r\ one")],
    &[("options", r"-f s -S 100 -c role=attack-r\ one -e")],
    &[("options", r"-c role=none -c role=attack-r\ one")],
    &[("options", "-c role=none"), ("options", r"-c role=attack-r\ one")],
    &[("role", "attack-r one")],
    &[("ROLE", "attack-r one")],
    &[("options", "-c role=app_rw"), ("Role", "attack-r one")],
    &[("role", "none"), ("rolE", "attack-r one")],
    &[("role", "attack-r one"), ("options", "-c role=app_rw")],
];

fn with<'a>(more: Parameters<'a>) -> Vec<(&'a str, &'a [u8])> {
    let more = more.iter().map(|(name, value)| (*name, value.as_bytes()));
    [("user", &b"app_rw"[..]), ("database", APP)]
        .into_iter()
        .chain(more)
        .collect()
}

/// The same spellings twice: permitted, the server says who it is; forbidden, none of them gets by.
#[test]
fn policy_sees_the_role_that_the_server_sets_however_it_is_spelt() {
    let (sandbox, _turn) = Sandbox::shared();
    let names = ["attack-r one"];
    let _roles = Roles::create(sandbox, &names, "grant \"attack-r one\" to app_rw");
    let permitted = readers("app_rw").replace(
        ");",
        ") when { context has role && context.role == \"attack-r one\" };",
    );
    let forbidden = readers("app_rw")
        + "@id(\"not-that-role\") forbid (principal, action, resource) \
           when { context has role && context.role == \"attack-r one\" };";
    let open = Attacked::start(sandbox, &permitted, "db_users = [\"app_rw\"]");
    let shut = Attacked::start(sandbox, &forbidden, "db_users = [\"app_rw\"]");
    for spelling in SPELLINGS {
        let mut session = open.attempt(&with(spelling));
        assert_eq!(session.whoami(), "attack-r one", "{spelling:?}");
        assert_eq!(session.value("select session_user"), "app_rw");
        let refused = shut.attempt(&with(spelling));
        let denial = shut.denial("connect", "app_rw", "app") + ", with role \"attack-r one\"";
        refused.assert_refused("42501", &denial, NOBODY_ELSE);
        assert!(
            refused
                .log_line(&shut.proxy)
                .contains("forbidden by not-that-role")
        );
    }
    shut.assert_untouched();
    open.proxy.wait_until_logged("role=\"attack-r one\"");
}

/// What the server takes for no role is none for policy, and what takes a role back does so for both.
#[test]
fn no_role_is_no_role_for_policy_and_server_alike() {
    let (sandbox, _turn) = Sandbox::shared();
    let cedar = readers("app_rw").replace(");", ") unless { context has role };");
    let attacked = Attacked::start(sandbox, &cedar, "db_users = [\"app_rw\"]");
    for parameters in [
        &[][..],
        &[("role", "none")],
        &[("options", "-c role=none")],
        &[("options", "-c role=app_rw"), ("role", "none")],
        &[("options", "-c role=app_rw -c role=none")],
        &[("options", "-c role=app_rw"), ("options", "")],
    ] {
        assert_eq!(
            attacked.attempt(&with(parameters)).whoami(),
            "app_rw",
            "{parameters:?}"
        );
    }
    assert!(!attacked.proxy.log().contains(" role="));
    // Its own name is a role like any other, and so is the word in other letters.
    for (role, parameters) in [
        ("app_rw", [("role", "app_rw")]),
        ("NONE", [("role", "NONE")]),
        ("none ", [("options", r"-c role=none\ ")]),
    ] {
        let denial = format!(
            "{}, with role \"{role}\"",
            attacked.denial("connect", "app_rw", "app")
        );
        attacked
            .attempt(&with(&parameters))
            .assert_refused("42501", &denial, NOBODY_ELSE);
    }
}

/// The server knows these words in other meanings or not at all: it refuses them itself, and sets nothing.
#[test]
fn what_only_looks_like_a_role_sets_none() {
    let (sandbox, _turn) = Sandbox::shared();
    let cedar = readers("app_rw").replace(");", ") unless { context has role };");
    let attacked = Attacked::start(sandbox, &cedar, "db_users = [\"app_rw\"]");
    for (parameters, state) in [
        (&[("role", "")][..], "22023"),
        (&[("role ", "app_ro")], "42704"),
        (&[("-role", "app_ro")], "42704"),
        (&[("options", "role=app_ro")], "42601"),
        (&[("options", "-c role")], "42601"),
        (&[("options", "-- -c role=app_ro")], "42601"),
        (&[("options", "-N -- -c role=none")], "55P02"),
        (&[("OPTIONS", "-c role=app_ro")], "42704"),
    ] {
        let [found, message, _] = attacked.attempt(&with(parameters)).refused();
        assert_eq!(found, state, "{parameters:?}: {message}");
    }
    // It takes no part of the connection's name.
    let mut session = attacked.attempt(&with(&[("application_name", "-c role=app_ro")]));
    assert_eq!(session.whoami(), "app_rw");
}

#[test]
fn a_role_whose_name_the_server_could_cut_or_misread_is_refused() {
    let (sandbox, _turn) = Sandbox::shared();
    let everything = "@id(\"all\") permit (principal, action, resource);";
    let attacked = Attacked::start(sandbox, everything, "db_users = [\"*\"]");
    let too_long = "x".repeat(64);
    for (role, what) in [
        (too_long.as_bytes(), "name is 64 bytes long, the limit is 63"),
        (b"app\xff", "name is not valid UTF-8"),
    ] {
        let message = format!("the role name in the startup packet is not acceptable: {what}");
        let parameters = [("user", &b"app_rw"[..]), ("database", APP), ("role", role)];
        attacked
            .attempt(&parameters)
            .assert_refused("28000", &message, "");
    }
    attacked.assert_untouched();
}

/// Also where everything is permitted, and where the server would grant it: to a superuser.
#[test]
fn nobody_begins_as_another_session_user() {
    let (sandbox, _turn) = Sandbox::shared();
    let everything = "@id(\"all\") permit (principal, action, resource);";
    let attacked = Attacked::start(sandbox, everything, "db_users = [\"*\"]");
    for parameters in [
        &[("options", "-c session_authorization=app_rw")][..],
        &[("options", "-csession_authorization=app_rw")],
        &[("options", "--session_authorization=app_rw")],
        &[("options", "--session-authorization=app_rw")],
        &[("options", "--Session-AUTHORIZATION=app_rw")],
        &[("options", r"-c session_auth\orization=app\_rw")],
        &[("options", "-e -c session_authorization=app_rw -c role=none")],
        &[("options", "-c session_authorization=default")],
        &[("options", "-c session_authorization=sandbox_admin")],
        &[("session_authorization", "app_rw")],
        &[("SESSION_Authorization", "app_rw"), ("role", "app_rw")],
        &[("session_authorization", "")],
    ] {
        let more = parameters.iter().map(|(name, value)| (*name, value.as_bytes()));
        let admin = [("user", &b"sandbox_admin"[..]), ("database", APP)].into_iter();
        let parameters: Vec<_> = admin.chain(more).collect();
        attacked.attempt(&parameters).assert_refused(
            "42501",
            "session_authorization may not be set when a session begins",
            "Connect as the db user that you want to be, or ask for a `role` of its own.",
        );
    }
    attacked.assert_untouched();
    // With a dash it is no name of a parameter's: the server refuses it.
    let dash = [
        ("user", &b"app_rw"[..]),
        ("database", APP),
        ("session-authorization", b"app_ro"),
    ];
    attacked.attempt(&dash).assert_refused_by_the_server(
        "42704",
        "unrecognized configuration parameter \"session-authorization\"",
    );
}
