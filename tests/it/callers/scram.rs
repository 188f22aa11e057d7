//! Passwords of callers' own, against a file of verifiers.

mod bound;

use super::by_driver::assert_drivers_log_in;
use super::client::{SASL, SASL_CONTINUE, by_scram, challenged, code, whoami};
use super::{NOT_PROVEN, assert_is, assert_not_proven, configuration, directory, permit, psql_as, refusal};
use crate::replicas::{free_address, secret_file};
use crate::support::raw::{Message, SSL_REQUEST};
use crate::support::tls::{client_tls, start};
use crate::support::{Proxy, Raw, Sandbox, psql};
use dbproxy::platform::wire::scram::Verifier;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// With what SASLprep and the exchange's own syntax could stumble over.
pub const SECRET: &str = "pä ss,w=rd";

/// A line of the file.
pub fn line(user: &str, password: &str) -> String {
    let verifier = Verifier::of_password(password.as_bytes(), b"salt of sixteen.", 4096).unwrap();
    format!("\"{user}\" \"{}\"\n", &*verifier.to_text())
}

/// Others may not write it, whatever the umask.
fn private(file: &Path) {
    std::fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
}

/// `[scram]` with a file that knows these.
pub fn table(sandbox: &Sandbox, users: &[(&str, &str)]) -> String {
    let file = directory(sandbox).join("verifiers");
    let lines: String = users
        .iter()
        .map(|(user, password)| line(user, password))
        .collect();
    std::fs::write(&file, lines).unwrap();
    private(&file);
    format!("[scram]\nfile = \"{}\"\n", file.display())
}

fn proxy(sandbox: &Sandbox, more: &str) -> Proxy {
    let tables = table(sandbox, &[("dashboard", SECRET), ("app_rw", "other secret")]) + more;
    let cedar = permit("== PasswordUser::\"dashboard\"", "app_ro");
    let mut proxy = Proxy::start(
        sandbox,
        &configuration(sandbox, &["scram"], &cedar, ("", &tables)),
    );
    proxy.keep_secret(SECRET);
    // Neither a guess nor a verifier is for the log.
    proxy.keep_secret("a guess");
    proxy.keep_secret("SCRAM-SHA-256$");
    proxy
}

#[test]
fn drivers_log_in_with_a_password_of_the_callers_own() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "");
    assert_drivers_log_in(&proxy, "dashboard", || SECRET.to_owned(), "app_ro");
    proxy.wait_until_logged("caller=password:dashboard");
    let log = proxy.log();
    assert!(
        log.contains("asked_user=\"dashboard\"") && log.contains("policy=\"as-app-ro\""),
        "{log}"
    );
}

#[test]
fn a_wrong_password_is_refused_as_postgresql_does() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "");
    let output = psql_as(&proxy, "dashboard", "a guess", "select 1");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("28P01") || error.contains(NOT_PROVEN), "{error}");
    proxy.wait_until_logged("the proof does not fit the verifier");
    let error = super::by_driver::by_tokio_postgres(&proxy, "dashboard", "a guess").unwrap_err();
    assert_eq!(error.code().unwrap().code(), "28P01");
    assert_eq!(error.as_db_error().unwrap().message(), NOT_PROVEN);
    assert_eq!(proxy.metric("dbproxy_dial_seconds_count"), 0.0);
    assert_eq!(proxy.metric("dbproxy_tokens_total{event=\"minted\"}"), 0.0);
}

/// Who is proven is told what policy says; who has the password of a db user is not that db user for it.
#[test]
fn the_password_proves_a_caller_and_policy_decides() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "");
    let [state, message, hint] = refusal(&by_scram(proxy.port(), "app_rw", "other secret"));
    assert_eq!(state, "42501");
    assert!(
        message.starts_with("password:app_rw may not connect as"),
        "{message}"
    );
    assert!(hint.contains("You may be none of the db users"), "{hint}");
}

