//! Who the caller is goes on: to the database in `application_name`, to AWS with the role that is assumed.

use super::client::{by_scram, by_scram_with};
use super::scram::{SECRET, table};
use super::{USERS, configuration, directory, psql_as, refusal};
use crate::support::raw::Message;
use crate::support::tls::client_tls;
use crate::support::{Proxy, Raw, Sandbox, psql};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair,
};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const ANYBODY: &str = "@id(\"all\")\npermit (principal, action, resource);\n";
/// Longer than an `application_name`, and what is no ASCII in it.
const LONG: &str = "jürgen-of-the-long-name@department.of.long.names.example.com";

fn proxy(sandbox: &Sandbox, tables: &str) -> Proxy {
    let users = ["ada", "bob", LONG, "sandbox_admin"].map(|user| (user, SECRET));
    let tables = table(sandbox, &users) + tables;
    let cedar = "@id(\"reads\")\npermit (principal, action, resource == DbUser::\"orders/app_ro\");\n\
                 @id(\"all\")\npermit (principal == PasswordUser::\"sandbox_admin\", action, resource);\n";
    let config = configuration(sandbox, &["scram"], cedar, ("", &tables));
    Proxy::start(
        sandbox,
        &config.replace(USERS, "db_users = [\"app_ro\", \"sandbox_admin\"]"),
    )
}

/// What the session of this caller says to one query.
fn answer(raw: &mut Raw, sql: &str) -> String {
    raw.query(sql);
    let row = |message: &Message| (message.tag == b'D').then(|| message.body[6..].to_vec());
    let rows = raw.read_until(b'Z');
    let row = rows.iter().find_map(row).expect("a row");
    String::from_utf8(row).unwrap()
}

fn application_name(proxy: &Proxy, user: &str, parameters: &[(&str, &str)]) -> String {
    let (_, mut raw) = by_scram_with(proxy.port(), user, SECRET, parameters);
    answer(
        &mut raw,
        "select application_name from pg_stat_activity where pid = pg_backend_pid()",
    )
}

#[test]
fn the_database_sees_the_caller_behind_the_clients_own_name() {
    let (sandbox, _turn) = Sandbox::shared();
    let audit = directory(sandbox).join("audit.jsonl");
    let proxy = proxy(sandbox, &format!("[audit]\nfile = \"{}\"\n", audit.display()));
    let output = psql_as(&proxy, "ada", SECRET, "show application_name");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "psql (password:ada)\n",
        "{}",
        proxy.log()
    );
    // The record is of what the client said.
    let opened = std::fs::read_to_string(&audit).unwrap();
    let opened: Value = serde_json::from_str(opened.lines().next().unwrap()).unwrap();
    assert!(
        opened.to_string().contains("\"application\":\"psql\""),
        "{opened}"
    );

    let long = "x".repeat(9_000);
    for (user, parameters, expected) in [
        ("ada", &[][..], "(password:ada)"),
        ("ada", &[("application_name", "ä b")], "? b (password:ada)"),
        // However the server is told, it is dbproxy that has the last word.
        (
            "ada",
            &[("application_name", "one"), ("Application_Name", "two")],
            "two (password:ada)",
        ),
        (
            "ada",
            &[("options", "-c application_name=three -c work_mem=5MB")],
            "three (password:ada)",
        ),
        (
            "ada",
            &[("application_name", &long)],
            &format!("{} (password:ada)", &long[..48]),
        ),
    ] {
        assert_eq!(application_name(&proxy, user, parameters), expected);
    }
    // It is what a standby is known by.
    let standby = [("application_name", "standby"), ("replication", "database")];
    assert_eq!(application_name(&proxy, "sandbox_admin", &standby), "standby");
    let name = application_name(&proxy, LONG, &[("application_name", &long)]);
    let (own, caller) = name.split_once(" (").unwrap();
    assert!(name.len() <= 63 && name.is_ascii(), "{name}");
    assert!(own == &long[..own.len()] && own.len() >= 16, "{name}");
    assert!(caller.ends_with("epartment.of.long.names.example.com)"), "{name}");
}

/// The server would close the connection without a word.
#[test]
fn a_startup_packet_without_room_for_the_caller_is_refused() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "");
    let long = format!("-c search_path={}", "x".repeat(9_935));
    let (messages, _) = by_scram_with(proxy.port(), "ada", SECRET, &[("options", &long)]);
    let [state, message, _] = refusal(&messages);
    assert_eq!(state, "08P01");
    assert!(message.contains("with the caller in it"), "{message}");
}

