//! Servers that are no decent broker, and what they get to see.

use super::{CALLER, PROOF, refusal, target, text};
use crate::support::raw::message;
use crate::support::scripted::{Scripted, Tls, greeting, say_and_close};
use crate::support::{Proxy, Sandbox};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

type Seen = Arc<Mutex<Vec<String>>>;

const CLEARTEXT: [u8; 4] = 3u32.to_be_bytes();

fn sasl(mechanism: &str) -> Vec<u8> {
    let body = [&10u32.to_be_bytes()[..], mechanism.as_bytes(), b"\0\0"].concat();
    message(b'R', &body)
}

fn refuse(code: &str) -> Vec<u8> {
    let body = format!("SFATAL\0VFATAL\0C{code}\0Mno\0\0");
    message(b'E', body.as_bytes())
}

/// The password of a PasswordMessage.
fn password(tls: &mut Tls) -> Option<String> {
    let mut head = [0; 5];
    tls.read_exact(&mut head).ok()?;
    assert_eq!(head[0], b'p');
    let mut body = vec![0; u32::from_be_bytes(head[1..].try_into().unwrap()) as usize - 4];
    tls.read_exact(&mut body).ok()?;
    Some(text(body.strip_suffix(&[0]).unwrap()))
}

/// Asks for a password, keeps it, and answers this.
fn next_asks(server: &Scripted, seen: &Seen, answer: Vec<u8>) {
    let seen = seen.clone();
    server.next_in_tls(move |tls| {
        tls.write_all(&message(b'R', &CLEARTEXT)).unwrap();
        if let Some(password) = password(tls) {
            seen.lock().unwrap().push(password);
            say_and_close(tls, &answer);
        }
    });
}

fn in_front_of(sandbox: &Sandbox, server: &Scripted, credential: &str) -> Proxy {
    Proxy::start_as(sandbox, CALLER, &target(sandbox, server.port, credential), &[])
}

#[test]
fn who_asks_for_something_else_gets_nothing() {
    let (sandbox, _turn) = Sandbox::shared();
    let server = Scripted::start(sandbox);
    let laptop = in_front_of(sandbox, &server, "");
    let md5 = [&5u32.to_be_bytes()[..], &[1; 4]].concat();
    for (asked, sentence, hint) in [
        (
            sasl("OAUTHBEARER"),
            "asks for a token by OAUTHBEARER, not for a proof",
            "`oidc`, for a token",
        ),
        (
            sasl("SCRAM-SHA-256"),
            "asks for a SCRAM password, not for a proof",
            "`scram` file",
        ),
        (
            message(b'R', &md5),
            "asks for an md5 password, not for a proof",
            "another kind of `credential`",
        ),
    ] {
        server.next_says(asked);
        let error = refusal(&laptop, "app");
        assert!(error.contains("28000"), "{error}");
        assert!(error.contains(sentence) && error.contains(hint), "{error}");
    }
}

/// What it does not need it would use elsewhere.
#[test]
fn one_login_shows_one_proof() {
    let (sandbox, _turn) = Sandbox::shared();
    let server = Scripted::start(sandbox);
    let laptop = in_front_of(sandbox, &server, "");
    let seen = Seen::default();
    next_asks(&server, &seen, message(b'R', &CLEARTEXT));
    let error = refusal(&laptop, "app");
    assert!(error.contains("a second proof is asked for"), "{error}");
    // A refused one is not shown again, nor is another that proves the same.
    for _ in 0..3 {
        next_asks(&server, &seen, refuse("28P01"));
        next_asks(&server, &seen, greeting(&[7; 4]));
        let error = refusal(&laptop, "app");
        assert!(
            error.contains("28P01") && error.contains("this machine's clock"),
            "{error}"
        );
        server.clear();
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|proof| proof.starts_with(PROOF)));
    let different: std::collections::HashSet<_> = seen.iter().collect();
    assert_eq!(different.len(), 4);
    assert_eq!(laptop.metric("dbproxy_login_retries_total"), 0.0);
}

/// AWS credentials that were renewed meanwhile are worth another try.
#[test]
fn renewed_credentials_are_tried_at_once() {
    let (sandbox, _turn) = Sandbox::shared();
    let server = Scripted::start(sandbox);
    let file = sandbox.dir.join("via-credentials");
    let key = |user: &str, name: &str| sandbox.text(&format!("/aws/{user}/{name}"));
    let write = |user: &str| {
        let (id, secret) = (key(user, "access_key_id"), key(user, "secret_access_key"));
        let text = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        std::fs::write(&file, text).unwrap();
    };
    write(CALLER);
    let environment = [("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap())];
    let config = target(sandbox, server.port, "");
    let laptop = Proxy::start_with(sandbox, "nobody", &config, &[], &environment);
    let seen = Seen::default();
    let good = || [message(b'R', &[0; 4]), refuse("57P01")].concat();
    next_asks(&server, &seen, good());
    laptop.psql("app", "select 1");
    write("dbproxy");
    next_asks(&server, &seen, refuse("28P01"));
    next_asks(&server, &seen, good());
    let error = refusal(&laptop, "app");
    assert!(error.contains("57P01") && !error.contains("28P01"), "{error}");
    assert_eq!(laptop.metric("dbproxy_login_retries_total"), 1.0);
    assert_eq!(seen.lock().unwrap().len(), 3);
}

#[test]
fn a_token_file_is_read_at_every_login() {
    let (sandbox, _turn) = Sandbox::shared();
    let server = Scripted::start(sandbox);
    let file = sandbox.dir.join("via.token");
    let credential = format!(", proof = \"token_file\", file = \"{}\"", file.display());
    let laptop = in_front_of(sandbox, &server, &credential);
    let seen = Seen::default();
    let error = refusal(&laptop, "app");
    assert!(error.contains("token file cannot be used"), "{error}");
    laptop.wait_until_logged("via.token");
    for token in ["eyJhIjoxfQ.eyJ9.YQ", "eyJhIjoyfQ.eyJ9.Yg"] {
        std::fs::write(&file, format!("{token}\n")).unwrap();
        next_asks(&server, &seen, refuse("28P01"));
        let error = refusal(&laptop, "app");
        assert!(error.contains("did not accept the token of the file"), "{error}");
        assert_eq!(seen.lock().unwrap().last().unwrap(), token);
        assert!(!error.contains(token) && !laptop.log().contains(token));
    }
    std::fs::write(&file, "hunter2").unwrap();
    let error = refusal(&laptop, "app");
    assert!(
        error.contains("not a JWT") && !error.contains("hunter2"),
        "{error}"
    );
    assert_eq!(seen.lock().unwrap().len(), 2);
}

/// TLS or nothing: no proof in clear.
#[test]
fn a_server_without_tls_is_shown_nothing() {
    let (sandbox, _turn) = Sandbox::shared();
    let server = Scripted::start(sandbox);
    let laptop = in_front_of(sandbox, &server, "");
    server.next(|mut stream, _| {
        stream.read_exact(&mut [0; 8]).unwrap();
        stream.write_all(b"N").unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "nothing follows");
    });
    let error = refusal(&laptop, "app");
    assert!(
        error.contains("08006") && error.contains("the broker needs `[client_tls]`"),
        "{error}"
    );
}
