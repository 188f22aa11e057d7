//! Every mistake with its place and what mends it.

use super::{now, right};
use crate::provision::manifest::read;

/// What stands before each snippet; snippets begin in line 8.
const BASE: &str = r#"[clusters.c]
account_id = "111122223333"
region = "eu-west-1"
[clusters.c.databases.app]
schemas = ["app"]
[clusters.c.roles]
app_owner = { template = "owner" }
"#;

fn told(text: &str) -> Vec<String> {
    let problems = read(text, now()).err().unwrap_or_default();
    problems.as_slice().iter().map(ToString::to_string).collect()
}

fn check(cases: &[(&str, &[&str])]) {
    for (snippet, expected) in cases {
        let text = format!("{BASE}{snippet}");
        assert_eq!(told(&text), *expected, "{snippet}");
    }
}

#[test]
fn the_base_is_right() {
    right(BASE);
}

#[test]
fn the_file_as_a_whole() {
    assert_eq!(
        told("a = "),
        ["1:5: string values must be quoted, expected literal string"]
    );
    assert_eq!(
        told(&" ".repeat(1_048_577)),
        ["1:1: 1048577 bytes, the limit is 1048576"]
    );
    assert_eq!(
        told("cluster = 1"),
        ["1:1: cluster: unknown key; did you mean `clusters`?"]
    );
    assert_eq!(
        told("clusters = 1"),
        ["1:12: clusters: expected a table, found integer"]
    );
    assert_eq!(
        told("[clusters]\nc = 1"),
        ["2:1: clusters.c: expected a table, found integer"]
    );
    let long = "x".repeat(64);
    let key = format!("[clusters.{long}]");
    assert_eq!(
        told(&key),
        [format!(
            "1:11: clusters.{long}: name is 64 bytes long, the limit is 63"
        )]
    );
}

#[test]
fn values_and_keys() {
    check(&[
        (
            "[clusters.c.users.a]\nrole = [\"app_owner\"]",
            &["9:1: clusters.c.users.a.role: unknown key; did you mean `roles`?"],
        ),
        (
            "[clusters.c.users.a]\nzebra = 1",
            &["9:1: clusters.c.users.a.zebra: unknown key"],
        ),
        (
            "[clusters.c.users.a]\nroles = \"x\"",
            &[
                "9:9: clusters.c.users.a.roles: expected a list of roles, such as [\"read_only\", { role = \"owner\", until = 2026-12-01T00:00:00Z }], found string",
            ],
        ),
        (
            "[clusters.c.users.\"a.b\"]\nrds_iam = 1",
            &["9:11: clusters.c.users.\"a.b\".rds_iam: expected true or false, found integer"],
        ),
        (
            "[clusters.c.users.a]\nconnection_limit = 262144",
            &["9:20: clusters.c.users.a.connection_limit: 262144 is not within 0 to 262143"],
        ),
        (
            "[clusters.c.users.a]\nconnection_limit = -1",
            &["9:20: clusters.c.users.a.connection_limit: -1 is not within 0 to 262143"],
        ),
        (
            "[clusters.c.users.a]\nroles = [{ role = \"app_owner\", until = 2026-12-01T00:00:00 }]",
            &[
                "9:40: clusters.c.users.a.roles[0].until: expected a moment such as 2026-12-01T00:00:00Z, without quotes and with its offset from UTC",
            ],
        ),
        (
            "[clusters.c.users.a]\nroles = [{ until = 2026-12-01T00:00:00Z }]",
            &["9:10: clusters.c.users.a.roles[0].role: is missing"],
        ),
        (
            "[clusters.c.users.a]\nroles = [\"app_owner\", 7, \"app_owner\"]",
            &[
                "9:23: clusters.c.users.a.roles: expected a list of roles, such as [\"read_only\", { role = \"owner\", until = 2026-12-01T00:00:00Z }], found integer in it",
                "9:26: clusters.c.users.a.roles: `app_owner` is listed twice",
            ],
        ),
        (
            "[clusters.c.users.a]\nroles = [\"app_owner\", { role = \"app_owner\" }]",
            &["9:23: clusters.c.users.a.roles: `app_owner` is listed twice"],
        ),
        (
            "[clusters.c.databases.b]\nowner = \"app_owner\"\nextensions = [\"pg trgm\", \"x\", \"x?\"]",
            &[
                "10:15: clusters.c.databases.b.extensions: `pg trgm` is not an extension such as `pg_trgm` or `pgaudit?`",
                "10:31: clusters.c.databases.b.extensions: `x` is listed twice",
            ],
        ),
        (
            "[clusters.d]\naccount_id = \"1\"\nregion = \"mars\"\nresource_ids = [\"orders\"]",
            &[
                "9:14: clusters.d.account_id: is not the 12 digits of an AWS account",
                "10:10: clusters.d.region: `mars` is not a region such as `eu-west-1`",
                "11:17: clusters.d.resource_ids: `orders` is not a resource id such as `cluster-ABC` or `db-ABC`; see the database's configuration page",
            ],
        ),
    ]);
}

