//! `dbproxy policy …` on the shipped policies, and on sets with mistakes.

use crate::support::proxy::dbproxy;
use crate::support::sandbox::root;
use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};

/// The files of the shipped set.
const SHIPPED: [&str; 5] = ["application", "monitoring", "oncall", "reporting", "tenants"];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// In the root of the repository, where the shipped configuration finds its policies.
fn policy(arguments: &[&str]) -> Output {
    let mut command = dbproxy(&[]);
    command.current_dir(root()).arg("policy").args(arguments);
    command.output().unwrap()
}

fn shipped(arguments: &[&str]) -> Output {
    policy(&[arguments, &["--config", "policies/dbproxy.toml"]].concat())
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// A directory of policies and a configuration for it, gone after the test.
struct Own {
    dir: PathBuf,
    config: String,
}

impl Own {
    fn new(policies: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("policy-{}-{number}", std::process::id());
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let shipped = std::fs::read_to_string(root().join("policies/dbproxy.toml")).unwrap();
        let config = shipped.replace("\"policies\"", &format!("{:?}", dir.to_str().unwrap()));
        let own = Self {
            config: dir.join("dbproxy.toml").to_str().unwrap().to_owned(),
            dir,
        };
        own.write("own.cedar", policies);
        own.write("dbproxy.toml", &config);
        own
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.join(name), text).unwrap();
    }

    fn dir(&self) -> &str {
        self.dir.to_str().unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        policy(&[arguments, &["--config", &self.config]].concat())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A caller and one case of it; `{}` are further keys.
fn one_case(further: &str) -> String {
    format!(
        "[[caller]]\nname = \"me\"\nprincipal = 'LocalUser::\"local\"'\n\
         [[case]]\nname = \"one\"\ncaller = \"me\"\ntarget = \"orders\"\ndb_user = \"app_ro\"\n{further}\n"
    )
}

const LOCAL: &str = "@id(\"local\") permit (principal is LocalUser, action, resource is DbUser);\n";
/// Cedar's numbers do not wrap.
const FAULTY: &str = "@id(\"faulty\")\nforbid (principal, action == Action::\"replicate\", resource)\n\
                      when { 9223372036854775807 + context.hour > 0 };\n";

#[test]
fn the_shipped_policies_are_sound_and_every_permit_is_tested() {
    let output = shipped(&["check", "--strict"]);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(text(&output.stdout), "10 policies, 0 warnings\n");
    assert_eq!(output.status.code(), Some(0));
    let alone = policy(&["check", "policies", "-o", "json"]);
    assert_eq!(json(&alone)["policies"], 10);
}

#[test]
fn the_shipped_cases_are_decided_as_they_say() {
    let output = shipped(&["test"]);
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}{}", text(&output.stderr));
    assert!(told.ends_with(" cases passed\n"), "{told}");
    assert_eq!(
        json(&shipped(&["test", "-o", "json"]))["failed"],
        serde_json::json!([])
    );
}

/// Every policy is what some case stands on: of a set without it, cases fail.
#[test]
fn the_shipped_cases_notice_when_a_policy_is_gone() {
    let mut removed = 0;
    for file in SHIPPED {
        let source = std::fs::read_to_string(root().join(format!("policies/{file}.cedar"))).unwrap();
        let parts: Vec<&str> = source.split("@id(").collect();
        for gone in 1..parts.len() {
            let own = Own::new("");
            for other in SHIPPED {
                let name = format!("{other}.cedar");
                std::fs::copy(root().join("policies").join(&name), own.dir.join(&name)).unwrap();
            }
            // It stays known by its id, and is about nobody.
            let nobody = "permit (principal == PasswordUser::\"nobody\", action, resource is DbUser);\n";
            let id = parts[gone].split(')').next().unwrap();
            let comments = parts[gone]
                .rsplit_once("};")
                .or(parts[gone].rsplit_once(");"))
                .unwrap()
                .1;
            let changed = format!("{id})\n{nobody}{comments}");
            let mut parts = parts.clone();
            parts[gone] = &changed;
            own.write(&format!("{file}.cedar"), &parts.join("@id("));
            std::fs::remove_file(own.dir.join("own.cedar")).unwrap();
            let cases = root().join("policies/tests.toml");
            let output = own.run(&["test", "--cases", cases.to_str().unwrap()]);
            let told = text(&output.stdout);
            assert_eq!(
                output.status.code(),
                Some(1),
                "{id} gone: {told}{}",
                text(&output.stderr)
            );
            assert!(told.contains(" failed\n"), "{told}");
            removed += 1;
        }
    }
    assert_eq!(removed, 10);
}

#[test]
fn the_matrix_of_the_shipped_policies_is_current() {
    let output = shipped(&["matrix"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    let golden = root().join("policies/matrix.txt");
    if std::env::var("UPDATE_DOCS").is_ok() {
        std::fs::write(&golden, &printed).unwrap();
    }
    let written = std::fs::read_to_string(golden).unwrap_or_default();
    assert!(
        printed == written,
        "policies/matrix.txt is out of date: read what has changed, then run `UPDATE_DOCS=1 cargo test --test it policy`\n{printed}"
    );
}

#[test]
fn the_matrix_can_be_asked_for_another_day_and_place() {
    let may_be_owner = |arguments: &[&str]| {
        let output = shipped(&[&["matrix", "-o", "json"], arguments].concat());
        let cells = json(&output);
        let cells = cells.as_array().unwrap().iter();
        cells
            .filter(|cell| {
                cell["db_user"] == "orders_owner" && cell["actions"] == serde_json::json!(["connect"])
            })
            .map(|cell| cell["caller"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(may_be_owner(&["--now", "2026-01-10T10:00:00Z"]), ["ada, on call"]);
    assert_eq!(may_be_owner(&["--source", "192.0.2.1"]), [""; 0]);
    assert_eq!(may_be_owner(&["--no-tls"]), [""; 0]);
    assert_eq!(may_be_owner(&[]).len(), 3);
}

#[test]
fn cells_tell_permits_denials_and_faults_apart() {
    let own = Own::new(&format!("{LOCAL}{FAULTY}"));
    own.write(
        "tests.toml",
        "[[caller]]\nname = \"me\"\nprincipal = 'LocalUser::\"uid:7\"'\n",
    );
    let table = text(&own.run(&["matrix"]).stdout);
    assert!(
        table.lines().nth(1).unwrap().starts_with("me      !  "),
        "{table}"
    );
    own.write("own.cedar", LOCAL);
    let table = text(&own.run(&["matrix"]).stdout);
    assert!(
        table.lines().nth(1).unwrap().contains("connect+replicate"),
        "{table}"
    );
    own.write(
        "dbproxy.toml",
        &std::fs::read_to_string(&own.config)
            .unwrap()
            .replace("manifest = \"policies/access.toml\"", "")
            .split("[targets.tenants]")
            .next()
            .unwrap()
            .replace(
                "default_database",
                "db_users = [\"*\"]\n\
             db_roles = { a = [\"app_rw\"], b = [\"app_ro\", \"reporting\"], c = [\"orders_owner\"] }\n\
             default_database",
            ),
    );
    let table = text(&own.run(&["matrix"]).stdout);
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(
        header,
        ["orders", "app_ro", "app_rw", "orders_owner", "reporting", "*"],
        "{table}"
    );
}

const APP: &str = "IamRole::\"arn:aws:iam::111122223333:role/orders-app\"";
const ADA: &str = "OidcUser::\"https://login.example.org#ada\"";

fn explain(principal: &str, db_user: &str, further: &[&str]) -> Output {
    let asked = [
        "explain",
        "--principal",
        principal,
        "--target",
        "orders",
        "--db-user",
        db_user,
    ];
    shipped(&[&asked, further].concat())
}

#[test]
fn a_permit_is_explained_by_its_policies() {
    let output = explain(APP, "app_rw", &["--source", "10.1.2.3"]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let by = "permit, by:\n  app-read-write (policies/application.cedar:2): The orders application reads and writes\n\
              session: without a limit\nasked:\n";
    assert!(told.starts_with(by), "{told}");
    assert!(told.contains("  proof        aws-iam\n"), "{told}");
    let wednesday = [
        "--group",
        "oidc:oncall",
        "--mfa",
        "--source",
        "10.1.2.3",
        "--now",
        "2026-01-07T10:00:00Z",
    ];
    let output = explain(ADA, "orders_owner", &[&wednesday[..], &["-o", "json"]].concat());
    let answer = json(&output);
    assert_eq!(answer["decision"], "permit");
    assert_eq!(answer["policies"][0]["place"], "policies/oncall.cedar:2");
    assert_eq!(answer["max_session_seconds"], 7_200);
    assert_eq!(
        answer["asked"]["groups"],
        serde_json::json!(["oidc:oncall", "weekend"])
    );
    assert_eq!(
        (&answer["asked"]["weekday"], &answer["asked"]["hour"]),
        (&3.into(), &10.into())
    );
}

#[test]
fn a_denial_is_explained_by_what_was_missing() {
    let output = explain(APP, "app_rw", &[]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{told}");
    let why = "deny: no policy permits it\nthese fit but for their condition:\n  \
               app-read-write (policies/application.cedar:2): The orders application reads and writes\n    \
               does not hold: when { context has source }\n\
               the caller may be none of the db users that the target lists\n";
    assert!(told.starts_with(why), "{told}");
    let output = explain(ADA, "orders_owner", &["--group", "oidc:oncall", "--mfa"]);
    let told = text(&output.stdout);
    assert!(
        told.starts_with("deny, by:\n  owner-from-inside (policies/oncall.cedar:"),
        "{told}"
    );
    let output = explain(ADA, "app_rw", &["--group", "oidc:data"]);
    assert!(text(&output.stdout).contains("\nthe caller may be: app_ro, reporting\n"));
    // Which databases there are is for those who may use one.
    let output = explain(APP, "app_rw", &["--database", "postgres"]);
    assert!(text(&output.stdout).starts_with("deny: no policy permits it\n"));
    let output = explain(APP, "app_rw", &["--database", "postgres", "--source", "10.1.2.3"]);
    assert!(
        text(&output.stdout).contains("is not one of target \"orders\"\nthe target lists: app, archive\n")
    );
}

#[test]
fn a_client_that_names_no_db_user_is_told_whom_it_gets() {
    let output = explain(APP, "jane", &["--source", "10.1.2.3"]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        told.starts_with(
            "permit: \"jane\" is not a db user of target \"orders\"; the client becomes \"app_rw\"\n"
        ),
        "{told}"
    );
    let output = explain(ADA, "ada", &["--group", "oidc:data"]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("you may be several\nthe caller may be: app_ro, reporting\n"),
        "{told}"
    );
}

/// The role that a session begins with is part of the question, in a case as in `explain`.
#[test]
fn a_role_is_asked_about_as_the_server_reads_it() {
    let forbid = "@id(\"no-owner\") forbid (principal, action, resource)\n\
                  when { context has role && context.role == \"owner\" };\n";
    let own = Own::new(&format!("{LOCAL}{forbid}"));
    let asked = "explain --principal LocalUser::\"local\" --target orders --db-user app_ro -o json --role";
    for (role, decision, shown) in [
        ("owner", "deny", serde_json::json!("owner")),
        ("Owner", "permit", serde_json::json!("Owner")),
        ("none", "permit", serde_json::json!(null)),
        ("", "permit", serde_json::json!(null)),
    ] {
        own.write(
            "tests.toml",
            &one_case(&format!("role = \"{role}\"\ndecision = \"{decision}\"")),
        );
        let output = own.run(&["test"]);
        assert!(output.status.success(), "{role}: {}", text(&output.stdout));
        let arguments: Vec<&str> = asked.split(' ').chain([role]).collect();
        let answer = json(&own.run(&arguments));
        assert_eq!(answer["decision"], decision, "{role}");
        assert_eq!(answer["asked"]["role"], shown);
    }
    let too_long = "x".repeat(64);
    own.write(
        "tests.toml",
        &one_case(&format!("role = \"{too_long}\"\ndecision = \"permit\"")),
    );
    let output = own.run(&["test"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("tests.toml:9:8: error: name is 64 bytes long"),
        "{told}"
    );
    let arguments: Vec<&str> = asked.split(' ').chain([too_long.as_str()]).collect();
    let told = text(&own.run(&arguments).stderr);
    assert!(told.contains("--role: name is 64 bytes long"), "{told}");
}

#[test]
fn a_question_that_cannot_be_put_ends_with_1() {
    for (arguments, what) in [
        (&["--principal", "jane"][..], "is not a principal such as"),
        (&["--principal", APP, "--source", "here"], "invalid IP address"),
        (&["--principal", APP, "--now", "soon"], "--now"),
        (
            &["--principal", APP, "--proof", "magic"],
            "is not a kind of proof: local, aws-iam",
        ),
        (
            &["--principal", APP, "--target", "bills"],
            "no such target; the configuration has orders",
        ),
        (
            &["--principal", APP, "--database", ""],
            "--database: name is empty",
        ),
    ] {
        let asked = ["explain", "--db-user", "app_ro"];
        let target: &[&str] = match arguments.contains(&"--target") {
            true => &[],
            false => &["--target", "orders"],
        };
        let output = shipped(&[&asked, target, arguments].concat());
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(what), "{told}");
    }
}

#[test]
fn mistakes_of_a_set_are_shown_where_they_are() {
    let own = Own::new("@id(\"a\")\npermit (principal, action, resource) when { context.mfaa };\n");
    let place = format!("{}/own.cedar:2:45: error: ", own.dir());
    let mark = "\n 2 | permit (principal, action, resource) when { context.mfaa };\n   |                                             \
                ^^^^^^^^^^^^\n   help: did you mean `mfa`?\n";
    for output in [own.run(&["check"]), policy(&["check", own.dir()])] {
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(told.starts_with(&place) && told.ends_with(mark), "{told}");
        assert_eq!(text(&output.stdout), "1 error, 0 warnings\n");
    }
    let problem = &json(&own.run(&["check", "-o", "json"]))["problems"][0];
    assert_eq!((&problem["line"], &problem["column"]), (&2.into(), &45.into()));
    // What else is wrong with the configuration is told with it, and the set's mistakes only once.
    let config = std::fs::read_to_string(&own.config).unwrap();
    own.write("dbproxy.toml", &format!("lisen = 1\n{config}"));
    let told = text(&own.run(&["check"]).stderr);
    assert!(
        told.ends_with("\nconfiguration: error: lisen: unknown key; did you mean `listen`?\n"),
        "{told}"
    );
    assert_eq!(told.matches("error").count(), 2, "{told}");
}

#[test]
fn what_is_odd_is_warned_of() {
    let own = Own::new(
        "@id(\"all\") permit (principal, action, resource);\n\n\
         @id(\"misspelt\")\npermit (principal is LocalUser, action, resource == DbUser::\"order/app_ro\");\n",
    );
    own.write(
        "tests.toml",
        &one_case("decision = \"permit\"\npolicies = [\"all\"]"),
    );
    let output = own.run(&["check"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    for part in [
        "warning: policy `all` permits everybody, and every db user",
        "warning: policy `misspelt` names DbUser::\"order/app_ro\", which the configuration does not have",
        "own.cedar:3:1: warning: policy `misspelt`: no case is decided by it\n 3 | @id(\"misspelt\")\n   | ^^^^",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert!(!told.contains("`all`: no case"), "{told}");
    assert_eq!(text(&output.stdout), "2 policies, 3 warnings\n");
    assert_eq!(own.run(&["check", "--strict"]).status.code(), Some(1));
}

#[test]
fn a_case_that_is_decided_otherwise_says_what_it_got() {
    let own = Own::new(&format!("{LOCAL}{FAULTY}"));
    let file = own.dir.join("tests.toml").to_str().unwrap().to_owned();
    for (further, told) in [
        ("decision = \"deny\"", "expected deny; got permit by local"),
        (
            "decision = \"permit\"\npolicies = []",
            "expected permit by no policy; got permit by local",
        ),
        (
            "decision = \"permit\"\nmax_session = \"8h\"",
            "expected permit for at most 8h; got permit by local",
        ),
        (
            "decision = \"error\"\naction = \"replicate\"\nerrors = 2",
            "expected error with 2 errors; got error (1: ",
        ),
    ] {
        own.write("tests.toml", &one_case(further));
        let output = own.run(&["test"]);
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{shown}");
        assert!(shown.starts_with(&format!("{file}:4: one: {told}")), "{shown}");
        assert!(shown.ends_with("\n0 cases passed, 1 failed\n"), "{shown}");
    }
    own.write(
        "tests.toml",
        &one_case("decision = \"error\"\naction = \"replicate\"\nerrors = 1"),
    );
    assert_eq!(text(&own.run(&["test"]).stdout), "1 case passed\n");
    own.write(
        "tests.toml",
        &one_case("decision = \"permit\"\nnow = \"2026-01-10T10:00:00Z\""),
    );
    assert_eq!(text(&own.run(&["test"]).stdout), "1 case passed\n");
}

#[test]
fn all_mistakes_of_a_file_of_cases_are_told_at_once() {
    let own = Own::new(LOCAL);
    let further = "decision = \"allow\"\nnow = \"soon\"\nsource = \"here\"\npolicies = [\"nope\"]\nmax_session = \"long\"\n\
                   errors = -1\naction = \"dance\"\ncolour = 1\n\
                   [[case]]\nname = \"one\"\ncaller = \"you\"\ntarget = \"bills\"\ndecision = \"deny\"\n\
                   [[caller]]\nname = \"you two\"\nprincipal = \"jane\"\nproof = \"magic\"";
    own.write("tests.toml", &one_case(further));
    let output = own.run(&["test"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    for part in [
        ":9:12: error: unknown variant `allow`, expected one of `permit`, `deny`, `error`\n 9 | decision = \"allow\"\n   |            ^^^^^^^\n",
        ":10:7: error: `soon` is not a time",
        ":11:10: error: `here` is not an IP address",
        ":12:13: error: no policy has this id",
        ":13:15: error: `long` is not a duration",
        ":14:10: error: ",
        ":15:10: error: `dance` is not an action: connect, replicate",
        ":16:1: error: unknown field `colour`",
        ":17:1: error: `db_user` is missing",
        ":18:8: error: another case has this name",
        ":19:10: error: no [[caller]] has this name",
        ":20:10: error: no such target; the configuration has orders",
        ":24:13: error: `jane` is not a principal",
        ":25:9: error: `magic` is not a kind of proof",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert_eq!(told.matches(": error: ").count(), 14, "{told}");
    own.write("tests.toml", "[[case]\n");
    assert!(
        text(&own.run(&["test"]).stderr).contains("tests.toml:1:"),
        "TOML's own mistakes have a place"
    );
    own.write("tests.toml", "");
    assert!(text(&own.run(&["test"]).stderr).contains("has no [[case]], so nothing was tested"));
    std::fs::remove_file(own.dir.join("tests.toml")).unwrap();
    assert!(text(&own.run(&["matrix"]).stderr).contains("tests.toml: write it, or name another"));
    // A case that nobody can read is a mistake of the set's directory, too.
    own.write("tests.toml", &one_case("decision = \"allow\""));
    assert_eq!(own.run(&["check"]).status.code(), Some(1));
}

#[test]
fn without_policies_there_is_the_built_in_rule() {
    let own = Own::new(LOCAL);
    own.write(
        "dbproxy.toml",
        "[targets.orders]\nendpoint = \"orders.cluster-abcdefghijkl.eu-west-1.rds.amazonaws.com\"\ndb_users = [\"app_ro\"]\n",
    );
    let output = own.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("the built-in rule is in force: name a directory"));
    own.write("tests.toml", &one_case("decision = \"permit\""));
    let cases = own.dir.join("tests.toml");
    let output = own.run(&["test", "--cases", cases.to_str().unwrap()]);
    assert_eq!(
        text(&output.stdout),
        "1 case passed\n",
        "{}",
        text(&output.stderr)
    );
    assert!(text(&own.run(&["test"]).stderr).contains("name one with --cases"));
    let asked = [
        "explain",
        "--principal",
        "LocalUser::\"local\"",
        "--target",
        "orders",
        "--db-user",
        "app_ro",
    ];
    let told = text(&own.run(&asked).stdout);
    assert!(
        told.starts_with("permit, by:\n  builtin:local-caller-any-listed-user (built in)\n"),
        "{told}"
    );
}

#[test]
fn the_schema_is_printed_as_it_is_shipped() {
    let shipped = std::fs::read(root().join("policies/schema.cedarschema")).unwrap();
    assert_eq!(policy(&["schema"]).stdout, shipped);
    assert!(json(&policy(&["schema", "-o", "json"]))[""]["actions"]["connect"].is_object());
}

/// Whoever has none yet reads what to write.
#[test]
fn without_a_file_of_cases_it_is_said_what_to_write() {
    let own = Own::new(LOCAL);
    for command in ["test", "matrix"] {
        let output = own.run(&[command]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        for part in [
            "tests.toml",
            "--cases",
            "[[caller]]",
            "[[case]]",
            "docs/policy.md",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let start = told.find("[[caller]]").unwrap();
        let shown: Vec<&str> = told[start..].lines().map(str::trim).collect();
        own.write("example.toml", &shown.join("\n"));
        let example = own.dir.join("example.toml");
        let output = own.run(&["matrix", "--cases", example.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
    }
}

/// A manifest of the test's own, of which a grant ends.
fn with_an_end() -> Own {
    let own =
        Own::new("@id(\"m\") permit (principal, action, resource is DbUser) when { context.granted };\n");
    let manifest = own.dir.join("access.toml");
    let shipped = std::fs::read_to_string(root().join("policies/access.toml")).unwrap();
    let limited = shipped.replace(
        "roles = [\"read_write\"]",
        "roles = [{ role = \"read_write\", until = 2026-03-01T00:00:00Z }]",
    );
    std::fs::write(&manifest, limited).unwrap();
    let config = std::fs::read_to_string(&own.config).unwrap();
    let path = format!("{:?}", manifest.to_str().unwrap());
    own.write("dbproxy.toml", &config.replace("\"policies/access.toml\"", &path));
    own
}

#[test]
fn explain_says_when_a_grant_has_ended() {
    let own = with_an_end();
    let asked = |now: &str| {
        let asked = [
            "explain",
            "--principal",
            APP,
            "--target",
            "orders",
            "--db-user",
            "app_rw",
            "--now",
            now,
        ];
        own.run(&asked)
    };
    let before = asked("2026-02-28T23:00:00Z");
    let told = text(&before.stdout);
    assert!(
        told.starts_with("permit, by:\n  m "),
        "{told}{}",
        text(&before.stderr)
    );
    assert!(told.contains("session: at most 1h\n"), "{told}");
    assert!(
        told.contains("  db_roles     read_write\n  ended        none\n"),
        "{told}"
    );
    let after = asked("2026-03-01T00:00:00Z");
    let told = text(&after.stdout);
    assert_eq!(after.status.code(), Some(2), "{told}");
    let first = "deny: the grant of \"read_write\" to db user \"app_rw\" ended at 2026-03-01T00:00:00Z\n";
    assert!(told.starts_with(first), "{told}");
    assert!(
        told.contains("  db_roles     none\n  ended        read_write at 2026-03-01T00:00:00Z\n"),
        "{told}"
    );
    // Who would not have been let in anyway is told nothing of it.
    let stranger = "IamRole::\"arn:aws:iam::111122223333:role/stranger\"";
    let told = own.run(&[
        "explain",
        "--principal",
        stranger,
        "--target",
        "orders",
        "--db-user",
        "app_rw",
        "--now",
        "2026-03-02T00:00:00Z",
    ]);
    assert!(
        text(&told.stdout).starts_with("deny: no policy permits it\n"),
        "{told:?}"
    );
}

#[test]
fn commands_of_provisioning_find_the_manifest_of_the_configuration() {
    let own = with_an_end();
    let mut command = dbproxy(&[]);
    // Nowhere near the shipped one.
    command
        .current_dir(&own.dir)
        .args(["grants", "--config", &own.config]);
    std::fs::create_dir_all(own.dir.join("policies")).unwrap();
    let output = command.output().unwrap();
    let told = text(&output.stdout);
    assert!(
        told.contains("2026-03-01T00:00:00Z"),
        "{told}{}",
        text(&output.stderr)
    );
    let mut command = dbproxy(&[]);
    command
        .current_dir(root())
        .env("DBPROXY_MANIFEST", "policies/access.toml");
    command.args(["grants", "--config", &own.config]);
    let told = text(&command.output().unwrap().stdout);
    assert!(
        told.contains("read_write") && !told.contains("2026-03-01"),
        "{told}"
    );
}
