//! A long cancel key that reaches the wrong replica: in clear and inside TLS it is handed on whole.

use super::{V3_0, V3_2, is_cancelled, log_in};
use crate::replicas::{free_address, secret_file};
use crate::support::modern::Modern;
use crate::support::raw::{SSL_REQUEST, backend_key, cancel_request};
use crate::support::tls::{client_tls, start};
use crate::support::{Proxy, Raw, Sandbox};

/// Two replicas in front of one server.
fn replicas(sandbox: &Sandbox, modern: &Modern) -> [Proxy; 2] {
    let secret = secret_file(sandbox, "long-keys", &"8".repeat(64));
    let members = [free_address(), free_address()];
    members.map(|own| {
        let peers = format!(
            "[peers]\nlisten = \"{own}\"\nmembers = [\"{}\", \"{}\"]\nsecret_file = \"{}\"\n",
            members[0],
            members[1],
            secret.display()
        );
        Proxy::start(sandbox, &(modern.target() + &client_tls(sandbox, "") + &peers))
    })
}

#[test]
fn a_long_key_is_handed_on_to_the_replica_that_relays_the_session() {
    let (sandbox, _turn) = Sandbox::shared();
    let modern = Modern::start(sandbox);
    let [own, other] = replicas(sandbox, modern);
    for (version, length) in [(V3_2, 36), (V3_0, 8)] {
        let (mut raw, greeting) = log_in(&own, version, &[]);
        let key = backend_key(&greeting);
        assert_eq!(key.len(), length);

        raw.begin_long_query();
        let mut canceller = Raw::connect(other.port());
        canceller.send(&cancel_request(&key));
        assert!(canceller.rest().is_empty(), "a cancel is never answered");
        is_cancelled(&mut raw);

        raw.begin_long_query();
        let mut canceller = Raw::connect(other.port());
        canceller.send(&SSL_REQUEST);
        assert_eq!(canceller.byte(), b'S');
        let mut canceller = start(sandbox, canceller, None).unwrap();
        canceller.send(&cancel_request(&key));
        assert!(canceller.rest().is_empty(), "a cancel is never answered");
        is_cancelled(&mut raw);
    }
    let outcome = |name: &str| format!("dbproxy_cancel_requests_total{{outcome=\"{name}\"}}");
    other.wait_for_metric(&outcome("handed_on"), 4.0);
    own.wait_for_metric(&outcome("forwarded"), 4.0);
}

/// Each byte of the secret counts, also at the other replica.
#[test]
fn a_long_key_with_one_wrong_byte_cancels_nothing_anywhere() {
    let (sandbox, _turn) = Sandbox::shared();
    let modern = Modern::start(sandbox);
    let [own, other] = replicas(sandbox, modern);
    let (mut raw, greeting) = log_in(&own, V3_2, &[]);
    let key = backend_key(&greeting);
    raw.query("select 'done' from pg_sleep(2)");
    for at in 0..key.len() {
        let mut wrong = key.clone();
        wrong[at] ^= 1;
        let mut canceller = Raw::connect(other.port());
        canceller.send(&cancel_request(&wrong));
        assert!(canceller.rest().is_empty(), "a cancel is never answered");
    }
    let answer = raw.read_until(b'Z');
    assert!(answer.iter().any(|m| m.tag == b'D'), "{answer:?}");
    let forwarded = "dbproxy_cancel_requests_total{outcome=\"forwarded\"}";
    assert_eq!(own.metric(forwarded), 0.0);
}
