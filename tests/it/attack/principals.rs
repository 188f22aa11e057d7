//! Callers whose names are those of others: of another kind, of another issuer, or of a group. And proofs that are shown
//! where they do not count.

use super::{ANY_USER, Attacked, NOBODY_ELSE, assert_untouched, attempt, readers};
use crate::callers::client::by_scram;
use crate::callers::{configuration, refusal, scram};
use crate::support::issuer::{Issuer, Key};
use crate::support::{Proxy, Sandbox};

const ARN: &str = "arn:aws:iam::111122223333:role/app";

/// Everybody of the catalog but `PasswordUser`, by the very texts that these users are called.
#[test]
fn a_name_with_a_password_is_nobody_of_another_kind() {
    let (sandbox, _turn) = Sandbox::shared();
    let names = [
        ARN,
        "ops@example.org",
        "email:ops@example.org",
        "spiffe://example.org/ops",
        "https://login.example.org#ops",
        "oidc:readers",
        "oncall",
        "local",
        "uid:0",
        "IamRole::\"arn\"",
        "dashboard\" || true || \"",
        "*",
        "password:dashboard",
        "Dashboard",
        "dashboard ",
    ];
    let cedar: String = [
        &format!("== IamRole::\"{ARN}\""),
        "== Certificate::\"email:ops@example.org\"",
        "== Certificate::\"uri:spiffe://example.org/ops\"",
        "== OidcUser::\"https://login.example.org#ops\"",
        "in Group::\"oidc:readers\"",
        "in Group::\"oncall\"",
        "is LocalUser",
        "== PasswordUser::\"dashboard\"",
    ]
    .iter()
    .enumerate()
    .map(|(number, who)| format!("@id(\"{number}\") permit (principal {who}, action, resource);\n"))
    .collect();
    let groups = format!("[groups]\noncall = ['IamRole::\"{ARN}\"', 'PasswordUser::\"other\"']\n");
    let users: Vec<_> = names.iter().map(|name| (*name, scram::SECRET)).collect();
    let tables = groups + &scram::table(sandbox, &escaped(&users));
    let config = configuration(sandbox, &["scram"], &cedar, ("", &tables));
    let config = config.replace(crate::callers::USERS, "db_users = [\"*\"]");
    let proxy = Proxy::start(sandbox, &config);
    for name in names {
        let message = format!(
            "password:{name} may not connect as db user \"{name}\" on target \"orders\", database \"app\""
        );
        let answer = by_scram(proxy.port(), name, scram::SECRET);
        assert_eq!(refusal(&answer), ["42501", &message, NOBODY_ELSE]);
    }
    assert_untouched(&proxy);
}

/// A quote inside quotes is doubled in the file.
fn escaped<'a>(users: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let doubled = |name: &'a str| -> &'a str {
        match name.contains('"') {
            true => Box::leak(name.replace('"', "\"\"").into_boxed_str()),
            false => name,
        }
    };
    users
        .iter()
        .map(|(name, secret)| (doubled(name), *secret))
        .collect()
}

/// Subjects that resemble jane, or would be her were they part of a text that somebody evaluates.
#[test]
fn a_subject_that_resembles_another_is_another() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let cedar = crate::callers::permit(&format!("== OidcUser::\"{}#jane\"", issuer.url), "app_ro")
        + &readers("app_rw");
    let config = configuration(sandbox, &["oidc"], &cedar, ("", &issuer.table("")));
    let config = config.replace(crate::callers::USERS, "db_users = [\"*\"]");
    let proxy = Proxy::start(sandbox, &config);
    let parameters = [("user", &b"app_ro"[..]), ("database", b"app")];
    let try_as = |subject: &str, groups: &[&str]| {
        let token = key.sign(&issuer.claims(subject, groups));
        attempt(proxy.port(), &token, &parameters)
    };
    for subject in [
        "Jane",
        "jane ",
        " jane",
        "jane#",
        "#jane",
        "x#jane",
        "jane#x",
        "j\u{430}ne",
        "jane\u{301}",
        "%6aane",
        "jane\" || \"a\" == \"a",
        "jane\\",
        "*",
        "jan*",
    ] {
        let message = format!(
            "oidc:{}#{subject} may not connect as db user \"app_ro\" on target \"orders\", database \"app\"",
            issuer.url
        );
        try_as(subject, &[]).assert_refused("42501", &message, NOBODY_ELSE);
    }
    // Names of groups are the issuer's, too; none of them is another than it says.
    for group in [
        "Readers",
        "readers ",
        "oidc:readers",
        "x\", Group::\"oidc:readers",
        "*",
    ] {
        assert_eq!(try_as("joe", &[group]).refused()[0], "42501", "{group:?}");
    }
    assert_untouched(&proxy);
    assert_eq!(try_as("jane", &[]).whoami(), "app_ro");
}

