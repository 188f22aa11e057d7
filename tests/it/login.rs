//! The main job: whoever the target lists gets in, as that user, over TLS, with everything the
//! client asked for, whatever the kind of credential.

use crate::support::raw::{backend_key, message, startup};
use crate::support::{Proxy, Raw, Sandbox, psql};
use std::fs;

const IAM_USERS: &str = r#"db_users = ["app_ro", "app_rw", "sandbox_admin"]"#;

fn who(proxy: &Proxy, user: &str) -> String {
    proxy.query(
        user,
        "select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()",
    )
}

#[test]
fn db_users_log_in_by_iam_without_a_password_of_theirs() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = Proxy::start(sandbox, &sandbox.target("orders", IAM_USERS));
    assert_eq!(who(&proxy, "app_ro"), "app_ro|t");
    assert_eq!(who(&proxy, "app_rw"), "app_rw|t");
    assert_eq!(who(&proxy, "sandbox_admin"), "sandbox_admin|t");
    let refused = proxy.psql("app_ro", "delete from items");
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        error.contains("42501") && error.contains("permission denied for table items"),
        "{error}"
    );
    proxy.wait_for_metric("dbproxy_sessions_open", 0.0);
    assert_eq!(proxy.metric("dbproxy_tokens_total{event=\"minted\"}"), 3.0);
    assert_eq!(proxy.metric("dbproxy_tokens_total{event=\"cached\"}"), 1.0);
}

#[test]
fn a_star_lists_any_db_user_and_any_database_is_open() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = Proxy::start(sandbox, &sandbox.target("orders", "db_users = [\"*\"]"));
    assert_eq!(who(&proxy, "app_ro"), "app_ro|t");
    let connection = format!(
        "host=127.0.0.1 port={} user=sandbox_admin dbname=postgres",
        proxy.port()
    );
    let output = psql(&connection, &[], "select current_database()");
    assert_eq!(output.stdout, b"postgres\n");
}

#[test]
fn a_client_that_names_no_database_gets_the_default() {
    let (sandbox, _turn) = Sandbox::shared();
    let lines = "db_users = [\"app_ro\"]\ndefault_database = \"app\"";
    let proxy = Proxy::start(sandbox, &sandbox.target("orders", lines));
    let connection = format!("host=127.0.0.1 port={} user=app_ro", proxy.port());
    assert_eq!(
        psql(&connection, &[], "select current_database()").stdout,
        b"app\n"
    );
    let connection = format!("{connection} dbname=postgres");
    assert_eq!(
        psql(&connection, &[], "select current_database()").stdout,
        b"postgres\n"
    );
}

#[test]
fn the_reader_is_reached_by_its_own_name() {
    let (sandbox, _turn) = Sandbox::shared();
    let reader = sandbox
        .target("reader", "db_users = [\"app_ro\"]")
        .replace(
            &sandbox.text("/cluster/writer/host"),
            &sandbox.text("/cluster/reader/host"),
        )
        .replace(
            &sandbox.text("/cluster/writer/address"),
            &sandbox.text("/cluster/reader/address"),
        );
    let proxy = Proxy::start(sandbox, &reader);
    assert_eq!(proxy.query("app_ro", "select pg_is_in_recovery()"), "t");
}

#[test]
fn several_targets_have_their_own_ports() {
    let (sandbox, _turn) = Sandbox::shared();
    let config =
        sandbox.target("a", "db_users = [\"app_ro\"]") + &sandbox.target("b", "db_users = [\"app_rw\"]");
    let proxy = Proxy::start(sandbox, &config);
    for (number, user) in [(0, "app_ro"), (1, "app_rw")] {
        let connection = format!(
            "host=127.0.0.1 port={} user={user} dbname=app",
            proxy.port_of(number)
        );
        assert_eq!(
            psql(&connection, &[], "select current_user").stdout,
            format!("{user}\n").as_bytes()
        );
    }
}

