//! The server's own timers: their last word reaches a client that asks for nothing, and nothing is added to it.

use super::tags;
use crate::support::{Proxy, Raw, Sandbox};

#[test]
fn the_servers_timers_reach_a_client_that_waits_for_nothing() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = Proxy::start(sandbox, &sandbox.target("orders", "db_users = [\"app_ro\"]"));
    for (begin, code) in [
        ("set idle_session_timeout = 300", "57P05"),
        ("begin; set idle_in_transaction_session_timeout = 300", "25P03"),
    ] {
        let mut raw = Raw::log_in(proxy.port(), "app_ro").0;
        raw.query(begin);
        raw.read_until(b'Z');
        let word = raw.message().expect("the server's last word");
        assert_eq!((word.tag, word.field(b'C').as_str()), (b'E', code));
        assert!(raw.is_closed(), "{code}");
    }
    // A statement's timer ends the statement only.
    let mut raw = Raw::log_in(proxy.port(), "app_ro").0;
    raw.query("set statement_timeout = 200; select pg_sleep(60)");
    let answer = raw.read_until(b'Z');
    assert_eq!(tags(&answer), "CTEZ", "{answer:?}");
    assert_eq!(answer[2].field(b'C'), "57014");
    raw.query("select 1");
    assert_eq!(tags(&raw.read_until(b'Z')), "TDCZ");
}
