use crate::config::check::{CommandLine, Settings, check};
use crate::domain::caller::Principal;
use crate::domain::name::{DatabaseName, DbRole, DbUser};
use crate::domain::target::{Target, Users};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

const MANIFEST: &str = r#"
[clusters.a]
account_id = "111122223333"
region = "us-east-1"
resource_ids = ["cluster-ABC"]
[clusters.a.databases.app]
[clusters.a.databases.archive]
owner = "app_owner"
[clusters.a.roles.app_owner]
template = "owner"
[clusters.a.roles.reader]
template = "read-only"
[clusters.a.users.app]
roles = ["reader", { role = "app_owner", until = 2026-12-01T00:00:00Z }]
principals = ["arn:aws:iam::111122223333:role/team/app"]
[clusters.a.users.tool]
roles = ["reader"]
[[clusters.a.cross_account]]
name = "dbproxy-tool"
trusts = ["arn:aws:iam::444455556666:role/tool"]
external_id = "0123456789"
users = ["tool"]
"#;
const A: &str = "[targets.a]\nendpoint = \"a.abc.us-east-1.rds.amazonaws.com\"\n";

/// A manifest of the test's own.
struct Own(PathBuf);

impl Own {
    fn new(text: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("dbproxy-manifest-{}-{number}.toml", std::process::id());
        let own = Self(std::env::temp_dir().join(name));
        own.write(text);
        own
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }

    fn check(&self, targets: &str) -> Result<Settings, Vec<String>> {
        let file = format!("manifest = {:?}\n{targets}", self.0.to_str().unwrap());
        let table = file.parse().unwrap();
        check(table, CommandLine::default(), &|_| None).map_err(|mistakes| {
            let path = self.0.display().to_string();
            let lines = mistakes.lines().iter();
            lines.map(|line| line.replace(&path, "M")).collect()
        })
    }

    fn target(&self, targets: &str) -> Target {
        let settings = self
            .check(targets)
            .unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        settings.targets[0].clone()
    }

    fn mistakes(&self, targets: &str) -> Vec<String> {
        self.check(targets).unwrap_err()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn user(name: &str) -> DbUser {
    DbUser::new(name).unwrap()
}

fn december() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_083_200)
}

#[test]
fn a_target_is_what_its_cluster_says() {
    let own = Own::new(MANIFEST);
    let target = own.target(A);
    assert_eq!(target.users, Users::Listed(vec![user("app"), user("tool")]));
    let databases: Vec<&str> = target.databases.iter().map(DatabaseName::as_str).collect();
    assert_eq!(databases, ["app", "archive"]);
    assert_eq!(target.account_id.as_deref(), Some("111122223333"));
    assert_eq!(target.resource_id.as_deref(), Some("cluster-ABC"));
    let roles = |at| {
        let user = user("app");
        let roles = target.roles_of(&user, at).map(DbRole::to_string);
        roles.collect::<Vec<_>>()
    };
    let before = december() - Duration::from_secs(1);
    assert_eq!(roles(Some(before)), ["app_owner", "reader"]);
    assert_eq!(roles(Some(december())), ["reader"]);
    let names = |arn: &str, name: &str| {
        let principal = Principal::IamRole {
            arn: arn.to_owned(),
            permission_set: None,
        };
        target.declared.names(&principal, &user(name), None)
    };
    assert!(names("arn:aws:iam::111122223333:role/app", "app"));
    assert!(!names("arn:aws:iam::111122223333:role/app", "tool"));
    // By the role that it may assume, and as that role.
    assert!(names("arn:aws:iam::444455556666:role/tool", "tool"));
    assert!(names("arn:aws:iam::111122223333:role/dbproxy-tool", "tool"));
}

#[test]
fn what_the_target_says_itself_leaves_out() {
    let own = Own::new(MANIFEST);
    let target = own.target(&format!("{A}db_users = [\"tool\"]\ndatabases = [\"app\"]\n"));
    assert_eq!(target.users, Users::Listed(vec![user("tool")]));
    assert_eq!(target.databases.len(), 1);
    let readers = &target.db_roles[&DbRole::new("reader").unwrap()];
    assert_eq!(*readers, [user("tool")]);
    let target = own.target(&format!("{A}db_roles = {{ reader = [\"app\"] }}\n"));
    assert_eq!(target.db_roles.len(), 1);
    // The cluster knows better than what all targets have in common.
    let target = own.target(&format!(
        "{A}[defaults]\ndb_users = [\"other\"]\naccount_id = \"999999999999\"\n"
    ));
    assert_eq!(target.account_id.as_deref(), Some("111122223333"));
    assert_eq!(target.users, Users::Listed(vec![user("app"), user("tool")]));
    // One that the manifest does not speak of is as it was.
    let b = "[targets.b]\nendpoint = \"b.abc.us-east-1.rds.amazonaws.com\"\ndb_users = [\"x\"]\n";
    assert_eq!(own.target(b).users, Users::Listed(vec![user("x")]));
}