/// The client's parameters reach the server byte for byte, and the server's own word comes back.
#[test]
fn startup_parameters_pass_both_ways() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = Proxy::start(sandbox, &sandbox.target("orders", IAM_USERS));
    let mut raw = Raw::connect(proxy.port());
    raw.send(&startup(
        3 << 16,
        &[
            ("user", "app_ro"),
            ("database", "app"),
            ("application_name", "it's a \"name\""),
            ("options", r#"-c search_path="a\ b",public --work_mem=5MB"#),
            ("DateStyle", "Postgres, MDY"),
            ("client_encoding", "LATIN1"),
        ],
    ));
    let greeting = raw.read_until(b'Z');
    let status = |name: &str| {
        let found = greeting.iter().filter(|m| m.tag == b'S').find_map(|m| {
            let mut parts = m.body.split(|b| *b == 0);
            (parts.next() == Some(name.as_bytes()))
                .then(|| String::from_utf8_lossy(parts.next().unwrap()).into_owned())
        });
        found.unwrap_or_default()
    };
    assert_eq!(status("application_name"), "it's a \"name\"");
    assert_eq!(status("DateStyle"), "Postgres, MDY");
    assert_eq!(status("client_encoding"), "LATIN1");
    assert!(status("server_version").starts_with("15."));
    raw.query("select current_setting('search_path'), current_setting('work_mem'), pg_backend_pid()");
    let answer = raw.read_until(b'Z');
    let row = answer.iter().find(|m| m.tag == b'D').unwrap();
    let text = String::from_utf8_lossy(&row.body);
    assert!(
        text.contains("\"a b\",public") && text.contains("5MB"),
        "{text:?}"
    );
    let pid = i32::from_be_bytes(backend_key(&greeting)[..4].try_into().unwrap());
    assert!(
        text.ends_with(&pid.to_string()),
        "the server's own process id: {pid} in {text:?}"
    );
}

#[test]
fn replication_connections_pass() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = Proxy::start(sandbox, &sandbox.target("orders", IAM_USERS));
    let mut raw = Raw::connect(proxy.port());
    raw.send(&startup(
        3 << 16,
        &[
            ("user", "sandbox_admin"),
            ("database", "app"),
            ("replication", "database"),
        ],
    ));
    raw.read_until(b'Z');
    raw.query("IDENTIFY_SYSTEM");
    assert!(raw.read_until(b'Z').iter().any(|m| m.tag == b'D'));
}

#[test]
fn stored_passwords_log_in_by_every_method() {
    let (sandbox, _turn) = Sandbox::shared();
    let file = sandbox.dir.join("password-for-md5");
    fs::write(&file, format!("{}\n", sandbox.text("/passwords/app_md5"))).unwrap();
    let users = format!(
        "[targets.orders.users.app_password]\ncredential = {{ kind = \"secret\", secret_id = \"{}\" }}\n\
         [targets.orders.users.app_md5]\ncredential = {{ kind = \"password_file\", file = \"{}\" }}\n\
         [targets.orders.users.app_cleartext]\ncredential = {{ kind = \"password_env\", variable = \"HOME_MADE\" }}\n",
        sandbox.text("/aws/secret_arn"),
        file.display(),
    );
    let config = sandbox.target("orders", "") + &users;
    let path = crate::support::proxy::config_file(sandbox, &config);
    // The variable is missing: said at start, with its key.
    let output = crate::support::proxy::dbproxy(&[])
        .arg("--config")
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains("targets.orders.users.app_cleartext.credential.variable"),
        "{error}"
    );

    let config = config.replace("\"HOME_MADE\"", "\"AWS_REGION\"");
    let proxy = Proxy::start(sandbox, &config);
    assert_eq!(who(&proxy, "app_password"), "app_password|t");
    assert_eq!(who(&proxy, "app_md5"), "app_md5|t");
    let wrong = proxy.psql("app_cleartext", "select 1");
    let error = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        error.contains("28P01") || error.contains("password authentication failed"),
        "{error}"
    );
    assert!(
        error.contains("The stored password of this db user is not the database's"),
        "{error}"
    );
    // A file is read at every login: a mended one works at once.
    fs::write(&file, "wrong").unwrap();
    assert!(!proxy.psql("app_md5", "select 1").status.success());
    fs::write(&file, sandbox.text("/passwords/app_md5")).unwrap();
    assert_eq!(who(&proxy, "app_md5"), "app_md5|t");
}

