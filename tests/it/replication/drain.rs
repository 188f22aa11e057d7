//! A stream of changes has no end of its own: dbproxy's end waits for it no longer than `drain_timeout`, and says why.

use super::{ADMIN, replication, rows};
use crate::support::raw::message;
use crate::support::{Proxy, Sandbox};

fn streaming(proxy: &Proxy, slot: &str) -> crate::support::Raw {
    let mut raw = replication(proxy, ADMIN, "database");
    raw.query(&format!(
        "CREATE_REPLICATION_SLOT {slot} TEMPORARY LOGICAL test_decoding NOEXPORT_SNAPSHOT"
    ));
    assert_eq!(rows(&raw.read_until(b'Z')), 1);
    raw.query(&format!("START_REPLICATION SLOT {slot} LOGICAL 0/0"));
    raw.read_until(b'W');
    raw
}

#[test]
fn a_stream_is_ended_after_the_drain_timeout_and_told_so() {
    let (sandbox, _turn) = Sandbox::shared();
    let target = sandbox.target("orders", "db_users = [\"sandbox_admin\"]");
    let mut proxy = Proxy::start(sandbox, &format!("drain_timeout = \"300ms\"\n{target}"));
    let mut raw = streaming(&proxy, "drained");
    proxy.signal("TERM");
    let end = raw.read_until(b'E').pop().unwrap();
    assert_eq!(end.field(b'C'), "57P01", "{end:?}");
    assert!(raw.is_closed(), "nothing follows the last word");
    proxy.wait_for_exit();
}

/// Between two streams the connection is as idle as any other.
#[test]
fn a_walsender_that_has_ended_its_stream_is_idle() {
    let (sandbox, _turn) = Sandbox::shared();
    let target = sandbox.target("orders", "db_users = [\"sandbox_admin\"]");
    let mut proxy = Proxy::start(sandbox, &format!("drain_timeout = \"10m\"\n{target}"));
    let mut raw = streaming(&proxy, "between");
    raw.send(&message(b'c', b""));
    raw.read_until(b'Z');
    proxy.signal("TERM");
    let end = raw.message().unwrap();
    assert_eq!((end.tag, end.field(b'C').as_str()), (b'E', "57P01"));
    proxy.wait_for_exit();
}
