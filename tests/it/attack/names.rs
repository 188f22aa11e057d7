//! Names of db users that look like another's, or that something on the way could take for another's.

use super::{ANY_USER, Attacked, NOBODY_ELSE, Roles, attempt_with, readers, with_role};
use crate::support::Sandbox;
use crate::support::raw::packet;

const APP: &[u8] = b"app";

/// Everything that resembles `app_rw`, or would be it after folding, trimming, decoding, normalising or evaluating.
const LOOK_ALIKES: &[&str] = &[
    "App_Rw",
    "APP_RW",
    "app_rW",
    " app_rw",
    "app_rw ",
    "app_rw\t",
    "app_rw\n",
    "\"app_rw\"",
    "'app_rw'",
    "app_rw;",
    "public.app_rw",
    "app_rw.",
    "orders/app_rw",
    "/app_rw",
    "../orders/app_rw",
    "app_rw/",
    "*",
    "app_*",
    "app_r%",
    "app%5Frw",
    "app_rw%00",
    "app_rw%20",
    "app_rw&DBUser=app_rw",
    "app_rw?Action=connect",
    "app_rw\" || \"1\" == \"1",
    "app_rw\"); permit (principal, action, resource);//",
    "DbUser::\"orders/app_rw\"",
    "app\\u{5f}rw",
    "app_rw\\",
    "app_rw\\0",
    "аpp_rw",
    "app_rw\u{200b}",
    "\u{feff}app_rw",
    "app\u{ff3f}rw",
    "app_rw\u{301}",
    "app_ŕw",
    "app_r\u{301}w",
    "app",
    "orders",
    "postgres",
    "rds_iam",
    "{caller}",
    "$user",
];

#[test]
fn no_look_alike_of_a_permitted_db_user_is_permitted() {
    let (sandbox, _turn) = Sandbox::shared();
    let attacked = Attacked::start(sandbox, &readers("app_rw"), "db_users = [\"*\"]");
    for name in LOOK_ALIKES {
        attacked
            .attempt(&[("user", name.as_bytes()), ("database", APP)])
            .assert_refused("42501", &attacked.denial("connect", name, "app"), NOBODY_ELSE);
    }
    attacked.assert_untouched();
    let mut itself = attacked.attempt(&[("user", b"app_rw"), ("database", APP)]);
    assert_eq!(itself.whoami(), "app_rw");
}

/// Where the target lists its db users, whoever names none of them gets the one that it may be; the record tells the two
/// apart.
#[test]
fn a_look_alike_is_never_the_one_it_resembles_but_the_one_the_caller_may_be() {
    let (sandbox, _turn) = Sandbox::shared();
    let attacked = Attacked::start(sandbox, &readers("app_ro"), ANY_USER);
    for name in LOOK_ALIKES {
        let mut session = attacked.attempt(&[("user", name.as_bytes()), ("database", APP)]);
        assert_eq!(session.whoami(), "app_ro", "{name:?}");
    }
    attacked
        .proxy
        .wait_until_logged("db_user=\"app_ro\" database=\"app\" asked_user=\"App_Rw\"");
    attacked
        .attempt(&[("user", b"app_rw"), ("database", APP)])
        .assert_refused(
            "42501",
            &attacked.denial("connect", "app_rw", "app"),
            "You may connect as: app_ro.",
        );
}

/// The server would cut the 64th byte, and log in whom policy permits to nobody who asks so.
#[test]
fn a_name_that_the_server_would_cut_to_a_permitted_one_is_refused() {
    let (sandbox, _turn) = Sandbox::shared();
    let name = format!("attack_{}", "x".repeat(56));
    assert_eq!(name.len(), 63);
    let names = [name.as_str()];
    let _roles = Roles::create(sandbox, &names, "");
    let users = with_role(sandbox, "db_users = [\"*\"]");
    let attacked = Attacked::start(sandbox, &readers(&name), &users);
    for longer in [format!("{name}x"), format!("{name}é"), "x".repeat(5_000)] {
        let message = format!(
            "the user name in the startup packet is not acceptable: name is {} bytes long, the limit is 63",
            longer.len()
        );
        attacked
            .attempt(&[("user", longer.as_bytes()), ("database", APP)])
            .assert_refused("28000", &message, "");
    }
    // A character of two bytes across the limit: cut, it would be no text at all.
    let across = format!("{}é", "x".repeat(62));
    let [state, _, _] = attacked
        .attempt(&[("user", across.as_bytes()), ("database", APP)])
        .refused();
    assert_eq!(state, "28000");
    attacked.assert_untouched();
    let mut itself = attacked.attempt(&[("user", name.as_bytes()), ("database", APP)]);
    assert_eq!(itself.whoami(), name);
}