#[test]
fn passthrough_relays_the_servers_own_exchange() {
    let (sandbox, _turn) = Sandbox::shared();
    let users: String = ["app_password", "app_md5", "app_cleartext"]
        .map(|user| format!("[targets.orders.users.{user}]\ncredential = {{ kind = \"passthrough\" }}\n"))
        .concat();
    let proxy = Proxy::start(sandbox, &(sandbox.target("orders", "") + &users));
    for user in ["app_password", "app_md5", "app_cleartext"] {
        let connection = format!("host=127.0.0.1 port={} user={user} dbname=app", proxy.port());
        let password = sandbox.text(&format!("/passwords/{user}"));
        let output = psql(&connection, &[("PGPASSWORD", &password)], "select current_user");
        assert_eq!(
            output.stdout,
            format!("{user}\n").as_bytes(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let output = psql(&connection, &[("PGPASSWORD", "wrong")], "select 1");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("password authentication failed"), "{error}");
        assert!(
            error.contains("The database itself refused the password"),
            "{error}"
        );
    }
}

#[test]
fn a_role_is_assumed_for_exactly_one_db_user() {
    let sandbox = Sandbox::alone();
    let credential = format!(
        "db_users = [\"app_ro\"]\ncredential = {{ assume_role = {{ role_arn = \"{}\", source_identity = \"{{caller}}-x\", tags = {{ db_user = \"{{db_user}}\" }} }} }}",
        sandbox.text("/aws/role_connect")
    );
    let proxy = Proxy::start(&sandbox, &sandbox.target("orders", &credential));
    assert_eq!(who(&proxy, "app_ro"), "app_ro|t");
    let entry = sandbox.auth_log().last().unwrap().clone();
    let text = entry.to_string();
    assert!(
        text.contains("dbproxy-connect") && text.contains("local-x"),
        "{text}"
    );
    let arn = format!(
        "arn:aws:rds-db:us-east-1:{}:dbuser:{}/app_ro",
        sandbox.text("/aws/accounts/a"),
        sandbox.text("/cluster/resource_id")
    );
    assert!(entry["session_policy"].to_string().contains(&arn), "{text}");
    assert!(entry["session_tags"].to_string().contains("app_ro"), "{text}");
}

#[test]
fn a_role_of_another_account_needs_its_external_id() {
    let (sandbox, _turn) = Sandbox::shared();
    let credential = |external_id: &str| {
        let role = sandbox.text("/aws/role_cross");
        let line = format!(
            "db_users = [\"app_ro\"]\ncredential = {{ assume_role = {{ role_arn = \"{role}\"{external_id} }} }}"
        );
        sandbox.target("orders", &line)
    };
    let external_id = format!(", external_id = \"{}\"", sandbox.text("/aws/external_id"));
    let proxy = Proxy::start_as(sandbox, "broker", &credential(&external_id), &[]);
    assert_eq!(who(&proxy, "app_ro"), "app_ro|t");
    let proxy = Proxy::start_as(sandbox, "broker", &credential(""), &[]);
    let error = proxy.psql("app_ro", "select 1").stderr;
    let error = String::from_utf8_lossy(&error).into_owned();
    assert!(
        error.contains("could not assume role") && error.contains("trust policy"),
        "{error}"
    );
}

/// Large results and large input, both ways at once, through one session.
#[test]
fn bulk_data_passes_unchanged() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = Proxy::start(sandbox, &sandbox.target("orders", IAM_USERS));
    let sum = "select count(*), sum(length(x)), md5(string_agg(x, '' order by i)) from";
    let rows = "(select i, repeat(md5(i::text), 30) x from generate_series(1, 20000) i) t";
    let direct = proxy.query("app_rw", &format!("{sum} {rows}"));
    let script = format!(
        "create temp table t (i int, x text);\n\\copy t from program 'psql -XAt -F \",\" \"host=127.0.0.1 port={} user=app_rw dbname=app\" -c \"select * from {rows}\"' with (format csv)\n{sum} t;",
        proxy.port()
    );
    let file = sandbox.dir.join("bulk.sql");
    fs::write(&file, script).unwrap();
    let output = std::process::Command::new("psql")
        .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-f"])
        .arg(&file)
        .arg(format!(
            "host=127.0.0.1 port={} user=app_rw dbname=app",
            proxy.port()
        ))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.trim(), direct, "{}", String::from_utf8_lossy(&output.stderr));
}

/// 200 MB in one result, with bounded memory.
#[test]
fn a_result_of_200_megabytes_passes() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = Proxy::start(sandbox, &sandbox.target("orders", IAM_USERS));
    let output = proxy.psql(
        "app_ro",
        "select repeat('x', 999) from generate_series(1, 200000)",
    );
    assert!(output.status.success());
    assert_eq!(output.stdout.len(), 200_000_000);
    // Only root may look into a process that hides its memory.
    if let Some(peak) = proxy.peak_memory_kib() {
        assert!(peak < 100_000, "{peak} KiB");
    }
}

/// A client that shuts its writing side still receives all it asked for.
#[test]
fn half_close_loses_nothing() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = Proxy::start(sandbox, &sandbox.target("orders", IAM_USERS));
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    raw.send(&message(
        b'Q',
        b"select repeat('x', 100000) from generate_series(1, 20)\0",
    ));
    raw.stream.shutdown(std::net::Shutdown::Write).unwrap();
    let rows = raw.read_until(b'Z').iter().filter(|m| m.tag == b'D').count();
    assert_eq!(rows, 20);
    assert!(raw.rest().is_empty());
}
