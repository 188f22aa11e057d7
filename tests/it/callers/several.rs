//! Several authenticators at one listener.

use super::client::{PASSWORD, SASL, by_password, by_scram, code, knock};
use super::{assert_not_proven, aws_iam, configuration, permit, refusal, scram};
use crate::support::issuer::{Issuer, Key};
use crate::support::raw::message;
use crate::support::{Proxy, Raw, Sandbox, psql};
use std::time::{Duration, Instant};

/// Whoever gives a name with a password of its own is asked for that, everybody else for a proof; each kind is
/// told by its beginning.
#[test]
fn each_proof_finds_its_authenticator() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let arn = sandbox.text("/aws/dbproxy/arn");
    let tables = issuer.table("")
        + &aws_iam::table(sandbox, "")
        + &scram::table(sandbox, &[("dashboard", scram::SECRET)]);
    let cedar = permit("in Group::\"oidc:readers\"", "app_ro")
        + &permit("== PasswordUser::\"dashboard\"", "app_ro").replace("as-app-ro", "dashboard")
        + &permit(&format!("== IamUser::\"{arn}\""), "app_rw");
    let authenticators = ["aws-iam", "oidc", "scram"];
    let config = configuration(sandbox, &authenticators, &cedar, ("", &tables));
    let mut proxy = Proxy::start(sandbox, &config);

    assert_eq!(code(&knock(&mut Raw::connect(proxy.port()), "dashboard")), SASL);
    assert_eq!(code(&knock(&mut Raw::connect(proxy.port()), "jane")), PASSWORD);
    let token = key.sign(&issuer.claims("jane", &["readers"]));
    let proof = aws_iam::proof(&aws_iam::keys(sandbox, "dbproxy"));
    let secrets = [token.rsplit_once('.').unwrap().1, proof.as_str(), scram::SECRET];
    for secret in secrets {
        proxy.keep_secret(secret);
    }
    for (outcome, caller) in [
        (
            by_scram(proxy.port(), "dashboard", scram::SECRET),
            "caller=password:dashboard ",
        ),
        (by_password(proxy.port(), "app_ro", token.as_bytes()), "#jane "),
        (
            by_password(proxy.port(), "app_rw", proof.as_bytes()),
            "user/dbproxy ",
        ),
    ] {
        assert_eq!(outcome.last().unwrap().tag, b'Z', "{outcome:?}");
        proxy.wait_until_logged(caller);
    }
    for unfit in ["", "secret", "eyJ.x", "dbproxy-aws-v2.x"] {
        let refused = by_password(proxy.port(), "jane", unfit.as_bytes());
        assert_not_proven(&proxy, &refused, "none of the proofs that the listener accepts");
    }
}

/// A proof of a kind that is configured, but not accepted at this listener.
#[test]
fn a_listener_takes_only_its_own_authenticators() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let tables = issuer.table("") + &aws_iam::table(sandbox, "");
    let cedar = "@id(\"all\")\npermit (principal, action, resource);\n";
    let proxy = Proxy::start(
        sandbox,
        &configuration(sandbox, &["aws-iam"], cedar, ("", &tables)),
    );
    let token = key.sign(&issuer.claims("jane", &["readers"]));
    let refused = by_password(proxy.port(), "app_ro", token.as_bytes());
    assert_not_proven(&proxy, &refused, "none of the proofs that the listener accepts");
    assert_eq!(issuer.requests(), 0, "it was not even looked at");

    // A target may have others than the rest.
    let own = format!("authenticators = [\"oidc\"]\n{}", super::USERS);
    let config = configuration(sandbox, &["aws-iam"], cedar, ("", &tables)) + &sandbox.target("second", &own);
    let proxy = Proxy::start(sandbox, &config);
    let (first, second) = (proxy.port_of(0), proxy.port_of(1));
    let accepted = [first, second].map(|port| by_password(port, "app_ro", token.as_bytes()));
    assert_eq!(accepted.map(|outcome| outcome.last().unwrap().tag), [b'E', b'Z']);
}

/// The order of the configuration counts: who is local anyway is asked for nothing, or asked all the same.
#[test]
fn authenticators_are_tried_in_their_order() {
    let (sandbox, _turn) = Sandbox::shared();
    let tables = scram::table(sandbox, &[("dashboard", scram::SECRET)]);
    let cedar = permit("is LocalUser", "app_ro");
    let authenticators = ["local", "scram"];
    let config = configuration(sandbox, &authenticators, &cedar, ("", &tables));
    let proxy = Proxy::start(sandbox, &config);
    assert_eq!(proxy.query("dashboard", "select current_user"), "app_ro");
    proxy.wait_until_logged("caller=local ");
    let config = configuration(sandbox, &["scram", "local"], &cedar, ("", &tables));
    let proxy = Proxy::start(sandbox, &config);
    assert_eq!(code(&knock(&mut Raw::connect(proxy.port()), "dashboard")), SASL);
}