#[test]
fn a_name_that_is_not_utf8_or_empty_is_refused() {
    let (sandbox, _turn) = Sandbox::shared();
    let everybody = "@id(\"all\") permit (principal, action, resource);";
    let attacked = Attacked::start(sandbox, everybody, "db_users = [\"*\"]");
    let not_acceptable =
        |what: &str| format!("the user name in the startup packet is not acceptable: {what}");
    for name in [
        &b"app_rw\xff"[..],
        b"\xc3",
        // `/` of two bytes, a surrogate, and U+0000 of two bytes.
        b"orders\xc0\xafapp_rw",
        b"app_rw\xed\xa0\x80",
        b"app_rw\xc0\x80",
    ] {
        attacked
            .attempt(&[("user", name), ("database", APP)])
            .assert_refused("28000", &not_acceptable("name is not valid UTF-8"), "");
    }
    for parameters in [
        &[("user", &b""[..]), ("database", APP)][..],
        &[("database", APP)],
        // The names of parameters are exact: this is none that names a user.
        &[("User", b"app_rw"), ("database", APP)],
    ] {
        attacked
            .attempt(parameters)
            .assert_refused("28000", &not_acceptable("name is empty"), "");
    }
    attacked.assert_untouched();
}

/// PostgreSQL takes the last of two. dbproxy takes neither, so the two can never differ.
#[test]
fn a_user_or_database_that_is_given_twice_is_refused_before_anybody_is_asked() {
    let (sandbox, _turn) = Sandbox::shared();
    let attacked = Attacked::start(sandbox, &readers("app_ro"), "db_users = [\"*\"]");
    for parameters in [
        &[("user", &b"app_ro"[..]), ("database", APP), ("user", b"app_rw")][..],
        &[("user", b"app_rw"), ("user", b"app_ro"), ("database", APP)],
        &[("user", b"app_ro"), ("user", b"app_ro"), ("database", APP)],
        &[("user", b"app_ro"), ("database", APP), ("database", b"postgres")],
        &[("user", b"app_ro"), ("database", b""), ("database", APP)],
        &[
            ("user", b"app_ro"),
            ("replication", b"off"),
            ("replication", b"database"),
        ],
    ] {
        attacked.attempt(parameters).assert_refused(
            "08P01",
            "malformed startup packet: a parameter is given twice",
            "",
        );
    }
    attacked.assert_untouched();
}

/// What stands behind a zero byte is another text for whoever reads on.
#[test]
fn zero_bytes_hide_nothing() {
    let (sandbox, _turn) = Sandbox::shared();
    let attacked = Attacked::start(sandbox, &readers("app_ro"), "db_users = [\"*\"]");
    let malformed = |what: &str| format!("malformed startup packet: {what}");
    for (body, what) in [
        // The end of the parameters, and then more of them.
        (
            &b"user\0app_ro\0\0user\0app_rw\0database\0app\0\0"[..],
            "bytes after the parameters",
        ),
        (b"user\0app_ro\0database\0app\0\0\0", "bytes after the parameters"),
        (b"user\0app_ro\0database\0app\0user\0", "string without its end"),
        // `app_rw` becomes the name of a parameter, `user` its value.
        (
            b"user\0app_ro\0database\0app\0app_rw\0user\0app_rw\0\0",
            "string without its end",
        ),
    ] {
        let opening = packet(&[&[0, 3, 0, 0], body].concat());
        attempt_with(attacked.proxy.port(), &attacked.token("jane"), &opening, b"").assert_refused(
            "08P01",
            &malformed(what),
            "",
        );
    }
    attacked.assert_untouched();
    // An empty name ends the parameters: the database is app_ro's own name.
    let opening = packet(b"\0\x03\0\0user\0app_ro\0\0");
    let database = attempt_with(attacked.proxy.port(), &attacked.token("jane"), &opening, b"");
    database.assert_refused_by_the_server("3D000", "database \"app_ro\" does not exist");
}

/// The name is part of a signed query string: it must arrive there as it is, and decide nothing else in it.
#[test]
fn what_a_query_string_would_decode_is_signed_as_it_is() {
    let (sandbox, _turn) = Sandbox::shared();
    let names = [
        "attack%5Fro",
        "attack&DBUser=app_rw",
        "attack+ro #=",
        "attack/ro:é",
    ];
    let _roles = Roles::create(sandbox, &names, "");
    let permits: String = names
        .iter()
        .enumerate()
        .map(|(number, name)| readers(name).replace("as-", &format!("{number}-as-")))
        .collect();
    let users = with_role(sandbox, "db_users = [\"*\"]");
    let attacked = Attacked::start(sandbox, &permits, &users);
    for name in ["attack_ro", "attack ro #=", "app_rw", "attack%2Fro:%C3%A9"] {
        attacked
            .attempt(&[("user", name.as_bytes()), ("database", APP)])
            .assert_refused("42501", &attacked.denial("connect", name, "app"), NOBODY_ELSE);
    }
    attacked.assert_untouched();
    for name in names {
        let mut session = attacked.attempt(&[("user", name.as_bytes()), ("database", APP)]);
        assert_eq!(session.whoami(), name);
    }
}

/// `a/b` on target `c` must not be `b` on target `c/a`.
#[test]
fn a_target_cannot_be_named_so_that_its_db_users_are_anothers() {
    let (sandbox, _turn) = Sandbox::shared();
    let config = sandbox.target("\"orders/eu\"", "db_users = [\"app_ro\"]");
    let path = crate::support::proxy::config_file(sandbox, &config);
    let output = crate::support::proxy::dbproxy(&[])
        .args(["ls", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("holds a `/`, which policies put between target and db user"),
        "{told}"
    );
}