#[test]
fn a_target_may_leave_the_application_name_alone() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox, "[defaults]\ncaller_in_application_name = false\n");
    let output = psql_as(&proxy, "ada", SECRET, "show application_name");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "psql\n",
        "{}",
        proxy.log()
    );
}

/// A certificate of jane, with its key and authority: three files.
fn certificate(sandbox: &Sandbox) -> [PathBuf; 3] {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).unwrap();
    let mut jane = CertificateParams::new(Vec::new()).unwrap();
    jane.distinguished_name = DistinguishedName::new();
    jane.distinguished_name.push(DnType::CommonName, "jane");
    jane.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let leaf = jane
        .signed_by(&key, &Issuer::new(authority, authority_key))
        .unwrap();
    let (directory, own) = (directory(sandbox), std::fs::Permissions::from_mode(0o600));
    [
        ("leaf", leaf.pem()),
        ("key", key.serialize_pem()),
        ("root", root.pem()),
    ]
    .map(|(name, text)| {
        let file = directory.join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, own.clone()).unwrap();
        file
    })
}

/// Where the client logs in with its own password, too: proven by a certificate, as the server does not know.
#[test]
fn a_login_that_is_passed_through_carries_the_caller() {
    let (sandbox, _turn) = Sandbox::shared();
    let [leaf, key, root] = certificate(sandbox).map(|file| file.display().to_string());
    let tables = client_tls(sandbox, &format!("client_ca_file = \"{root}\""));
    let config = configuration(sandbox, &["mtls"], ANYBODY, ("", &tables)).replace(
        USERS,
        "caller_setting = true\n[targets.orders.users.app_password]\ncredential = { kind = \"passthrough\" }",
    );
    let proxy = Proxy::start(sandbox, &config);
    let connection = format!(
        "host=127.0.0.1 port={} user=app_password dbname=app sslmode=require sslcert={leaf} sslkey={key} \
         channel_binding=disable application_name=report",
        proxy.port()
    );
    let password = sandbox.text("/passwords/app_password");
    let sql = "select current_setting('application_name') || ' ' || current_setting('dbproxy.caller')";
    let output = psql(&connection, &[("PGPASSWORD", &password)], sql);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "report (cert:cn:jane) cert:cn:jane\n",
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        proxy.log()
    );
}

/// Session names, source identity and tags are the caller's own, and so is the credential that carries them,
/// also where a template makes them longer than AWS takes.
#[test]
fn aws_sees_the_caller_of_each_login() {
    let sandbox = Sandbox::alone();
    let role = format!(
        "[targets.orders.credential.assume_role]\nrole_arn = \"{}\"\nsource_identity = \"{{caller}}\"\n\
         session_name = \"{}-{{caller}}\"\ntags = {{ caller = \"{{caller}}\", as = \"{{db_user}}\" }}\n",
        sandbox.text("/aws/role_connect"),
        "prefix".repeat(10)
    );
    let mut config = configuration(
        &sandbox,
        &["scram"],
        ANYBODY,
        ("", &table(&sandbox, &[("ada", SECRET), ("bob", SECRET)])),
    );
    config += &role;
    let proxy = Proxy::start(&sandbox, &config.replace(USERS, "db_users = [\"app_ro\"]"));
    let mut seen = Vec::new();
    for user in ["ada", "bob", "ada", "bob"] {
        let outcome = by_scram(proxy.port(), user, SECRET);
        assert_eq!(outcome.last().unwrap().tag, b'Z', "{outcome:?}\n{}", proxy.log());
        let entry = sandbox.auth_log().last().unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let identity = text(&entry["source_identity"]);
        assert!(identity.starts_with(&format!("password-{user}-")), "{entry}");
        assert_eq!(entry["session_tags"]["caller"], entry["source_identity"]);
        assert_eq!(entry["session_tags"]["as"], "app_ro");
        let (_, session) = text(&entry["principal"])
            .rsplit_once('/')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        assert!(session.len() <= 64, "{session}");
        seen.push((identity, session));
    }
    assert_eq!(seen[..2], seen[2..]);
    assert_ne!(seen[0].0, seen[1].0);
    assert_ne!(seen[0].1, seen[1].1, "two callers under one session name");
    assert_eq!(sandbox.requests("sts.AssumeRole"), 2, "each has one of its own");
}
