//! What the example and some corners mean in the catalogs.

use super::{EXAMPLE, now, right};
use crate::domain::name::TargetName;
use crate::provision::wanted::{Grants, Kind, Wanted};
use std::time::Duration;

fn wanted(text: &str, cluster: &str, later: u64) -> Wanted {
    let manifest = right(text);
    let cluster = &manifest.clusters[&TargetName::new(cluster).unwrap()];
    cluster.wanted(now() + Duration::from_secs(later))
}

fn shown(grants: &Grants) -> String {
    let one = |(who, what): (&_, &std::collections::BTreeSet<_>)| format!("{who:?}: {what:?}");
    grants.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn role<'w>(wanted: &'w Wanted, name: &str) -> &'w crate::provision::wanted::WantedRole {
    &wanted.roles[&name.to_owned().try_into().unwrap()]
}

#[test]
fn templates_of_the_example() {
    let wanted = wanted(EXAMPLE, "orders", 0);
    let app = &wanted.databases[&"app".to_owned().try_into().unwrap()];
    assert_eq!(app.owner.as_str(), "owner");
    let name = |name| format!("Role(RoleName(\"{name}\"))");
    let (capture, monitor) = (name("capture"), name("monitor"));
    let (ro, rw) = (name("read_only"), name("read_write"));
    assert_eq!(
        shown(&app.grants),
        format!(
            "{capture}: {{Connect}}; {monitor}: {{Connect}}; {ro}: {{Connect}}; {rw}: {{Connect, Temporary}}"
        )
    );
    let schema = &app.schemas[&"app".to_owned().try_into().unwrap()];
    assert_eq!(
        shown(&schema.grants),
        format!("{capture}: {{Usage}}; {ro}: {{Usage}}; {rw}: {{Usage}}")
    );
    assert_eq!(
        shown(&schema.on_all[&Kind::Table]),
        format!("{capture}: {{Select}}; {ro}: {{Select}}; {rw}: {{Select, Insert, Update, Delete}}")
    );
    assert_eq!(
        shown(&schema.on_all[&Kind::Sequence]),
        format!("{ro}: {{Select}}; {rw}: {{Select, Usage}}")
    );
    assert!(!schema.on_all.contains_key(&Kind::Function));
}

#[test]
fn users_of_the_example() {
    let wanted = wanted(EXAMPLE, "orders", 0);
    let owner = role(&wanted, "orders_owner");
    assert!(owner.login && !role(&wanted, "owner").login);
    let members: Vec<_> = owner
        .member_of
        .iter()
        .map(|(role, o)| (role.as_str(), o.inherit, o.set, o.admin))
        .collect();
    assert_eq!(
        members,
        [("owner", true, true, false), ("rds_iam", false, false, false)]
    );
    let settings: Vec<_> = owner
        .settings
        .iter()
        .map(|(name, value)| {
            (
                name.database
                    .as_ref()
                    .map(crate::provision::name::Database::as_str),
                name.name.as_str(),
                value.as_str(),
            )
        })
        .collect();
    assert_eq!(
        settings,
        [
            (None, "lock_timeout", "10s"),
            (Some("app"), "role", "owner"),
            (Some("archive"), "role", "owner"),
        ]
    );
    let monitor: Vec<_> = role(&wanted, "monitor")
        .member_of
        .keys()
        .map(|role| role.as_str().to_owned())
        .collect();
    assert_eq!(monitor, ["pg_monitor"]);
    assert!(wanted.break_glass.iter().any(|user| user.as_str() == "dbadmin"));
    assert!(
        !wanted
            .roles
            .keys()
            .any(|role| ["dbadmin", "dbproxy_provisioner"].contains(&role.as_str()))
    );
}

#[test]
fn tenants_have_nothing_of_each_other() {
    let wanted = wanted(EXAMPLE, "tenants", 0);
    let blue = &wanted.databases[&"blue".to_owned().try_into().unwrap()];
    assert!(!format!("{blue:?}").contains("green"));
    assert!(format!("{blue:?}").contains("blue_rw"));
}

#[test]
fn a_grant_ends_by_itself() {
    let text = "[clusters.c.databases.app]\n[clusters.c.roles]\napp_owner = { template = \"owner\" }\n\
                [clusters.c.users.a]\nrds_iam = false\nroles = [{ role = \"app_owner\", until = 2026-06-01T01:00:00Z }]";
    let before = wanted(text, "c", 3_599);
    assert_eq!(
        (
            role(&before, "a").member_of.len(),
            role(&before, "a").settings.len()
        ),
        (1, 1)
    );
    let after = wanted(text, "c", 3_600);
    assert_eq!(
        (
            role(&after, "a").member_of.len(),
            role(&after, "a").settings.len()
        ),
        (0, 0)
    );
    let public = &after.databases[&"app".to_owned().try_into().unwrap()].schemas
        [&"public".to_owned().try_into().unwrap()];
    assert_eq!(shown(&public.grants), "Public: {Usage}");
}

#[test]
fn privileges_one_by_one() {
    let text = r#"
        [clusters.c.databases.app]
        schemas = ["app", "Odd One"]
        [clusters.c.roles]
        app_owner = { template = "owner" }
        [clusters.c.roles.special]
        privileges = [
          { database = "app", on = "database", grant = ["connect"] },
          { database = "app", on = "schema app", grant = ["usage"] },
          { database = "app", on = "all functions in \"Odd One\"", grant = ["EXECUTE"] },
          { database = "app", on = "table app.items", grant = ["select"] },
          { database = "app", on = "table app.items", grant = ["update"] },
          { database = "app", on = "sequence \"Odd One\".\"a\"\"b.c\"", grant = ["usage"] },
          { database = "app", on = "function app.f(integer,character varying)", grant = ["execute"] },
        ]
    "#;
    let wanted = wanted(text, "c", 0);
    let app = &wanted.databases[&"app".to_owned().try_into().unwrap()];
    let to = "Role(RoleName(\"special\"))";
    assert_eq!(shown(&app.grants), format!("{to}: {{Connect}}"));
    let schema = &app.schemas[&"app".to_owned().try_into().unwrap()];
    let one = |kind, name: &str| shown(&schema.on_one[&(kind, name.to_owned())]);
    assert_eq!(one(Kind::Table, "items"), format!("{to}: {{Select, Update}}"));
    assert_eq!(
        one(Kind::Function, "f(integer, character varying)"),
        format!("{to}: {{Execute}}")
    );
    let odd = &app.schemas[&"Odd One".to_owned().try_into().unwrap()];
    assert_eq!(shown(&odd.on_all[&Kind::Function]), format!("{to}: {{Execute}}"));
    assert!(odd.on_one.contains_key(&(Kind::Sequence, "a\"b.c".to_owned())));
}