#[test]
fn a_contradiction_names_both_places() {
    let own = Own::new(MANIFEST);
    let found = own.mistakes(&format!(
        "{A}db_users = [\"app\", \"dbproxy_provisioner\"]\ndatabases = [\"app\", \"other\"]\n\
         account_id = \"999999999999\"\nregion = \"eu-west-1\"\nresource_id = \"cluster-X\"\n\
         db_roles = {{ owner = [\"app\"], app_owner = [\"tool\"] }}\n\
         [targets.a.users.old]\ncredential = {{ kind = \"passthrough\" }}\n"
    ));
    for expected in [
        "targets.a.db_users: `dbproxy_provisioner` is none of clusters.a.users of M",
        "targets.a.databases: `other` is none of clusters.a.databases of M",
        "targets.a.account_id: `999999999999` is none of clusters.a.account_id of M",
        "targets.a.region: `eu-west-1` (by the target) is not `us-east-1`, which is clusters.a.region of M",
        "targets.a.resource_id: `cluster-X` is none of clusters.a.resource_ids of M",
        "targets.a.db_roles: `owner` is none of clusters.a.roles of M",
        "targets.a.db_roles: `tool` does not have the role `app_owner` by clusters.a.users of M",
        "targets.a.users: `old` is none of clusters.a.users of M",
    ] {
        assert!(
            found.iter().any(|line| line == expected),
            "{expected}\n{found:#?}"
        );
    }
    let any = own.mistakes(&format!("{A}db_users = [\"*\"]\n"));
    assert_eq!(any, ["targets.a.db_users: `*` is none of clusters.a.users of M"]);
}

/// It may have a credential of its own, and is nobody's all the same.
#[test]
fn nobody_is_offered_the_provisioner() {
    let own = Own::new(MANIFEST);
    let with =
        "[targets.a.users.dbproxy_provisioner]\ncredential = { kind = \"secret\", secret_id = \"x\" }\n";
    let target = own.target(&format!("{A}{with}"));
    assert!(!target.users.lists(&user("dbproxy_provisioner")));
    assert!(target.user_credentials.contains_key(&user("dbproxy_provisioner")));
}

#[test]
fn a_manifest_with_a_mistake_is_told_alone() {
    let own = Own::new("[clusters.a]\nnope = 1\n");
    let found = own.mistakes(&format!("max_clients = 0\n{A}"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found.iter().any(|line| line.starts_with("manifest: M: ")),
        "{found:?}"
    );
    let gone = Own::new("");
    std::fs::remove_file(&gone.0).unwrap();
    let found = gone.mistakes(A);
    assert!(
        found[0].starts_with("manifest: cannot read the access manifest `M`: "),
        "{found:?}"
    );
    let table = "[provision]\ntake_back = true\n".parse().unwrap();
    let alone = check(table, CommandLine::default(), &|_| None).unwrap_err();
    assert!(alone.lines()[0].starts_with("provision.take_back: goes with `manifest`"));
}

#[test]
fn another_manifest_makes_other_targets_or_none() {
    let own = Own::new(MANIFEST);
    let settings = own.check(&format!("{A}databases = [\"app\"]\n")).unwrap();
    let setting = settings.manifest.unwrap();
    let without = MANIFEST.replace("[clusters.a.users.app]", "[clusters.a.users.new]");
    let (manifest, targets) = setting.with(without, &|_| None).unwrap();
    assert_eq!(manifest.clusters.len(), 1);
    assert_eq!(targets[0].users, Users::Listed(vec![user("new"), user("tool")]));
    // What the target says itself still has to be so.
    let without = MANIFEST.replace("databases.app]", "databases.b]\nowner = \"app_owner\"");
    let told = setting.with(without, &|_| None).unwrap_err();
    assert!(told.contains("`app` is none of clusters.a.databases"), "{told}");
    let told = setting.with("x = 1".to_owned(), &|_| None).unwrap_err();
    assert!(told.contains("the access manifest has a mistake"), "{told}");
    let gone = MANIFEST.replace("clusters.a", "clusters.b");
    let told = setting.with(gone, &|_| None).unwrap_err();
    assert!(told.contains("targets.a.db_users: lists nobody"), "{told}");
}

const B: &str = "[targets.b]\nendpoint = \"a.cluster-ro-abc.us-east-1.rds.amazonaws.com\"\n";

/// A reader endpoint under another name is a way into the same cluster.
#[test]
fn a_second_target_of_a_cluster_is_as_the_first() {
    let own = Own::new(MANIFEST);
    let first = own.target(A);
    for by in ["cluster = \"a\"", "resource_id = \"cluster-ABC\""] {
        let second = own.target(&format!("{B}{by}\n"));
        assert_eq!(second.cluster, Some(first.name.clone()));
        assert_eq!(second.declared, first.declared);
        assert_eq!(second.users, first.users);
        assert_eq!(second.db_roles, first.db_roles);
        // The provisioner, those who break glass, or anybody at all.
        for nobody in ["dbproxy_provisioner", "*"] {
            let found = own.mistakes(&format!("{B}{by}\ndb_users = [\"{nobody}\"]\n"));
            let line = format!("targets.b.db_users: `{nobody}` is none of clusters.a.users of M");
            assert_eq!(found, [line]);
        }
    }
    assert_eq!(first.cluster, Some(first.name));
}

#[test]
fn a_cluster_that_is_named_must_be_there() {
    let own = Own::new(MANIFEST);
    let found = own.mistakes(&format!("{B}cluster = \"z\"\ndb_users = [\"x\"]\n"));
    assert_eq!(found, ["targets.b.cluster: `z` is no cluster of M; it has a"]);
    let found = own.mistakes(&format!("{B}cluster = \"a\"\nresource_id = \"cluster-X\"\n"));
    assert_eq!(
        found,
        ["targets.b.resource_id: `cluster-X` is none of clusters.a.resource_ids of M"]
    );
    let broker = "[targets.b]\nendpoint = \"broker.example\"\ncredential = { kind = \"broker\" }\n";
    let found = own.mistakes(&format!("{broker}cluster = \"a\"\n"));
    assert!(
        found[0].starts_with("targets.b.cluster: is not for a broker"),
        "{found:?}"
    );
    let text = format!("{B}db_users = [\"x\"]\ncluster = \"a\"\n");
    let alone = check(text.parse().unwrap(), CommandLine::default(), &|_| None).unwrap_err();
    assert!(alone.lines()[0].starts_with("targets.b.cluster: goes with `manifest`"));
}