#[test]
fn settings() {
    check(&[
        (
            "[clusters.c.users.a.settings]\nrole = \"x\"",
            &[
                "9:1: clusters.c.users.a.settings.role: is set by dbproxy alone, for users that have an owner role",
            ],
        ),
        (
            "[clusters.c.users.a.settings]\nSession_Authorization = \"x\"",
            &[
                "9:1: clusters.c.users.a.settings.Session_Authorization: is set by dbproxy alone, for users that have an owner role",
            ],
        ),
        (
            "[clusters.c.users.a.settings]\n\"a b\" = 1",
            &[
                "9:1: clusters.c.users.a.settings.\"a b\": is no name of a setting, such as `statement_timeout` or `myapp.tenant`",
            ],
        ),
        (
            "[clusters.c.users.a.settings]\nx = 1.5",
            &[
                "9:1: clusters.c.users.a.settings.x: expected a string, a whole number, true or false, found float; write others as strings",
            ],
        ),
        (
            "[clusters.c.users.a.settings]\nx = 1\nX = 2",
            &["10:1: clusters.c.users.a.settings.X: is given twice: settings differ by more than case"],
        ),
    ]);
}

#[test]
fn names() {
    check(&[
        (
            "[clusters.c.users.pg_x]",
            &[
                "8:19: clusters.c.users.pg_x: `pg_x`: names of PostgreSQL itself begin with `pg_`; choose another",
            ],
        ),
        (
            "[clusters.c.users.rds_x]",
            &["8:19: clusters.c.users.rds_x: `rds_x` is kept by RDS for itself; choose another"],
        ),
        (
            "[clusters.c.users.rdsadmin]",
            &["8:19: clusters.c.users.rdsadmin: `rdsadmin` is kept by RDS for itself; choose another"],
        ),
        (
            "[clusters.c.users.public]",
            &["8:19: clusters.c.users.public: `public` is a word of SQL, not a name; choose another"],
        ),
        (
            "[clusters.c.users.none]",
            &["8:19: clusters.c.users.none: `none` is a word of SQL, not a name; choose another"],
        ),
        (
            "[clusters.c.users.\"\"]",
            &["8:19: clusters.c.users.\"\": ``: name is empty"],
        ),
        (
            "[clusters.c.users.app_owner]",
            &[
                "8:19: clusters.c.users.app_owner: a db role has this name too, and PostgreSQL has one name for one: rename either",
            ],
        ),
        (
            "[clusters.c.users.dbproxy_provisioner]",
            &[
                "8:19: clusters.c.users.dbproxy_provisioner: is the provisioner, which must not change itself: leave it out",
            ],
        ),
        (
            "[clusters.d]\nbreak_glass = [\"x\", \"dbproxy_provisioner\"]\n[clusters.d.users.x]",
            &[
                "9:21: clusters.d.break_glass: `dbproxy_provisioner` is the provisioner, which logs in by IAM: a break-glass user logs in by password",
                "10:19: clusters.d.users.x: is a break-glass user, which must stay as it is: leave it out",
            ],
        ),
        (
            "[clusters.c.users.\"a*\"]",
            &[
                "8:19: clusters.c.users.\"a*\": IAM reads *, ? and $ in a name as more than one user: rename it, or set rds_iam = false",
            ],
        ),
        (
            "[clusters.c.users.a]\nwas = \"b\"\n[clusters.c.users.b]\nwas = \"old\"\n[clusters.c.users.d]\nwas = \"old\"",
            &[
                "9:7: clusters.c.users.a.was: `b` is declared too, so it is no former name: remove `was`",
                "13:7: clusters.c.users.d.was: `old` can become but one, see clusters.c.users.b.was",
            ],
        ),
        (
            "[clusters.c.databases.template1]\nowner = \"app_owner\"",
            &[
                "8:23: clusters.c.databases.template1: `template1` is not a database of applications; choose another",
            ],
        ),
        (
            "[clusters.c.databases.b]\nowner = \"app_owner\"\nschemas = [\"pg_x\"]",
            &[
                "10:12: clusters.c.databases.b.schemas: `pg_x`: names of PostgreSQL itself begin with `pg_`; choose another",
            ],
        ),
    ]);
}

