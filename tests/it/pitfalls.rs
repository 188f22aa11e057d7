//! Pitfalls of `docs/pitfalls.md` that no other test is about.

use crate::support::{Proxy, Raw, Sandbox, raw};
use crate::watch::policies;

/// Policy judges the database that the server would open, not the one that the client left out.
#[test]
fn the_database_is_known_before_policy_is_asked() {
    let (sandbox, _turn) = Sandbox::shared();
    let app = "@id(\"app\") permit (principal is LocalUser, action, resource is DbUser)\n\
               when { context.database == \"app\" };";
    let dir = policies(sandbox, "default", app);
    let start = |more: &str| {
        let target = sandbox.target("orders", &format!("db_users = [\"app_ro\"]\n{more}"));
        Proxy::start(
            sandbox,
            &format!("{target}[policy]\ndir = \"{}\"\n", dir.display()),
        )
    };
    let nameless = |proxy: &Proxy, more: &[(&str, &str)]| {
        let mut raw = Raw::connect(proxy.port());
        raw.send(&raw::startup(
            3 << 16,
            &[&[("user", "app_ro")][..], more].concat(),
        ));
        raw.message().unwrap()
    };
    let proxy = start("");
    for none in [&[][..], &[("database", "")]] {
        let refused = nameless(&proxy, none);
        assert_eq!(refused.field(b'C'), "42501", "{refused:?}");
        let text = refused.field(b'M');
        assert!(text.contains("database \"app_ro\""), "{text}");
    }
    assert_eq!(nameless(&proxy, &[("database", "app")]).tag, b'R');
    let proxy = start("default_database = \"app\"");
    assert_eq!(nameless(&proxy, &[]).tag, b'R');
    assert_eq!(nameless(&proxy, &[("database", "postgres")]).field(b'C'), "42501");
}

/// Were readiness the database's, its outage would take all replicas away, and with them what they say about it.
#[test]
fn a_database_that_is_gone_leaves_dbproxy_ready() {
    let (sandbox, _turn) = Sandbox::shared();
    let here = format!("{}:", sandbox.text("/cluster/writer/address"));
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]");
    let lines = target.lines().map(|line| match line.contains(&here) {
        true if line.starts_with("dial") => "dial = \"127.77.9.9:9\"",
        _ => line,
    });
    let proxy = Proxy::start(sandbox, &(lines.collect::<Vec<_>>().join("\n") + "\n"));
    let mut raw = Raw::connect(proxy.port());
    raw.send(&raw::startup(3 << 16, &[("user", "app_ro"), ("database", "app")]));
    assert_eq!(raw.message().unwrap().field(b'C'), "08001");
    for path in ["/startup", "/readiness", "/liveness"] {
        let status = proxy.admin_request("GET", path, "").0;
        assert!(status.contains("200"), "{path}: {status}");
    }
}