/// `A#b` of issuer `https://x` would be `b` of issuer `https://x#A`.
#[test]
fn an_issuer_whose_callers_could_be_anothers_is_not_accepted() {
    let (sandbox, _turn) = Sandbox::shared();
    let table = "[oidc.two]\nissuer = \"https://login.example.org#tenant\"\naudience = \"x\"\n";
    let config = format!("{table}{}", sandbox.target("orders", ANY_USER));
    let path = crate::support::proxy::config_file(sandbox, &config);
    let output = crate::support::proxy::dbproxy(&[])
        .args(["ls", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("holds a `#`, which parts issuer and subject in policies"),
        "{told}"
    );
}

/// What opens one target opens no other, though both take the same proof and have the same db users.
#[test]
fn a_permit_for_one_target_is_none_for_another() {
    let (sandbox, _turn) = Sandbox::shared();
    let payroll = sandbox.target("payroll", ANY_USER);
    let attacked = Attacked::start_with(sandbox, &readers("app_ro"), ANY_USER, "", &payroll);
    let token = attacked.token("jane");
    let jane = attacked.jane();
    for (user, message) in [
        (
            "app_ro",
            format!("{jane} may not connect as db user \"app_ro\" on target \"payroll\", database \"app\""),
        ),
        (
            "orders/app_ro",
            format!(
                "oidc:{}#jane may not connect as db user \"orders/app_ro\" on target \"payroll\", database \"app\"",
                attacked.issuer.url
            ),
        ),
    ] {
        let parameters = [("user", user.as_bytes()), ("database", &b"app"[..])];
        attempt(attacked.proxy.port_of(1), &token, &parameters).assert_refused(
            "42501",
            &message,
            NOBODY_ELSE,
        );
    }
    attacked.assert_untouched();
    let parameters = [("user", &b"app_ro"[..]), ("database", b"app")];
    assert_eq!(
        attempt(attacked.proxy.port_of(0), &token, &parameters).whoami(),
        "app_ro"
    );
}

/// A listener may be shut to a proof that another one of the same dbproxy takes, and policy may be by the way of proof.
#[test]
fn a_proof_that_counts_at_one_listener_does_not_at_another() {
    let (sandbox, _turn) = Sandbox::shared();
    let own = format!("authenticators = [\"scram\"]\n{ANY_USER}");
    let tables = scram::table(sandbox, &[("app_ro", scram::SECRET)]) + &sandbox.target("payroll", &own);
    let cedar = "@id(\"all\") permit (principal, action, resource) unless { context.proof == \"scram\" };";
    let attacked = Attacked::start_with(sandbox, cedar, ANY_USER, "", &tables);
    let payroll = attacked.proxy.port_of(1);
    // The token as a password of the name, to who asks for a password by SCRAM.
    let answer = by_scram(payroll, "app_ro", &attacked.token("jane"));
    assert_eq!(refusal(&answer)[..2], ["28P01", "who you are was not proven"]);
    let answer = by_scram(payroll, "app_ro", scram::SECRET);
    let message =
        "password:app_ro may not connect as db user \"app_ro\" on target \"payroll\", database \"app\"";
    assert_eq!(refusal(&answer), ["42501", message, NOBODY_ELSE]);
    // And the password where tokens are asked for.
    let parameters = [("user", &b"app_ro"[..]), ("database", b"app")];
    let answer = attempt(attacked.proxy.port_of(0), scram::SECRET, &parameters);
    assert_eq!(answer.refused()[..2], ["28P01", "who you are was not proven"]);
    attacked.assert_untouched();
}