#[test]
fn a_proof_has_its_limits() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let tables = issuer.table("");
    let config = configuration(sandbox, &["oidc"], "", ("", &tables));
    let proxy = Proxy::start(sandbox, &config);
    // The body of the longest message that is read ends with a zero.
    let longest = "x".repeat(65_534);
    let refused = by_password(proxy.port(), "jane", longest.as_bytes());
    assert_not_proven(&proxy, &refused, "none of the proofs that the listener accepts");
    let [state, message_of_limit, _] =
        refusal(&by_password(proxy.port(), "jane", "x".repeat(65_535).as_bytes()));
    assert_eq!(state, "08P01");
    assert!(
        message_of_limit.contains("during the authentication"),
        "{message_of_limit}"
    );
    // Its length alone is enough: nobody waits for the rest.
    let answers = |bytes: &[u8]| {
        let mut raw = Raw::connect(proxy.port());
        knock(&mut raw, "jane");
        raw.send(bytes);
        refusal(&super::client::outcome(&mut raw))[0].clone()
    };
    assert_eq!(answers(&[b'p', 0x7f, 0xff, 0xff, 0xff]), "08P01");
    assert_eq!(answers(&[b'p', 0, 0, 0, 3]), "08P01");
    assert_eq!(answers(&message(b'p', b"no end")), "08P01");
    assert_eq!(answers(&message(b'p', b"two\0ends\0")), "08P01");
    assert_eq!(answers(&message(b'X', b"")), "08P01");
}

/// A client that gives nothing does not keep its place for ever.
#[test]
fn a_client_that_gives_no_proof_is_refused_in_time() {
    let (sandbox, _turn) = Sandbox::shared();
    let tables = scram::table(sandbox, &[("dashboard", scram::SECRET)]);
    let head = "startup_timeout = \"1s\"";
    let proxy = Proxy::start(sandbox, &configuration(sandbox, &["scram"], "", (head, &tables)));
    let mut raw = Raw::connect(proxy.port());
    knock(&mut raw, "dashboard");
    let [state, message, _] = refusal(&super::client::outcome(&mut raw));
    assert_eq!(state, "28000");
    assert!(message.contains("no proof of identity came in time"), "{message}");
}

/// Nobody stands between the two ends of a unix socket, so a proof needs no TLS there.
#[test]
fn a_unix_socket_takes_proofs_too() {
    let (sandbox, _turn) = Sandbox::shared();
    let directory = std::env::temp_dir().join(format!("dbproxy-it-callers-{}", std::process::id()));
    let tables = scram::table(sandbox, &[("dashboard", scram::SECRET)]);
    let cedar = permit("== PasswordUser::\"dashboard\"", "app_ro");
    let config = configuration(sandbox, &["scram"], &cedar, ("", &tables))
        .replace("127.0.0.1:0", &format!("unix:{}", directory.display()));
    let proxy = Proxy::start(sandbox, &config);
    let connection = format!("host={} port=5432 user=dashboard dbname=app", directory.display());
    for (password, output) in [(scram::SECRET, "app_ro\n"), ("a guess", "")] {
        let seen = psql(&connection, &[("PGPASSWORD", password)], "select current_user");
        assert_eq!(String::from_utf8_lossy(&seen.stdout), output, "{}", proxy.log());
    }
    drop(proxy);
    let _ = std::fs::remove_dir_all(directory);
}

/// Nobody waits at a shutdown for clients that have not proven anything yet.
#[test]
fn a_client_that_is_being_asked_does_not_hold_up_a_shutdown() {
    let (sandbox, _turn) = Sandbox::shared();
    let tables = scram::table(sandbox, &[("dashboard", scram::SECRET)]);
    let head = "drain_timeout = \"25s\"";
    let config = configuration(sandbox, &["scram"], "", (head, &tables));
    let mut proxy = Proxy::start(sandbox, &config);
    let mut raw = Raw::connect(proxy.port());
    knock(&mut raw, "dashboard");
    let began = Instant::now();
    proxy.signal("TERM");
    let [state, ..] = refusal(&super::client::outcome(&mut raw));
    assert_eq!(state, "57P01");
    drop(raw);
    proxy.wait_for_exit();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