#[test]
fn references() {
    check(&[
        (
            "[clusters.c.users.a]\nroles = [\"app_ownr\", \"zebra\"]",
            &[
                "9:10: clusters.c.users.a.roles: there is no role `app_ownr`; did you mean `app_owner`?",
                "9:22: clusters.c.users.a.roles: there is no role `zebra`: declare it as [clusters.c.roles.zebra]",
            ],
        ),
        (
            "[clusters.c.databases.b]\nowner = \"zebra\"",
            &[
                "7:1: clusters.c.roles.app_owner.databases: `b` is owned by another: list in `databases` what this one owns (`zebra`)",
                "9:9: clusters.c.databases.b.owner: there is no role `zebra`: add [clusters.c.roles.zebra] with template = \"owner\", or name another",
            ],
        ),
        (
            "[clusters.d.databases.b]\n[clusters.d.roles.b_owner]\ntemplate = \"read-only\"",
            &[
                "8:23: clusters.d.databases.b.owner: `b_owner` is not an owner: to own databases, a role needs template = \"owner\"",
            ],
        ),
        (
            "[clusters.d.databases.b]\n[clusters.d.roles.b_owner]\ntemplate = \"owner\"\ndatabases = [\"bb\"]",
            &[
                "8:23: clusters.d.databases.b.owner: `b_owner` does not own `b`: add it to clusters.d.roles.b_owner.databases",
                "11:14: clusters.d.roles.b_owner.databases: there is no database `bb`: declare it as [clusters.d.databases.bb]",
            ],
        ),
        (
            "[clusters.d.databases.b]\nschemas = [\"x\", \"y\"]\n[clusters.d.roles.b_owner]\ntemplate = \"owner\"\nschemas = [\"x\"]",
            &[
                "12:11: clusters.d.roles.b_owner.schemas: an owner owns all schemas: add `y` of `b`, or leave this out",
            ],
        ),
        (
            "[clusters.c.roles.r]\ntemplate = \"read-only\"\nschemas = [\"zebra\"]",
            &[
                "10:12: clusters.c.roles.r.schemas: there is no schema `zebra`: add it to the `schemas` of the database",
            ],
        ),
        (
            "[clusters.c.roles.r]",
            &[
                "8:19: clusters.c.roles.r.template: is missing: `owner`, `read-write`, `read-only` or `monitor`; or give `privileges`",
            ],
        ),
        (
            "[clusters.c.roles.r]\ntemplate = \"readonly\"",
            &[
                "9:12: clusters.c.roles.r.template: there is no template `readonly`; did you mean `read-only`?",
            ],
        ),
        (
            "[clusters.c.roles.r]\ntemplate = \"monitor\"\nprivileges = []",
            &[
                "10:14: clusters.c.roles.r.privileges: a role has a `template` or `privileges`, not both: use two roles",
            ],
        ),
    ]);
}