/// Tags, codes and lengths of what dbproxy says, and the words of its refusal.
fn shape(messages: &[Message]) -> Vec<(u8, usize, String)> {
    let words = |message: &Message| match message.tag {
        b'E' => b"SVCMH".iter().map(|kind| message.field(*kind) + "|").collect(),
        _ => code(message).to_string(),
    };
    let shape = messages.iter();
    shape
        .map(|message| (message.tag, message.body.len(), words(message)))
        .collect()
}

/// The protocol has one field for who one is and whom one wants to be.
#[test]
fn a_caller_names_the_db_user_behind_its_own_name() {
    let (sandbox, _turn) = Sandbox::shared();
    let tables = table(sandbox, &[("dashboard", SECRET), ("team/jane", SECRET)]);
    let cedar = permit("is PasswordUser", "app_ro") + &permit("is PasswordUser", "app_rw");
    let users = &["scram"];
    let proxy = Proxy::start(sandbox, &configuration(sandbox, users, &cedar, ("", &tables)));
    let [state, message, hint] = refusal(&by_scram(proxy.port(), "dashboard", SECRET));
    assert_eq!(state, "42501", "{message}");
    assert!(
        hint.ends_with("Write it behind your own name: user=dashboard/DB_USER."),
        "{hint}"
    );
    let who = "select current_user || ' in ' || current_database()";
    for (user, db_user) in [
        ("dashboard/app_rw", "app_rw"),
        ("dashboard/app_ro", "app_ro"),
        ("team/jane/app_rw", "app_rw"),
    ] {
        assert_is(
            &proxy,
            &psql_as(&proxy, user, SECRET, who),
            &format!("{db_user} in app"),
        );
    }
    // Without a name behind the slash it is nobody's.
    for (user, password) in [
        ("dashboard/", SECRET),
        ("dashboard/app_rw", "a guess"),
        ("jane/app_rw", SECRET),
    ] {
        let answer = refusal(&by_scram(proxy.port(), user, password));
        assert_ne!(answer[0], "00000", "{user}: {answer:?}");
    }
    let salt = |user: &str| {
        let challenge = challenged(Raw::connect(proxy.port()), user, "a guess").seen[1].clone();
        let text = String::from_utf8_lossy(&challenge.body[4..]).into_owned();
        text.split(',').nth(1).unwrap().to_owned()
    };
    // Known and unknown names behave alike: what stands behind the slash does not change the salt.
    assert_eq!(salt("dashboard"), salt("dashboard/app_rw"));
    assert_eq!(salt("nobody"), salt("nobody/app_rw"));
}

#[test]
fn nobody_learns_which_names_have_a_password() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "");
    let known = shape(&by_scram(proxy.port(), "dashboard", "a guess"));
    let codes: Vec<&str> = known.iter().map(|(_, _, words)| words.as_str()).collect();
    assert_eq!(codes[..2], [SASL.to_string(), SASL_CONTINUE.to_string()]);
    for unknown in ["dashboarx", "x", "app_ro", "ünknown"] {
        assert_eq!(
            shape(&by_scram(proxy.port(), unknown, "a guess")),
            known,
            "{unknown}"
        );
        // The right password of another does not help, either.
        assert_eq!(
            shape(&by_scram(proxy.port(), unknown, SECRET)),
            known,
            "{unknown}"
        );
    }
    // Asked twice, an unknown name has the same salt, as a known one has.
    let salt = |user: &str| salt_and_iterations(&proxy, user);
    assert_eq!(salt("nobody"), salt("nobody"));
    assert_ne!(salt("nobody"), salt("noone"));
    assert_eq!(salt("dashboard"), salt("dashboard"));
}

/// What a name is asked with: `s=…,i=…`.
fn salt_and_iterations(proxy: &Proxy, user: &str) -> String {
    let challenge = challenged(Raw::connect(proxy.port()), user, "a guess").seen[1].clone();
    let text = String::from_utf8_lossy(&challenge.body[4..]).into_owned();
    text.split_once(',').unwrap().1.to_owned()
}

