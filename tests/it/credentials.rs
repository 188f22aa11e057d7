//! Token life: minted once, renewed in time, tried again when refused, kept when AWS is down.

use crate::support::raw::startup;
use crate::support::{Proxy, Raw, Sandbox};
use serde_json::json;

fn role_target(sandbox: &Sandbox) -> String {
    let lines = format!(
        "db_users = [\"app_ro\", \"app_rw\"]\ncredential = {{ assume_role = {{ role_arn = \"{}\" }} }}",
        sandbox.text("/aws/role_connect")
    );
    sandbox.target("orders", &lines)
}

#[test]
fn many_cold_logins_at_once_cost_one_assume_role() {
    let sandbox = Sandbox::alone();
    let proxy = Proxy::start(&sandbox, &role_target(&sandbox));
    let port = proxy.port();
    let clients: Vec<_> = (0..40)
        .map(|_| std::thread::spawn(move || Raw::log_in(port, "app_ro").0))
        .collect();
    let sessions: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert_eq!(sandbox.requests("sts.AssumeRole"), 1);
    assert_eq!(proxy.metric("dbproxy_tokens_total{event=\"minted\"}"), 1.0);
    assert_eq!(proxy.metric("dbproxy_tokens_total{event=\"cached\"}"), 39.0);
    assert_eq!(proxy.metric("dbproxy_sessions_open"), 40.0);
    drop(sessions);
    proxy.wait_for_metric("dbproxy_sessions_open", 0.0);
}

#[test]
fn a_token_refused_from_the_cache_is_tried_again_fresh() {
    let sandbox = Sandbox::alone();
    let proxy = Proxy::start(&sandbox, &role_target(&sandbox));
    proxy.query("app_ro", "select 1");
    sandbox.switch("expire-sessions", &json!({}));
    proxy.query("app_ro", "select 1");
    assert_eq!(proxy.metric("dbproxy_login_retries_total"), 1.0);
    assert_eq!(sandbox.requests("sts.AssumeRole"), 2);
}

#[test]
fn all_who_held_a_token_that_went_bad_recover() {
    let sandbox = Sandbox::alone();
    let proxy = Proxy::start(&sandbox, &role_target(&sandbox));
    proxy.query("app_ro", "select 1");
    sandbox.switch("expire-sessions", &json!({}));
    let port = proxy.port();
    let clients: Vec<_> = (0..20)
        .map(|_| std::thread::spawn(move || Raw::log_in(port, "app_ro").0))
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    assert!(
        sandbox.requests("sts.AssumeRole") <= 4,
        "{}",
        sandbox.requests("sts.AssumeRole")
    );
}

/// A new token signed with a role session that went bad is as suspect as one from the cache.
#[test]
fn a_new_token_of_an_expired_session_is_tried_again_too() {
    let sandbox = Sandbox::alone();
    let config = role_target(&sandbox).replace("role_arn =", "session_policy = false, role_arn =");
    let proxy = Proxy::start(&sandbox, &config);
    proxy.query("app_ro", "select 1");
    sandbox.switch("expire-sessions", &json!({}));
    proxy.query("app_rw", "select 1");
}

#[test]
fn renewed_keys_in_the_credentials_file_are_seen() {
    let (sandbox, _turn) = Sandbox::shared();
    let file = sandbox.dir.join("credentials-file");
    let write = |user: &str| {
        let key = |name: &str| sandbox.text(&format!("/aws/{user}/{name}"));
        let (id, secret) = (key("access_key_id"), key("secret_access_key"));
        let text = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        std::fs::write(&file, text).unwrap();
    };
    write("powerless");
    let path = file.to_str().unwrap();
    let config = sandbox.target("orders", "db_users = [\"app_ro\"]");
    let proxy = Proxy::start_with(
        sandbox,
        "nobody",
        &config,
        &[],
        &[("AWS_SHARED_CREDENTIALS_FILE", path)],
    );
    assert!(!proxy.psql("app_ro", "select 1").status.success());
    write("dbproxy");
    proxy.signal("HUP");
    proxy.wait_until_logged("credentials will be read again");
    proxy.query("app_ro", "select 1");
}