#[test]
fn privileges() {
    let one = |text: &str| told(&format!("{BASE}[[clusters.c.roles.r.privileges]]\n{text}"));
    assert_eq!(
        one("database = \"app\"\non = \"all tables in app\"\ngrant = [\"select\", \"usage\"]"),
        [
            "11:20: clusters.c.roles.r.privileges[0].grant: there is no privilege `usage` on this: select, insert, update, delete, truncate, references, trigger, maintain",
        ]
    );
    assert_eq!(
        one("database = \"zebra\"\non = \"database\"\ngrant = []"),
        [
            "9:12: clusters.c.roles.r.privileges[0].database: there is no database `zebra`: declare it as [clusters.c.databases.zebra]",
            "11:9: clusters.c.roles.r.privileges[0].grant: names no privilege: leave the whole entry out",
        ]
    );
    assert_eq!(
        one("database = \"app\"\non = \"schema zebra\"\ngrant = [\"usage\"]"),
        [
            "10:6: clusters.c.roles.r.privileges[0].on: there is no schema `zebra`: add it to the `schemas` of the database",
        ]
    );
    assert_eq!(
        one(""),
        [
            "8:1: clusters.c.roles.r.privileges[0].database: is missing",
            "8:1: clusters.c.roles.r.privileges[0].grant: is missing",
            "8:1: clusters.c.roles.r.privileges[0].on: is missing",
        ]
    );
    for wrong in [
        "view app.x",
        "table items",
        "all things in app",
        "schema App",
        "function app.f(a; drop)",
        "table app.x y",
        "schema \\\"x",
    ] {
        let told = one(&format!(
            "database = \"app\"\non = \"{wrong}\"\ngrant = [\"usage\"]"
        ));
        assert!(
            told.len() == 1 && told[0].starts_with("10:6: clusters.c.roles.r.privileges[0].on: `"),
            "{wrong}: {told:?}"
        );
    }
}

#[test]
fn principals() {
    let one = |arn: &str| told(&format!("{BASE}[clusters.c.users.a]\nprincipals = [\"{arn}\"]"));
    let key = "9:15: clusters.c.users.a.principals: ";
    for (arn, why) in [
        (
            "role/x",
            "`role/x` is not an ARN such as `arn:aws:iam::111122223333:role/app`",
        ),
        (
            "arn:aws:iam::111122223333:role/*",
            "`arn:aws:iam::111122223333:role/*` has a wildcard: name each principal in full",
        ),
        (
            "arn:azure:iam::111122223333:role/x",
            "`arn:azure:iam::111122223333:role/x`: there is no partition `azure`",
        ),
        (
            "arn:aws:iam::1:role/x",
            "`arn:aws:iam::1:role/x`: an account has 12 digits",
        ),
        (
            "arn:aws:sts::111122223333:assumed-role/x/y",
            "`arn:aws:sts::111122223333:assumed-role/x/y` is a session of a role, and gone tomorrow: name the role, `arn:aws:iam::111122223333:role/x`",
        ),
        (
            "arn:aws:iam::111122223333:root",
            "`arn:aws:iam::111122223333:root` stands for its whole account: name a role or a user",
        ),
        (
            "arn:aws:iam::111122223333:group/x",
            "`arn:aws:iam::111122223333:group/x` is neither an IAM role nor an IAM user",
        ),
        (
            "arn:aws:s3::111122223333:role/x",
            "`arn:aws:s3::111122223333:role/x` is neither an IAM role nor an IAM user",
        ),
        (
            "arn:aws:iam::111122223333:role/a b",
            "`arn:aws:iam::111122223333:role/a b`: no role or user has such a name",
        ),
        (
            "arn:aws-cn:iam::111122223333:role/x",
            "`arn:aws-cn:iam::111122223333:role/x` is of the partition aws-cn, and eu-west-1 of aws",
        ),
        (
            "arn:aws:iam::444455556666:role/x",
            "`arn:aws:iam::444455556666:role/x` is of account 444455556666, and IAM lets only principals of the database's own account connect: add a [[clusters.c.cross_account]] that trusts it and has `a` among its users",
        ),
    ] {
        assert_eq!(one(arn), [format!("{key}{why}")], "{arn}");
    }
    for right in [
        "arn:aws:iam::111122223333:user/a/b",
        "arn:aws:iam::111122223333:role/x",
    ] {
        assert_eq!(one(right), [""; 0], "{right}");
    }
}

