//! Whoever guesses has to wait.

use super::client::{by_scram, challenged, connect_from, knock, outcome};
use super::{assert_not_proven, configuration, permit, scram};
use crate::balancer::{header, header_for};
use crate::support::raw::{Message, SSL_REQUEST, startup};
use crate::support::tls::{client_tls, start};
use crate::support::{Proxy, Raw, Sandbox};
use std::io::{Read, Write};
use std::net::Ipv4Addr;

fn proxy(sandbox: &Sandbox, limit: u32, more: &str) -> Proxy {
    let tables = scram::table(sandbox, &[("dashboard", scram::SECRET)]) + &client_tls(sandbox, "");
    let cedar = permit("== PasswordUser::\"dashboard\"", "app_ro");
    let head = format!("login_failures_per_minute = {limit}\n{more}");
    Proxy::start(
        sandbox,
        &configuration(sandbox, &["scram"], &cedar, (&head, &tables)),
    )
}

/// At once, without a question.
fn turned_away<S: Read + Write>(mut raw: Raw<S>) -> Vec<Message> {
    raw.send(&startup(3 << 16, &[("user", "dashboard"), ("database", "app")]));
    let answer = outcome(&mut raw);
    assert_eq!(answer.len(), 1, "{answer:?}");
    answer
}

fn guess(proxy: &Proxy) {
    let refused = by_scram(proxy.port(), "dashboard", "a guess");
    assert_not_proven(proxy, &refused, "the proof does not fit the verifier");
}

#[test]
fn an_address_that_guesses_is_locked_out_and_others_are_not() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, 3, "");
    let other = || connect_from("127.0.0.2", (Ipv4Addr::LOCALHOST.into(), proxy.port()));
    (0..2).for_each(|_| guess(&proxy));
    // One good proof forgives no guess: it may be the guesser's own.
    assert_eq!(
        by_scram(proxy.port(), "dashboard", scram::SECRET)
            .last()
            .unwrap()
            .tag,
        b'Z'
    );
    guess(&proxy);
    proxy.wait_until_logged("this address is refused for a minute");
    assert_not_proven(
        &proxy,
        &turned_away(Raw::connect(proxy.port())),
        "too many failures from this address",
    );
    let (outcome, _) = challenged(other(), "dashboard", scram::SECRET).finish();
    assert_eq!(outcome.last().unwrap().tag, b'Z', "127.0.0.2 has not guessed");
}

/// Guesses that were all begun before the first one failed count as well: else a guesser had as many as there are
/// connections.
#[test]
fn guesses_at_once_are_as_many_as_one_after_the_other() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, 3, "");
    let begun = |password| challenged(Raw::connect(proxy.port()), "dashboard", password);
    let wrong: Vec<_> = (0..3).map(|_| begun("a guess")).collect();
    let right = begun(scram::SECRET);
    for guess in wrong {
        assert_not_proven(&proxy, &guess.finish().0, "the proof does not fit the verifier");
    }
    proxy.wait_until_logged("this address is refused for a minute");
    assert_not_proven(&proxy, &right.finish().0, "too many failures from this address");
}

#[test]
fn behind_a_balancer_the_clients_own_address_counts() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, 1, "proxy_protocol_from = [\"127.0.0.1\"]");
    let from = |client: &str| {
        let mut raw = Raw::connect(proxy.port());
        raw.send(&[&header_for(client)[..], &SSL_REQUEST].concat());
        assert_eq!(raw.byte(), b'S');
        start(sandbox, raw, None).unwrap()
    };
    // Nobody knows how the client came to the balancer.
    let mut in_clear = Raw::connect(proxy.port());
    in_clear.send(&header_for("10.1.2.9:1"));
    let refused = turned_away(in_clear);
    assert!(refused[0].field(b'M').contains("inside TLS only"), "{refused:?}");
    let (refused, _) = challenged(from("10.1.2.3:1"), "dashboard", "a guess").finish();
    assert_not_proven(&proxy, &refused, "the proof does not fit the verifier");
    assert_not_proven(
        &proxy,
        &turned_away(from("10.1.2.3:2")),
        "too many failures from this address",
    );
    let (outcome, _) = challenged(from("10.1.2.4:1"), "dashboard", scram::SECRET).finish();
    assert_eq!(outcome.last().unwrap().tag, b'Z');
    proxy.wait_until_logged("10.1.2.4:1 via 127.0.0.1");
}

/// One who guesses behind a balancer that does not name clients would lock out everybody behind it.
#[test]
fn behind_a_balancer_that_names_nobody_nothing_is_asked() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, 1, "proxy_protocol_from = [\"127.0.0.1\"]");
    let tls_after = |header: &[u8]| {
        let mut raw = Raw::connect(proxy.port());
        raw.send(&[header, &SSL_REQUEST].concat());
        assert_eq!(raw.byte(), b'S');
        start(sandbox, raw, None).unwrap()
    };
    let (unknown, of_its_own) = (header(1, 0, &[]), header(0, 0, &[]));
    for header in [&unknown, &of_its_own] {
        assert_not_proven(
            &proxy,
            &turned_away(tls_after(header)),
            "the load balancer does not say where the client is",
        );
    }
    let named = tls_after(&header_for("10.1.2.4:1"));
    let (outcome, _) = challenged(named, "dashboard", scram::SECRET).finish();
    assert_eq!(outcome.last().unwrap().tag, b'Z');
}

#[test]
fn without_a_limit_nobody_waits() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, 0, "");
    (0..30).for_each(|_| guess(&proxy));
    assert_eq!(
        by_scram(proxy.port(), "dashboard", scram::SECRET)
            .last()
            .unwrap()
            .tag,
        b'Z'
    );
}

/// psql asks its user for a password on a second connection: the first one leaves when it is asked.
#[test]
fn leaving_when_asked_is_no_guess() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, 1, "");
    for _ in 0..3 {
        let mut raw = Raw::connect(proxy.port());
        knock(&mut raw, "dashboard");
    }
    proxy.wait_until_logged("the client left during the authentication");
    proxy.wait_for_metric("dbproxy_connections_closed_total{reason=\"client_lost\"}", 3.0);
    assert_eq!(
        by_scram(proxy.port(), "dashboard", scram::SECRET)
            .last()
            .unwrap()
            .tag,
        b'Z'
    );
}