/// Whoever asks two replicas, or one before and after it was started anew, must not see by a changed salt who is
/// unknown.
#[test]
fn replicas_ask_an_unknown_name_the_same() {
    let (sandbox, _turn) = Sandbox::shared();
    let tables = table(sandbox, &[("dashboard", SECRET)]);
    let replica = |secret: &str| {
        let own = free_address();
        let file = secret_file(sandbox, &format!("scram-{}", &secret[..1]), secret);
        let peers = format!(
            "[peers]\nlisten = \"{own}\"\nmembers = [\"{own}\"]\nsecret_file = \"{}\"\n",
            file.display()
        );
        let config = configuration(sandbox, &["scram"], "", ("", &(tables.clone() + &peers)));
        Proxy::start(sandbox, &config)
    };
    let asked =
        |proxy: &Proxy| ["dashboard", "nobody", "ünknown"].map(|user| salt_and_iterations(proxy, user));
    let (one, other) = (replica(&"7".repeat(64)), replica(&"7".repeat(64)));
    let first = asked(&one);
    assert_eq!(asked(&other), first);
    drop(one);
    assert_eq!(asked(&replica(&"7".repeat(64))), first);
    let iterations = |asked: &str| asked.split_once(",i=").unwrap().1.to_owned();
    assert_eq!(iterations(&first[1]), iterations(&first[0]));
    assert_ne!(first[1], first[2]);
    // The salt is made of the secret: without it nobody can tell what it would be.
    let strangers = asked(&replica(&"8".repeat(64)));
    assert_eq!(strangers[0], first[0], "this one is in the file");
    assert_ne!(strangers[1], first[1]);
}

/// An exchange that was heard opens nothing a second time: the nonce is another one.
#[test]
fn an_exchange_cannot_be_played_again() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "");
    let heard = challenged(Raw::connect(proxy.port()), "dashboard", SECRET);
    let mut again = challenged(Raw::connect(proxy.port()), "dashboard", SECRET);
    let replayed = heard.replay_on(&mut again.raw);
    assert_not_proven(&proxy, &replayed, "the nonce is not that of this exchange");
}

#[test]
fn inside_tls_it_works_too() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, &client_tls(sandbox, "required = true"));
    let connection = format!(
        "host=localhost port={} user=dashboard dbname=app sslmode=verify-full sslrootcert={}",
        proxy.port(),
        sandbox.text("/ca/proxy_ca")
    );
    let output = psql(&connection, &[("PGPASSWORD", SECRET)], "select current_user");
    assert_is(&proxy, &output, "app_ro");
    let mut raw = Raw::connect(proxy.port());
    raw.send(&SSL_REQUEST);
    assert_eq!(raw.byte(), b'S');
    let raw = start(sandbox, raw, None).unwrap();
    let (_, mut raw) = challenged(raw, "dashboard", SECRET).finish();
    assert_eq!(whoami(&mut raw), "app_ro");
}

#[test]
fn the_file_is_read_again_on_sighup_and_a_broken_one_is_not_taken() {
    let (sandbox, _turn) = Sandbox::shared();
    let file = directory(sandbox).join("verifiers");
    std::fs::write(&file, line("dashboard", SECRET)).unwrap();
    private(&file);
    let tables = format!("[scram]\nfile = \"{}\"\n", file.display());
    let cedar = permit("is PasswordUser", "app_ro");
    let head = "login_failures_per_minute = 0";
    let config = configuration(sandbox, &["scram"], &cedar, (head, &tables));
    let proxy = Proxy::start(sandbox, &config);
    let is_in = |user: &str| by_scram(proxy.port(), user, SECRET).last().unwrap().tag == b'Z';
    assert!(is_in("dashboard") && !is_in("report"));
    std::fs::write(&file, line("report", SECRET)).unwrap();
    proxy.signal("HUP");
    let until = |wanted: bool| {
        let began = std::time::Instant::now();
        while is_in("report") != wanted {
            assert!(
                began.elapsed() < std::time::Duration::from_secs(10),
                "{}",
                proxy.log()
            );
        }
    };
    until(true);
    assert!(!is_in("dashboard"));
    std::fs::write(&file, "\"report\" \"in clear\"\n").unwrap();
    proxy.signal("HUP");
    proxy.wait_until_logged("reload failed");
    assert!(is_in("report"), "the present users stay");
    assert!(!proxy.log().contains("in clear"));
}
