//! Grants that end while dbproxy runs: sessions, memberships and logins end with them.

use super::changes::sessions_of;
use super::{House, Told, allow, as_user, may, may_not, turn};
use crate::support::{Proxy, Sandbox};
use serde_json::Value;
use std::time::{Duration, Instant, SystemTime};

const TAKE_BACK: &str = "[provision]\ntake_back = true\n";
const MEMBERSHIPS: &str = "select count(*) from pg_auth_members where member = 'it_c_new'::regrole \
    and roleid = 'it_c_rw'::regrole";
const DONE: &str = "dbproxy_grants_taken_back_total{outcome=\"done\"}";
const FAILED: &str = "dbproxy_grants_taken_back_total{outcome=\"failed\"}";

/// A cluster where `it_c_new` has been granted a role.
fn granted(sandbox: &Sandbox) -> House {
    let house = House::new(sandbox);
    allow(sandbox);
    house.run(&["apply"]).done();
    house.run(&["grant", "it_c_new", "it_c_rw"]).done();
    house
}

/// A dbproxy whose catalog is the manifest's.
fn proxy(sandbox: &Sandbox, house: &House, more: &str) -> Proxy {
    let manifest = house.manifest.display();
    let target = sandbox.target("orders", "");
    let config = format!("manifest = \"{manifest}\"\nsession_grace = \"1s\"\n{target}{more}");
    Proxy::start(sandbox, &config)
}

fn ends_in(seconds: u64) -> String {
    let end = SystemTime::now() + Duration::from_secs(seconds);
    let end = jiff::Timestamp::try_from(end).unwrap();
    format!("{{ role = \"it_c_rw\", until = {end:.0} }}")
}

/// Rewritten in one step: nobody reads half a manifest.
fn limit(house: &House, seconds: u64) {
    let text = house.text();
    let (before, after) = text.split_once("[clusters.orders.users.it_c_new]").unwrap();
    let changed = after.replacen("\"it_c_rw\"", &ends_in(seconds), 1);
    assert_ne!(after, changed);
    let draft = house.manifest.with_extension("draft");
    std::fs::write(
        &draft,
        format!("{before}[clusters.orders.users.it_c_new]{changed}"),
    )
    .unwrap();
    std::fs::rename(draft, &house.manifest).unwrap();
}

/// Somebody in the middle of something, through each of these, until they are put out.
fn sitting(house: &House, proxies: &[&Proxy], meanwhile: impl FnOnce()) -> Vec<Told> {
    std::thread::scope(|scope| {
        let sit = |proxy| scope.spawn(move || as_user(proxy, "it_c_new", "select pg_sleep(120)"));
        let sitting: Vec<_> = proxies.iter().map(|proxy| sit(*proxy)).collect();
        let all = proxies.len().to_string();
        super::changes::wait_until(house, &sessions_of("it_c_new"), &all);
        meanwhile();
        let told = sitting.into_iter().map(|session| session.join().unwrap());
        told.collect()
    })
}

fn refused_with_the_end(proxy: &Proxy) {
    let told = as_user(proxy, "it_c_new", "select 1");
    for part in [
        "may not connect as db user \"it_c_new\"",
        "The grant of \"it_c_rw\" to \"it_c_new\" ended at 20",
        "`dbproxy grant it_c_new it_c_rw --cluster orders --expires 8h`",
    ] {
        assert!(told.err.contains(part), "{part}\n{}", told.all());
    }
}

#[test]
fn what_was_granted_for_a_time_is_taken_back() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let house = granted(sandbox);
    // Two replicas, each with somebody in.
    let (one, two) = (
        proxy(sandbox, &house, TAKE_BACK),
        proxy(sandbox, &house, TAKE_BACK),
    );
    assert_eq!(house.town.sql("postgres", MEMBERSHIPS), "1");
    may(&one, "it_c_new", "create temporary table t ()");
    may_not(&one, "dbproxy_provisioner", "select 1", "is not");
    let told = sitting(&house, &[&one, &two], || limit(&house, 6));
    for told in told {
        assert!(told.err.contains("57P01"), "{}", told.all());
    }
    super::changes::wait_until(&house, MEMBERSHIPS, "0");
    // The other one may have found nothing to do.
    let began = Instant::now();
    while one.metric(DONE) + two.metric(DONE) < 1.0 {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(50));
    }
    for proxy in [&one, &two] {
        refused_with_the_end(proxy);
        assert!(
            !proxy.log().contains("could NOT be taken back"),
            "{}",
            proxy.log()
        );
    }
    // It is what an apply would have done.
    assert_eq!(house.steps(), [Value::Null; 0]);

    // Given anew, it is there anew.
    house.run(&["grant", "it_c_new", "it_c_rw"]).done();
    for proxy in [&one, &two] {
        proxy.wait_until_logged("access manifest reloaded");
    }
    let began = Instant::now();
    while as_user(&one, "it_c_new", "select 1").code != 0 {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(house.town.sql("postgres", MEMBERSHIPS), "1");
}

