//! Authorities and lists of revocations that are replaced while dbproxy runs.

use super::house::{House, dns, named};
use super::refused::assert_fails_in_tls;
use super::{WHO, anybody};
use crate::callers::assert_is;
use crate::support::authority::{Authority, List};
use crate::support::proxy::dbproxy;
use crate::support::{Proxy, Sandbox};
use std::process::Output;

/// `dbproxy reload` of somebody who may.
fn reload(proxy: &Proxy) -> Output {
    let mut command = dbproxy(&[]);
    command
        .args(["reload", "--admin", &proxy.admin()])
        .output()
        .unwrap()
}

#[test]
fn whoever_is_revoked_is_refused_from_the_reload_on() {
    let (sandbox, _turn) = Sandbox::shared();
    let house = House::new(sandbox);
    house.revoke(&List::of(&[]));
    let mut proxy = house.proxy(sandbox, &anybody(), &house.crl_line());
    let held = [1, 2].map(|serial| {
        let params = named(serial, &[dns(&format!("host-{serial}.example.org"))]);
        house.give(&format!("host-{serial}"), &params)
    });
    let psql = |proxy: &Proxy, number: usize| house.psql(proxy, Some(&held[number]), WHO);
    for number in [0, 1] {
        assert_is(&proxy, &psql(&proxy, number), "app_ro");
    }
    house.revoke(&List {
        since: 2021,
        ..List::of(&[1])
    });
    assert_is(&proxy, &psql(&proxy, 0), "app_ro");
    proxy.signal("HUP");
    proxy.wait_for_log("client_tls certificate read again");
    assert_fails_in_tls(&proxy, &psql(&proxy, 0), 1.0, "Revoked");
    assert_is(&proxy, &psql(&proxy, 1), "app_ro");
    // A file that does not load revokes nobody's revocation.
    std::fs::write(house.directory.join("revoked.crl"), "broken").unwrap();
    proxy.signal("HUP");
    proxy.wait_for_log("reload failed, the present certificate stays");
    assert_fails_in_tls(&proxy, &psql(&proxy, 0), 2.0, "Revoked");
    assert_is(&proxy, &psql(&proxy, 1), "app_ro");
}

#[test]
fn an_authority_that_is_replaced_vouches_for_nobody_any_more() {
    let (sandbox, _turn) = Sandbox::shared();
    let house = House::new(sandbox);
    let cedar = anybody() + "@id(\"ops\")\npermit (principal, action == Action::\"reload\", resource);\n";
    let proxy = house.proxy(sandbox, &cedar, "");
    let heir = Authority::new("heir");
    let params = named(1, &[dns("jane.example.org")]);
    let old = house.give("old", &params);
    let new = house.given_by(&heir, "new", &params);
    assert_is(&proxy, &house.psql(&proxy, Some(&old), WHO), "app_ro");
    assert_fails_in_tls(&proxy, &house.psql(&proxy, Some(&new), WHO), 1.0, "UnknownIssuer");
    // Both for a while, then only the new one.
    house.trust(&[&house.ca, &heir]);
    let told = reload(&proxy);
    let text = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.status.success() && text.contains("client_tls"), "{text}");
    for held in [&old, &new] {
        assert_is(&proxy, &house.psql(&proxy, Some(held), WHO), "app_ro");
    }
    house.trust(&[&heir]);
    assert!(reload(&proxy).status.success());
    assert_fails_in_tls(&proxy, &house.psql(&proxy, Some(&old), WHO), 2.0, "UnknownIssuer");
    assert_is(&proxy, &house.psql(&proxy, Some(&new), WHO), "app_ro");
}
