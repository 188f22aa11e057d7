//! A caller's key, and the sessions of others.

use super::{Attacked, Attempt, readers};
use crate::support::raw::{backend_key, cancel_request};
use crate::support::{Proxy, Raw, Sandbox};

fn start(sandbox: &Sandbox) -> Attacked {
    Attacked::start(sandbox, &readers("app_ro"), "db_users = [\"app_ro\"]")
}

fn session(attacked: &Attacked, subject: &str) -> (Attempt, Vec<u8>) {
    let parameters = [("user", &b"app_ro"[..]), ("database", b"app")];
    let session = super::attempt(attacked.proxy.port(), &attacked.token(subject), &parameters);
    assert!(session.is_in(), "{:?}", session.messages);
    let key = backend_key(&session.messages);
    (session, key)
}

fn cancel(proxy: &Proxy, key: &[u8]) {
    let mut raw = Raw::connect(proxy.port());
    raw.send(&cancel_request(key));
    assert!(raw.rest().is_empty(), "a cancel is never answered");
}

fn outcomes(proxy: &Proxy) -> (f64, f64) {
    let count = |outcome| proxy.metric(&format!("dbproxy_cancel_requests_total{{outcome=\"{outcome}\"}}"));
    (count("forwarded"), count("unknown_key"))
}

/// Jane's secret with joe's process, and every other mixture and neighbour of the two keys.
#[test]
fn no_key_made_of_ones_own_cancels_another_caller() {
    let (sandbox, _turn) = Sandbox::shared();
    let attacked = start(sandbox);
    let (_jane, own) = session(&attacked, "jane");
    let (mut joe, others) = session(&attacked, "joe");
    joe.raw.query("select 'done' from pg_sleep(3)");
    let (pid, secret) = (&others[..4], &own[4..]);
    let mut forged = vec![
        [pid, secret].concat(),
        [pid, &[0; 4]].concat(),
        [pid, &[0xff; 4]].concat(),
        // As the server's own key would be: its process, and nothing that is known of its secret.
        [pid, pid].concat(),
        [pid, secret, secret].concat(),
        [&own[..4], &others[4..]].concat(),
        [&[0; 4], &others[4..]].concat(),
    ];
    for at in 0..others.len() {
        let mut neighbour = others.clone();
        neighbour[at] = neighbour[at].wrapping_add(1);
        forged.push(neighbour);
    }
    let longest = [pid, &[7; 256]].concat();
    forged.push(longest);
    for key in &forged {
        cancel(&attacked.proxy, key);
    }
    let answer = joe.raw.read_until(b'Z');
    assert!(answer.iter().any(|message| message.tag == b'D'), "{answer:?}");
    assert_eq!(outcomes(&attacked.proxy), (0.0, forged.len() as f64));
}

/// A process id that the server gives again does not make an old key good, and nobody's end is another's.
#[test]
fn the_key_of_a_session_that_has_ended_cancels_nobody() {
    let (sandbox, _turn) = Sandbox::shared();
    let attacked = start(sandbox);
    let (jane, old) = session(&attacked, "jane");
    let (mut joe, _) = session(&attacked, "joe");
    drop(jane);
    attacked.proxy.wait_for_metric("dbproxy_sessions_open", 1.0);
    joe.raw.query("select 'done' from pg_sleep(1)");
    for _ in 0..3 {
        cancel(&attacked.proxy, &old);
    }
    let answer = joe.raw.read_until(b'Z');
    assert!(answer.iter().any(|message| message.tag == b'D'), "{answer:?}");
    assert_eq!(outcomes(&attacked.proxy), (0.0, 3.0));
}

/// Her own key is good, and reaches her own session alone.
#[test]
fn a_callers_own_key_leaves_others_alone() {
    let (sandbox, _turn) = Sandbox::shared();
    let attacked = start(sandbox);
    let (mut jane, own) = session(&attacked, "jane");
    let (mut joe, _) = session(&attacked, "joe");
    jane.raw
        .query("do $$ begin raise notice 'running'; perform pg_sleep(600); end $$");
    jane.raw.read_until(b'N');
    joe.raw.query("select 'done' from pg_sleep(2)");
    cancel(&attacked.proxy, &own);
    let answer = jane.raw.read_until(b'Z');
    let error = answer.iter().find(|message| message.tag == b'E');
    assert_eq!(error.expect("an error").field(b'C'), "57014");
    let answer = joe.raw.read_until(b'Z');
    assert!(answer.iter().any(|message| message.tag == b'D'), "{answer:?}");
    assert_eq!(outcomes(&attacked.proxy), (1.0, 0.0));
}