#[test]
fn a_proxy_that_takes_nothing_back_still_lets_nobody_in() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let house = granted(sandbox);
    let proxy = proxy(sandbox, &house, "");
    let told = sitting(&house, &[&proxy], || limit(&house, 6));
    let words = "because the grant that it rested on has ended";
    assert!(told[0].err.contains(words), "{}", told[0].all());
    proxy.wait_for_metric("dbproxy_connections_closed_total{reason=\"grant_ended\"}", 1.0);
    refused_with_the_end(&proxy);
    assert_eq!(house.town.sql("postgres", MEMBERSHIPS), "1");
    // A manifest with a mistake is not in force, and that is told.
    house.edit("connection_limit = 5", "connection_limit = \"many\"");
    proxy.wait_for_metric("dbproxy_manifest_reloads_total{outcome=\"refused\"}", 1.0);
    proxy.wait_until_logged("the access manifest was not reloaded");
    may(&proxy, "it_c_reader", "select 1");
    let (_, told) = proxy.admin_request("POST", "/reload", "");
    assert!(told.contains("\"what\":\"manifest\""), "{told}");
    assert!(told.contains("users.it_c_reader.connection_limit"), "{told}");
    house.edit("connection_limit = \"many\"", "connection_limit = 5");
    let (_, told) = proxy.admin_request("POST", "/reload", "");
    assert!(
        told.contains("\"manifest\"") && told.contains("\"failed\":[]"),
        "{told}"
    );
}

/// One role of two: the user stays, with what it has still, and whoever was in with the other is put out.
#[test]
fn another_role_stays_and_failures_are_tried_again() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let house = granted(sandbox);
    house.run(&["grant", "it_c_new", "it_c_ro"]).done();
    house.edit(
        "[clusters.orders]\n",
        "[clusters.orders]\nprovisioner = \"app_denied\"\n",
    );
    let proxy = proxy(sandbox, &house, TAKE_BACK);
    let told = sitting(&house, &[&proxy], || {
        limit(&house, 1);
        proxy.wait_for_metric(FAILED, 1.0);
        proxy.wait_until_logged("could NOT be taken back");
        assert_eq!(house.town.sql("postgres", MEMBERSHIPS), "1");
        // Another role permits what is open: it goes on until the database is told.
        assert_eq!(house.town.sql("postgres", &sessions_of("it_c_new")), "1");
        house.edit("provisioner = \"app_denied\"\n", "");
    });
    assert!(told[0].err.contains("57P01"), "{}", told[0].all());
    proxy.wait_for_metric(DONE, 1.0);
    assert_eq!(house.town.sql("postgres", MEMBERSHIPS), "0");
    may(&proxy, "it_c_new", "select 1");
    assert_eq!(house.steps(), [Value::Null; 0]);
}

/// The first listener is that of a second way into the cluster, and another cluster's server takes connections and says
/// nothing.
#[test]
fn all_ways_into_a_cluster_end_and_no_cluster_waits_for_another() {
    let (sandbox, _turn) = Sandbox::shared();
    let _one_at_a_time = turn();
    let house = granted(sandbox);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let over = "[clusters.zzz]\n[clusters.zzz.databases.x]\n[clusters.zzz.roles.x_owner]\ntemplate = \"owner\"\n\
        [clusters.zzz.users.x]\nroles = [{ role = \"x_owner\", until = 2026-01-01T00:00:00Z }]\n\n";
    house.edit("[clusters.orders]\n", &format!("{over}[clusters.orders]\n"));
    let zzz = sandbox.target("zzz", "");
    let (before, rest) = zzz.split_once("dial = ").unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    let silent = format!("{before}dial = \"{}\"\n{rest}", silent.local_addr().unwrap());
    let second = sandbox.target("a-second", "cluster = \"orders\"\n");
    let first = sandbox.target("orders", "");
    let config = format!(
        "manifest = {:?}\nsession_grace = \"1s\"\ntls_timeout = \"1h\"\n{second}{first}{silent}{TAKE_BACK}",
        house.manifest.to_str().unwrap(),
    );
    let proxy = Proxy::start(sandbox, &config);
    let told = sitting(&house, &[&proxy], || limit(&house, 6));
    assert!(told[0].err.contains("57P01"), "{}", told[0].all());
    proxy.wait_for_metric(DONE, 1.0);
    assert_eq!(house.town.sql("postgres", MEMBERSHIPS), "0");
    refused_with_the_end(&proxy);
}
