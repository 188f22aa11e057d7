//! One caller takes neither the places nor the logins of all.

use super::client::challenged;
use super::scram::{SECRET, table};
use super::{configuration, permit, refusal};
use crate::support::raw::Message;
use crate::support::{Proxy, Raw, Sandbox};
use std::net::TcpStream;

/// Two callers with passwords of their own, and these limits.
fn proxy(sandbox: &Sandbox, limits: &str) -> Proxy {
    let tables = table(sandbox, &[("one", SECRET), ("other", SECRET)]);
    let cedar = permit("is PasswordUser", "app_ro");
    Proxy::start(
        sandbox,
        &configuration(sandbox, &["scram"], &cedar, (limits, &tables)),
    )
}

fn log_in(proxy: &Proxy, caller: &str) -> (Vec<Message>, Raw<TcpStream>) {
    challenged(Raw::connect(proxy.port()), caller, SECRET).finish()
}

fn is_in(messages: &[Message]) -> bool {
    messages.last().expect("an answer").tag == b'Z'
}

#[test]
fn one_caller_may_have_so_many_sessions() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "max_sessions_per_caller = 2");
    let (greeting, first) = log_in(&proxy, "one");
    assert!(is_in(&greeting), "{greeting:?}");
    let (greeting, _second) = log_in(&proxy, "one");
    assert!(is_in(&greeting), "{greeting:?}");
    let logins = proxy.metric("dbproxy_login_seconds_count");
    let [state, message, hint] = refusal(&log_in(&proxy, "one").0);
    assert_eq!(
        (state.as_str(), message.as_str()),
        (
            "53300",
            "password:one has 2 sessions already, which is the limit for one caller"
        )
    );
    assert!(hint.contains("max_sessions_per_caller"), "{hint}");
    // It has cost neither a decision nor a login.
    assert_eq!(proxy.metric("dbproxy_login_seconds_count"), logins);
    assert_eq!(
        proxy.metric("dbproxy_policy_decisions_total{decision=\"allow\"}"),
        2.0
    );
    let (greeting, _other) = log_in(&proxy, "other");
    assert!(is_in(&greeting), "{greeting:?}");
    // A session that ends gives its place back.
    drop(first);
    proxy.wait_for_metric("dbproxy_connections_open", 2.0);
    let (greeting, _again) = log_in(&proxy, "one");
    assert!(is_in(&greeting), "{greeting:?}");
}

#[test]
fn one_caller_opens_sessions_at_a_permitted_pace() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "new_sessions_per_caller = 1");
    let answers: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..20).map(|_| scope.spawn(|| log_in(&proxy, "one").0)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|messages| is_in(messages));
    assert!(!served.is_empty(), "{answers:?}");
    assert!(!refused.is_empty(), "20 at once are more than one a second");
    for messages in refused {
        let [state, message, hint] = refusal(messages);
        assert_eq!(state, "53300");
        assert!(
            message.starts_with("password:one opens sessions faster than 1 a second"),
            "{message}"
        );
        assert!(hint.contains("new_sessions_per_caller"), "{hint}");
    }
    let (greeting, _other) = log_in(&proxy, "other");
    assert!(is_in(&greeting), "{greeting:?}");
}
