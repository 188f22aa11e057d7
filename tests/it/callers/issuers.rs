//! Issuers as they are set up: several of them, over https, with an address of their own for keys; and what becomes
//! of their callers behind dbproxy.

use super::client::by_password;
use super::{assert_not_proven, configuration, permit, refusal};
use crate::support::issuer::{Issuer, Key};
use crate::support::{Proxy, Sandbox};

#[test]
fn an_issuer_over_https_is_one_whose_authority_is_trusted() {
    let (sandbox, _turn) = Sandbox::shared();
    let key = Key::new("one");
    let issuer = Issuer::start_with_tls(sandbox, &[&key]);
    let cedar = permit("in Group::\"oidc:readers\"", "app_ro");
    let token = key.sign(&issuer.claims("jane", &["readers"]));
    let outcome = |head: &str, lines: &str| {
        let tables = issuer.table(lines);
        let config = configuration(sandbox, &["oidc"], &cedar, (head, &tables));
        let proxy = Proxy::start(sandbox, &config);
        let outcome = by_password(proxy.port(), "jane", token.as_bytes());
        (proxy, outcome)
    };
    let trusted = format!("http_ca_file = \"{}\"", sandbox.text("/ca/proxy_ca"));
    let keys = format!("jwks_uri = \"{}/keys\"", issuer.url);
    for lines in ["", &keys] {
        let (_proxy, outcome) = outcome(&trusted, lines);
        assert_eq!(outcome.last().unwrap().tag, b'Z', "{outcome:?}");
    }
    let (proxy, refused) = outcome("", "");
    assert_not_proven(&proxy, &refused, "the discovery document did not come");
    // The certificate is for another name.
    let elsewhere = keys.replace("localhost", "127.0.0.2");
    let (proxy, refused) = outcome(&trusted, &elsewhere);
    assert_not_proven(&proxy, &refused, "the keys did not come");
}

/// The name of a group is its issuer's own, and so is the name of a key.
#[test]
fn issuers_do_not_speak_for_each_other() {
    let (sandbox, _turn) = Sandbox::shared();
    let keys = [Key::new("one"), Key::new("one")];
    let [first, second] = [0, 1].map(|number| Issuer::start(&[&keys[number]]));
    let tables = first.table("")
        + &second.table_named("other", "groups_prefix = \"other:\"\ngroups_claim = \"roles\"");
    let cedar =
        permit("in Group::\"oidc:readers\"", "app_ro") + &permit("in Group::\"other:readers\"", "app_rw");
    let proxy = Proxy::start(sandbox, &configuration(sandbox, &["oidc"], &cedar, ("", &tables)));
    let log_in = |user: &str, token: String| by_password(proxy.port(), user, token.as_bytes());

    let of_first = first.claims("jane", &["readers"]);
    assert_eq!(
        log_in("app_ro", keys[0].sign(&of_first)).last().unwrap().tag,
        b'Z'
    );
    assert_eq!(refusal(&log_in("app_rw", keys[0].sign(&of_first)))[0], "42501");
    let mut of_second = second.claims("jane", &["readers"]);
    assert_eq!(refusal(&log_in("app_ro", keys[1].sign(&of_second)))[0], "42501");
    of_second["roles"] = of_second["groups"].take();
    assert_eq!(
        log_in("app_rw", keys[1].sign(&of_second)).last().unwrap().tag,
        b'Z'
    );
    // A key of the other.
    let refused = log_in("app_ro", keys[1].sign(&of_first));
    assert_not_proven(&proxy, &refused, "the token's signature is wrong");
    for caller in [format!("{}#jane ", first.url), format!("{}#jane ", second.url)] {
        proxy.wait_until_logged(&caller);
    }
}

/// What one caller was let in with is never another's: in CloudTrail each login is its caller's own.
#[test]
fn the_caller_stands_behind_the_login_at_the_database() {
    let sandbox = Sandbox::alone();
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let cedar = permit("in Group::\"oidc:readers\"", "app_ro");
    let role = format!(
        "[targets.orders.credential.assume_role]\nrole_arn = \"{}\"\nsource_identity = \"{{caller}}\"\n",
        sandbox.text("/aws/role_connect")
    );
    let config = configuration(&sandbox, &["oidc"], &cedar, ("", &issuer.table(""))) + &role;
    let proxy = Proxy::start(&sandbox, &config);
    let mut identities = Vec::new();
    for subject in ["jane", "joe", "jane"] {
        let token = key.sign(&issuer.claims(subject, &["readers"]));
        let outcome = by_password(proxy.port(), "app_ro", token.as_bytes());
        assert_eq!(outcome.last().unwrap().tag, b'Z', "{outcome:?}");
        let entry = sandbox.auth_log().last().unwrap().clone();
        identities.push(entry["source_identity"].as_str().unwrap_or_default().to_owned());
    }
    let [jane, joe, again] = &identities[..] else {
        panic!("three")
    };
    assert!(jane.starts_with("oidc-http---127.0.0.1-"), "{jane}");
    assert!(jane.len() <= 64 && joe.len() <= 64, "{identities:?}");
    assert_ne!(jane, joe);
    assert_eq!(jane, again);
}
