//! No source takes the places of all, and whoever is refused reads why.

use crate::support::raw::startup;
use crate::support::{Proxy, Raw, Sandbox};

const STARTUP: &[(&str, &str)] = &[("user", "app_ro"), ("database", "app")];

fn proxy(sandbox: &Sandbox, general: &str) -> Proxy {
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]");
    Proxy::start(sandbox, &format!("{general}\n{target}"))
}

fn refused(proxy: &Proxy) -> crate::support::raw::Message {
    let mut raw = Raw::connect(proxy.port());
    raw.send(&startup(3 << 16, STARTUP));
    let error = raw.message().expect("an ErrorResponse");
    assert_eq!(error.field(b'C'), "53300", "{error:?}");
    assert!(raw.is_closed());
    error
}

#[test]
fn one_source_may_have_so_many_connections() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "max_clients_per_source = 2");
    let (first, _) = Raw::log_in(proxy.port(), "app_ro");
    // One that has said nothing yet counts too.
    let silent = Raw::connect(proxy.port());
    proxy.wait_for_metric("dbproxy_connections_open", 2.0);
    let error = refused(&proxy);
    assert!(error.field(b'M').contains("from your address"), "{error:?}");
    assert!(error.field(b'H').contains("max_clients_per_source"), "{error:?}");
    drop(first);
    proxy.wait_for_metric("dbproxy_connections_open", 1.0);
    Raw::log_in(proxy.port(), "app_ro");
    drop(silent);
}

#[test]
fn a_source_far_beyond_its_limit_is_not_answered() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "max_clients_per_source = 1");
    let _held: Vec<Raw> = (0..18).map(|_| Raw::connect(proxy.port())).collect();
    proxy.wait_for_metric("dbproxy_connections_open", 18.0);
    let mut one_more = Raw::connect(proxy.port());
    assert!(one_more.is_closed());
    let reason = "dbproxy_connections_closed_total{reason=\"too_many_connections\"}";
    proxy.wait_for_metric(reason, 1.0);
}
