//! Changes keep comments, order and the manner of writing.

use super::{EXAMPLE, now, right};
use crate::domain::name::{DbRole, DbUser, TargetName};
use crate::provision::manifest::arn::PrincipalArn;
use crate::provision::manifest::edit::{EditError, GrantOptions, grant, revoke};
use std::time::Duration;

pub fn give(text: &str, user: &str, role: &str, options: &GrantOptions) -> Result<String, EditError> {
    let cluster = TargetName::new("c").unwrap();
    grant(
        text,
        &cluster,
        &DbUser::new(user).unwrap(),
        &DbRole::new(role).unwrap(),
        options,
        now(),
    )
}

pub fn take(text: &str, user: &str, role: Option<&str>) -> Result<String, EditError> {
    let role = role.map(|role| DbRole::new(role).unwrap());
    revoke(
        text,
        &TargetName::new("c").unwrap(),
        &DbUser::new(user).unwrap(),
        role.as_ref(),
        now(),
    )
}

fn plain() -> GrantOptions {
    GrantOptions::default()
}

const HEADERS: &str = r#"# top

[clusters.c] # the cluster
account_id = "111122223333"

[clusters.c.roles]
rw = { template = "read-write" } # writes
ro = { template = "read-only" }

# --- people ---

# a is first
[clusters.c.users.a]
roles = [
  "rw", # writes
  # reads as well
  "ro", # reads
] # both
connection_limit = 5 # few

# b is second
[clusters.c.users.b]
roles = ["ro"]

# the end
[[clusters.c.cross_account]]
name = "x"
trusts = ["arn:aws:iam::444455556666:role/x"]
external_id = "xy"
users = ["b"]
"#;

#[test]
fn a_new_user_stands_behind_the_others() {
    let options = GrantOptions {
        until: Some(now() + Duration::from_millis(3_600_500)),
        principal: Some(PrincipalArn::new("arn:aws:iam::111122223333:role/n").unwrap()),
    };
    let after = give(HEADERS, "new one", "rw", &options).unwrap();
    let added = "\n[clusters.c.users.\"new one\"]\nroles = [{ role = \"rw\", until = 2026-06-01T01:00:00Z }]\n\
                 principals = [{ arn = \"arn:aws:iam::111122223333:role/n\", until = 2026-06-01T01:00:00Z }]\n";
    let expected = HEADERS.replace("roles = [\"ro\"]\n", &format!("roles = [\"ro\"]\n{added}"));
    assert_eq!(after, expected);
    assert_eq!(
        give(&after, "new one", "rw", &options).unwrap(),
        after,
        "nothing to do"
    );
    assert_eq!(take(&after, "new one", None).unwrap(), HEADERS);
}

/// Who comes with a grant that ends goes with it, unless it was there for good.
#[test]
fn a_principal_comes_for_as_long_as_the_grant() {
    const N: &str = "arn:aws:iam::111122223333:role/n";
    let with = |hours: Option<u64>| GrantOptions {
        until: hours.map(|hours| now() + Duration::from_secs(hours * 3_600)),
        principal: Some(PrincipalArn::new(N).unwrap()),
    };
    let ends = |text: &str| {
        let users = &right(text).clusters[&TargetName::new("c").unwrap()].users;
        let user = &users[&DbUser::new("b").unwrap()];
        user.principals[&PrincipalArn::new(N).unwrap()]
    };
    // The user has another role for good.
    let for_a_time = give(HEADERS, "b", "rw", &with(Some(1))).unwrap();
    assert_eq!(ends(&for_a_time), with(Some(1)).until);
    assert_eq!(give(&for_a_time, "b", "rw", &with(Some(1))).unwrap(), for_a_time);
    let longer = give(&for_a_time, "b", "rw", &with(Some(2))).unwrap();
    assert_eq!(ends(&longer), with(Some(2)).until);
    assert_eq!(longer.matches(N).count(), 1);
    let for_good = give(&longer, "b", "rw", &with(None)).unwrap();
    assert!(
        for_good.contains(&format!("principals = [\"{N}\"]\n")),
        "{for_good}"
    );
    let again = give(&for_good, "b", "rw", &with(Some(1))).unwrap();
    assert_eq!(ends(&again), None);
}

#[test]
fn lists_keep_their_lines_and_remarks() {
    let text = HEADERS.replace("  \"rw\", # writes\n", "");
    assert_eq!(
        give(&text, "a", "rw", &plain()).unwrap(),
        text.replace("  \"ro\", # reads\n", "  \"ro\", # reads\n  \"rw\",\n")
    );
    assert_eq!(take(HEADERS, "a", Some("rw")).unwrap(), text);
    assert_eq!(
        take(HEADERS, "a", Some("ro")).unwrap(),
        HEADERS.replace("  # reads as well\n  \"ro\", # reads\n", "")
    );
    let no_comma = HEADERS.replace(
        "\"rw\", # writes\n  # reads as well\n  \"ro\", # reads",
        "\"rw\" # writes",
    );
    assert_eq!(
        give(&no_comma, "a", "ro", &plain()).unwrap(),
        no_comma.replace("\"rw\" # writes\n", "\"rw\", # writes\n  \"ro\"\n")
    );
    assert_eq!(
        give(HEADERS, "b", "rw", &plain()).unwrap(),
        HEADERS.replace("[\"ro\"]", "[\"ro\", \"rw\"]")
    );
}

