//! A revocation reaches those who are in: since PostgreSQL 16 the provisioner must lend itself the right to end them.

use super::ground::{Failed, Ground};
use super::{SHOP, manifest_of, on_all, wanted};
use std::time::{Duration, Instant};

fn wait_for_session(ground: &Ground, user: &str) {
    let count =
        format!("select count(*) from pg_stat_activity where usename = '{user}' and query ~ 'pg_sleep'");
    let began = Instant::now();
    while ground.administer("postgres", &count) != "1" {
        assert!(began.elapsed() < Duration::from_secs(30), "{user} never comes");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Sits in a session through dbproxy while the command runs; how the session ended.
fn revoke(ground: &Ground, manifest: &str, user: &str, arguments: &[&str]) -> Result<String, Failed> {
    std::thread::scope(|scope| {
        let session = scope.spawn(|| ground.try_as(user, "app", "select pg_sleep(60)"));
        wait_for_session(ground, user);
        let (code, told) = ground.command(manifest, arguments);
        assert_eq!(code, 0, "{told}");
        assert!(told.contains("1 session ended"), "{told}");
        session.join().unwrap()
    })
}

fn was_ended(session: &Result<String, Failed>) {
    let code = match session {
        Err(Failed::Server(code, _)) => code.as_str(),
        _ => "",
    };
    assert_eq!(code, "57P01", "{session:?}");
}

#[test]
fn a_revocation_ends_sessions_through_dbproxy() {
    on_all(|ground| {
        ground.settle(&wanted(SHOP));
        ground.through_dbproxy();
        let manifest = manifest_of(SHOP);
        let take = ["revoke", "writer", "app_rw", "--allow-destructive"];
        was_ended(&revoke(ground, &manifest, "writer", &take));
        ground.cannot("writer", "app", "select 1");
        // The user itself.
        let drop = ["revoke", "reader", "--allow-destructive"];
        was_ended(&revoke(ground, &manifest, "reader", &drop));
        let left = "select string_agg(rolname, ',' order by rolname) from pg_roles where rolname in ('reader', 'writer')";
        assert_eq!(ground.administer("postgres", left), "writer");
        // What was lent for it was given back.
        let lent = "select count(*) from pg_auth_members where member = 'dbproxy_provisioner'::regrole \
            and roleid = 'writer'::regrole";
        let options = match ground.major {
            ..16 => "",
            _ => " and (inherit_option or set_option)",
        };
        assert_eq!(ground.administer("postgres", &format!("{lent}{options}")), "0");
        // Others stay in.
        ground.can("clerk", "app", "select 1");
    });
}