/// What stays refused must not cost AWS a call for every login.
#[test]
fn a_login_that_stays_refused_is_not_tried_twice_every_time() {
    let sandbox = Sandbox::alone();
    let lines = "db_users = [\"app_denied\"]";
    let proxy = Proxy::start(&sandbox, &sandbox.target("orders", lines));
    for _ in 0..5 {
        assert!(!proxy.psql("app_denied", "select 1").status.success());
    }
    assert!(proxy.metric("dbproxy_login_retries_total") <= 1.0);
}

#[test]
fn a_valid_token_outlives_an_outage_of_aws() {
    let sandbox = Sandbox::alone();
    let proxy = Proxy::start(&sandbox, &role_target(&sandbox));
    proxy.query("app_ro", "select 1");
    sandbox.switch("fault", &json!({"service": "sts", "status": 503, "count": -1}));
    for _ in 0..3 {
        proxy.query("app_ro", "select 1");
    }
    // Another db user needs a new session of the role, and that cannot be had now.
    assert!(!proxy.psql("app_rw", "select 1").status.success());
    sandbox.switch("fault", &json!({"clear": true}));
}

/// Sessions that end within a token's life are renewed before a login meets them expired.
#[test]
fn short_lived_credentials_shorten_the_tokens() {
    let sandbox = Sandbox::alone();
    sandbox.switch("session-lifetime", &json!({"seconds": 20}));
    let proxy = Proxy::start(&sandbox, &role_target(&sandbox));
    for _ in 0..3 {
        proxy.query("app_ro", "select 1");
    }
    // 20 seconds are less than the margin: nothing of it is kept, everything works.
    assert_eq!(sandbox.requests("sts.AssumeRole"), 3);
    assert_eq!(proxy.metric("dbproxy_login_retries_total"), 0.0);
}

#[test]
fn slow_aws_delays_only_who_needs_it() {
    let sandbox = Sandbox::alone();
    let proxy = Proxy::start(&sandbox, &role_target(&sandbox));
    proxy.query("app_ro", "select 1");
    sandbox.switch(
        "fault",
        &json!({"service": "sts", "status": 0, "delay_ms": 3000, "count": 1}),
    );
    let mut waiting = Raw::connect(proxy.port());
    waiting.send(&startup(3 << 16, &[("user", "app_rw"), ("database", "app")]));
    // Beside the one that waits for AWS, others log in from the cache.
    proxy.query("app_ro", "select 1");
    assert_eq!(
        proxy.metric("dbproxy_assume_role_calls_total{outcome=\"succeeded\"}"),
        1.0
    );
    waiting.read_until(b'Z');
}

#[test]
fn a_secret_is_read_again_after_a_refused_login() {
    let sandbox = Sandbox::alone();
    let config = format!(
        "{}[targets.orders.users.app_password]\ncredential = {{ kind = \"secret\", secret_id = \"{}\" }}\n",
        sandbox.target("orders", "db_users = [\"sandbox_admin\"]"),
        sandbox.text("/aws/secret_arn")
    );
    let proxy = Proxy::start(&sandbox, &config);
    proxy.query("app_password", "select 1");
    proxy.query("app_password", "select 1");
    assert_eq!(sandbox.requests("secretsmanager.GetSecretValue"), 1);
    // Rotated in the database only: the retry reads the secret again, and it is still the old one.
    proxy.query("sandbox_admin", "alter role app_password password 'rotated'");
    let refused = proxy.psql("app_password", "select 1");
    let password = sandbox.text("/passwords/app_password");
    proxy.query(
        "sandbox_admin",
        &format!("alter role app_password password '{password}'"),
    );
    assert!(!refused.status.success());
    assert_eq!(sandbox.requests("secretsmanager.GetSecretValue"), 2);
    proxy.query("app_password", "select 1");
}