#[test]
fn an_end_is_moved_or_lifted_in_place() {
    let until = GrantOptions {
        until: Some(now()),
        ..plain()
    };
    let ending = give(HEADERS, "a", "rw", &until).unwrap();
    let entry = "{ role = \"rw\", until = 2026-06-01T00:00:00Z }, # writes";
    assert_eq!(ending, HEADERS.replace("\"rw\", # writes", entry));
    assert_eq!(give(&ending, "a", "rw", &plain()).unwrap(), HEADERS);
}

#[test]
fn a_user_goes_with_everything_that_names_it() {
    let after = take(HEADERS, "b", None).unwrap();
    assert!(
        !after.contains("b is second") && !after.contains("cross_account"),
        "{after}"
    );
    let after = take(HEADERS, "a", None).unwrap();
    assert!(after.contains("# --- people ---\n\n# b is second\n"), "{after}");
    assert!(!after.contains("a is first"), "{after}");
}

#[test]
fn other_manners_of_writing_survive() {
    for text in [
        "clusters.c.roles.rw.template = \"read-write\" # dotted\nclusters.c.users.a.connection_limit = 1\n",
        "clusters.c.roles.rw.template = \"read-write\"\n",
        "clusters = { c = { roles = { rw = { template = \"read-write\" } }, users = { a = { } } } } # braces\n",
        "clusters = { c = { roles = { rw = { template = \"read-write\" } } } }\n",
        "[clusters]\nc.roles.rw.template = \"read-write\"\nc.users = { a = {} }\n# end\n",
        "[clusters.\"c\".roles.'rw']\ntemplate = \"read-write\"\n[clusters.c.users.a.settings]\nx = 1\n",
        "\u{feff}[clusters.c.roles.rw]\r\ntemplate = 'read-write'\r\n# end\r\n",
        "[clusters.c]\n[clusters.c.users]\na = { connection_limit = 1 }\n[clusters.c.roles.rw]\ntemplate = 'read-write'",
    ] {
        for user in ["a", "new one"] {
            let after = give(text, user, "rw", &plain()).unwrap();
            let manifest = right(&after);
            let users = &manifest.clusters[&TargetName::new("c").unwrap()].users;
            assert_eq!(users[&DbUser::new(user).unwrap()].roles.len(), 1, "{after}");
            assert_eq!(
                after.matches("\r\n").count(),
                if text.contains('\r') {
                    after.matches('\n').count()
                } else {
                    0
                }
            );
            assert_eq!(after.starts_with('\u{feff}'), text.starts_with('\u{feff}'));
            assert_eq!(after.matches('#').count(), text.matches('#').count(), "{after}");
            let back = take(&after, user, None).unwrap();
            assert!(
                !right(&back).clusters[&TargetName::new("c").unwrap()]
                    .users
                    .contains_key(&DbUser::new(user).unwrap())
            );
        }
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let error = |result: Result<String, EditError>| result.unwrap_err().to_string();
    assert_eq!(
        error(give("x", "a", "rw", &plain())),
        "the access manifest has a mistake: 1:2: key with no value, expected `=`"
    );
    assert_eq!(
        error(give("", "a", "rw", &plain())),
        "the manifest has no cluster `c`"
    );
    assert_eq!(
        error(give(HEADERS, "a", "zz", &plain())),
        "cluster `c` has no db role `zz`; it has `ro`, `rw`"
    );
    assert_eq!(
        error(take(HEADERS, "zz", None)),
        "cluster `c` has no db user `zz`"
    );
    assert_eq!(
        error(take(HEADERS, "b", Some("rw"))),
        "db user `b` does not have the role `rw`"
    );
    let foreign = GrantOptions {
        principal: Some(PrincipalArn::new("arn:aws:iam::444455556666:role/y").unwrap()),
        ..plain()
    };
    let told = error(give(HEADERS, "a", "rw", &foreign));
    assert!(
        told.starts_with("with this change, the access manifest has a mistake: "),
        "{told}"
    );
    assert!(told.contains("add a [[clusters.c.cross_account]]"), "{told}");
    let told = error(give(HEADERS, "pg_x", "rw", &plain()));
    assert!(told.contains("begin with `pg_`"), "{told}");
}

#[test]
fn the_example_survives_every_change() {
    let manifest = right(EXAMPLE);
    for (cluster, content) in &manifest.clusters {
        for (user, entry) in &content.users {
            for grant in &entry.roles {
                let without = revoke(EXAMPLE, cluster, user, Some(&grant.role), now()).unwrap();
                let again =
                    super::super::edit::grant(&without, cluster, user, &grant.role, &plain(), now()).unwrap();
                assert_eq!(again, EXAMPLE);
            }
            revoke(EXAMPLE, cluster, user, None, now()).unwrap();
        }
    }
}
