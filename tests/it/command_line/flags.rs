//! Flags: what is said about wrong ones, and how they meet the configuration file.

use super::{run, text};
use crate::support::proxy::{config_file, dbproxy};
use crate::support::{Proxy, Sandbox};

/// 2 would say that policy denied something.
#[test]
fn usage_errors_end_with_1() {
    for arguments in [&["--nope"][..], &["token"], &["token", "x", "y", "z"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(
            text(&output.stderr).contains("Usage:"),
            "{}",
            text(&output.stderr)
        );
    }
    for arguments in [&["--help"][..], &["--version"], &["token", "--help"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty());
    }
}

#[test]
fn mistakes_of_the_command_line_are_told_as_such() {
    let (sandbox, _turn) = Sandbox::shared();
    let path = config_file(sandbox, &sandbox.target("orders", "db_users = [\"app_ro\"]"));
    let output = run(&["ls", "--config", path.to_str().unwrap(), "--region", "x"]);
    assert!(output.status.success());
    let output = run(&["--config", path.to_str().unwrap(), "nope"]);
    assert_eq!(
        text(&output.stderr),
        "dbproxy: cannot start: nope: no such target; the configuration has orders\n"
    );
    let output = run(&["--region", "garbage", "db.internal"]);
    assert_eq!(
        text(&output.stderr),
        "dbproxy: cannot start: --region: `garbage` is not an AWS region\n"
    );
}

/// A flag for one key of `[client_tls]` leaves the others as the file has them.
#[test]
fn flags_of_client_tls_add_to_the_file() {
    let (sandbox, _turn) = Sandbox::shared();
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]");
    let (cert, key) = (sandbox.text("/ca/proxy_cert"), sandbox.text("/ca/proxy_key"));
    let refuses_plain = |file: &str, flags: &[&str]| {
        let config = format!("{target}[client_tls]\n{file}\n");
        let proxy = Proxy::start_as(sandbox, "dbproxy", &config, flags);
        let output = crate::support::psql(
            &format!(
                "host=127.0.0.1 port={} user=app_ro dbname=app sslmode=disable",
                proxy.port()
            ),
            &[],
            "select 1",
        );
        !output.status.success()
    };
    assert!(refuses_plain(
        "required = true",
        &["--tls-cert", &cert, "--tls-key", &key]
    ));
    let files = format!("cert_file = \"{cert}\"\nkey_file = \"{key}\"");
    assert!(refuses_plain(&files, &["--tls-required"]));
    assert!(!refuses_plain(&files, &[]));
    let output = run(&["--tls-required", "db.abc.us-east-1.rds.amazonaws.com"]);
    let error = text(&output.stderr);
    assert!(
        error.contains("client_tls.cert_file: is missing; the flag is `--tls-cert`"),
        "{error}"
    );
}

/// A role of one db user brings the account its session policy needs.
#[test]
fn a_role_of_one_db_user_needs_no_account_of_the_target() {
    let (sandbox, _turn) = Sandbox::shared();
    let target = sandbox.target("orders", "db_users = [\"app_rw\"]");
    let without: Vec<_> = target
        .lines()
        .filter(|line| !line.starts_with("account_id"))
        .collect();
    let config = format!(
        "{}\n[targets.orders.users.app_ro.credential.assume_role]\nrole_arn = \"{}\"\n",
        without.join("\n"),
        sandbox.text("/aws/role_connect")
    );
    let path = config_file(sandbox, &config);
    let output = dbproxy(&sandbox.aws_env("dbproxy"))
        .args(["token", "orders", "--db-user", "app_ro", "--config"])
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn the_admin_address_comes_from_the_flag_or_the_file() {
    let (sandbox, _turn) = Sandbox::shared();
    let mut proxy = Proxy::start(sandbox, &sandbox.target("orders", "db_users = [\"app_ro\"]"));
    let admin = proxy.admin();
    // Nothing else of the file counts, and it need not be right.
    let here = config_file(sandbox, &format!("admin = \"{admin}\"\nnope = 1\n"));
    let here = here.to_str().unwrap();
    let ask = |arguments: &[&str]| run(&[&["healthcheck"], arguments].concat());
    assert_eq!(ask(&["--config", here]).status.code(), Some(0));
    let output = dbproxy(&[("DBPROXY_CONFIG".into(), here.into())])
        .arg("wait")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for config in ["", "admin = \"off\"", "admin = \"127.0.0.1:0\""] {
        let path = config_file(sandbox, config);
        let output = ask(&["--config", path.to_str().unwrap()]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            error.contains("no admin address is known: give `--admin ADDRESS`"),
            "{error}"
        );
        assert_eq!(
            ask(&["--config", path.to_str().unwrap(), "--admin", &admin])
                .status
                .code(),
            Some(0)
        );
    }
    assert!(text(&ask(&["--admin", "off", "--config", here]).stderr).contains("no admin address is known"));
    assert_eq!(run(&["shutdown", "--config", here]).status.code(), Some(0));
    assert_eq!(proxy.wait_for_exit().code(), Some(0));
}