#[test]
fn principals_that_end() {
    let one = |list: &str| told(&format!("{BASE}[clusters.c.users.a]\nprincipals = [{list}]"));
    let arn = "\"arn:aws:iam::111122223333:role/x\"";
    let until = "until = 2030-01-01T00:00:00Z";
    assert_eq!(one(&format!("{{ arn = {arn}, {until} }}")), [""; 0]);
    assert_eq!(one(&format!("{{ arn = {arn} }}")), [""; 0]);
    for (list, why) in [
        (format!("{{ {until} }}"), "principals[0].arn: is missing"),
        (
            format!("{{ arn = {arn}, until = 3 }}"),
            "until: expected a moment",
        ),
        (format!("{{ arn = {arn}, for = 3 }}"), "principals[0].for"),
        ("{ arn = \"x\" }".to_owned(), "`x` is not an ARN"),
        (
            format!("{arn}, {{ arn = {arn}, {until} }}"),
            "`arn:aws:iam::111122223333:role/x` is listed twice",
        ),
    ] {
        let told = one(&list);
        assert!(told.len() == 1 && told[0].contains(why), "{why}: {told:?}");
    }
}

#[test]
fn cross_account() {
    let head = "[clusters.c.users.a]\n[[clusters.c.cross_account]]\n";
    let trust = "trusts = [\"arn:aws:iam::444455556666:role/x\"]\n";
    let one = |text: &str| told(&format!("{BASE}{head}{text}"));
    assert_eq!(
        one(""),
        [
            "9:1: clusters.c.cross_account[0].external_id: is missing: a random text that those who assume the role must know",
            "9:1: clusters.c.cross_account[0].name: is missing: what the IAM role is called",
            "9:1: clusters.c.cross_account[0].trusts: is missing: the principals of other accounts that may assume the role",
            "9:1: clusters.c.cross_account[0].users: is missing: the db users that the role may be",
        ]
    );
    let rest =
        format!("{trust}name = \"a b\"\nexternal_id = \"x\"\nusers = [\"zebra\"]\nmax_session = \"14m\"");
    assert_eq!(
        one(&rest),
        [
            "11:8: clusters.c.cross_account[0].name: `a b`: an IAM role has 1 to 64 of letters, digits and _+=,.@-",
            "12:15: clusters.c.cross_account[0].external_id: is not 2 to 1224 of letters, digits and _+=,.@:/-",
            "13:10: clusters.c.cross_account[0].users: there is no user `zebra`: declare it as [clusters.c.users.zebra]",
            "14:15: clusters.c.cross_account[0].max_session: `14m`: a role's session lives 15m to 12h",
        ]
    );
    let right = format!(
        "{BASE}{head}{trust}name = \"x\"\nexternal_id = \"xy\"\nusers = [\"a\"]\nmax_session = \"12h\""
    );
    let notes: Vec<_> = super::right(&right)
        .notes
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        notes,
        [
            "14:15: clusters.c.cross_account[0].max_session: a role that a role assumes lives 1h at most, whatever is written here"
        ]
    );
}

#[test]
fn what_has_ended_is_worth_a_note() {
    let text = format!(
        "{BASE}[clusters.c.users.a]\nroles = [{{ role = \"app_owner\", until = 2026-01-01T00:00:00Z }}]"
    );
    let notes: Vec<_> = super::right(&text)
        .notes
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        notes,
        ["9:10: clusters.c.users.a.roles: `app_owner` has ended: it is taken back, and can be removed here"]
    );
}

#[test]
fn who_is_the_provisioner_is_of_the_clusters_account() {
    for key in ["broker_principals", "provisioner_principals"] {
        let text = format!(
            "[clusters.c]\naccount_id = \"111122223333\"\n{key} = [\"arn:aws:iam::444455556666:role/r\"]\n"
        );
        let told = told(&text).concat();
        assert!(
            told.contains(&format!("clusters.c.{key}: ")) && told.contains("is of another account"),
            "{told}"
        );
    }
}

#[test]
fn what_is_left_alone_is_not_declared_too() {
    let text = "[clusters.c]\nunmanaged = [\"rds_superuser\", \"u\", \"\"]\nunmanaged_principals = [\"x\"]\nusers.u = {}\n";
    assert_eq!(
        told(text),
        [
            "2:36: clusters.c.unmanaged: ``: name is empty",
            "3:25: clusters.c.unmanaged_principals: `x` is not an ARN such as `arn:aws:iam::111122223333:role/app`",
            "4:7: clusters.c.users.u: is in `unmanaged` too: it is declared or left alone, not both",
        ]
    );
}
