//! The ways to the same database, and the comparison of what was seen on each.

use super::normal::normal;
use crate::support::tls::client_tls;
use crate::support::{Proxy, Sandbox};
use std::path::PathBuf;
use std::process::Command;

/// Holds `SELECT` on `items`, and may make temporary tables.
const USER: &str = "app_password";

/// How a client gets to the database, as the environment that libpq and most drivers read.
pub struct Way {
    pub name: &'static str,
    pub environment: Vec<(&'static str, String)>,
}

pub struct Ways {
    /// Of this set of scripts alone: names what they share on the server, and their transcripts.
    label: &'static str,
    directory: PathBuf,
    direct: Way,
    through: [Way; 2],
    _proxy: Proxy,
}

impl Ways {
    pub fn new(sandbox: &Sandbox, label: &'static str) -> Self {
        let password = sandbox.text(&format!("/passwords/{USER}"));
        let file = sandbox.dir.join(format!("password-differential-{label}"));
        std::fs::write(&file, &password).unwrap();
        let users = format!(
            "[targets.orders.users.{USER}]\ncredential = {{ kind = \"password_file\", file = \"{}\" }}\n",
            file.display()
        );
        let config = sandbox.target("orders", "") + &users + &client_tls(sandbox, "");
        let proxy = Proxy::start(sandbox, &config);
        let way = |name, host: &str, port: String, more: &[(&'static str, String)]| {
            let place = [
                ("PGHOST", host.to_owned()),
                ("PGPORT", port),
                ("PGUSER", USER.to_owned()),
                ("PGDATABASE", "app".to_owned()),
                ("PGCONNECT_TIMEOUT", "30".to_owned()),
                ("DIFF_LABEL", format!("diff_{}", label.replace('-', "_"))),
            ];
            Way {
                name,
                environment: place.into_iter().chain(more.iter().cloned()).collect(),
            }
        };
        let verified = |root: &str| {
            let mode = ("PGSSLMODE", "verify-full".to_owned());
            vec![mode, ("PGSSLROOTCERT", sandbox.text(root))]
        };
        let mut secured = verified("/ca/bundle");
        secured.push(("PGPASSWORD", password));
        let (address, port) = ("/cluster/writer/address", "/cluster/writer/port");
        let direct = way("direct", &sandbox.text(address), sandbox.text(port), &secured);
        let own_port = proxy.port().to_string();
        let plain = [("PGSSLMODE", "disable".to_owned())];
        let through = [
            way("dbproxy", "127.0.0.1", own_port.clone(), &plain),
            way("dbproxy-tls", "localhost", own_port, &verified("/ca/proxy_ca")),
        ];
        Self {
            label,
            directory: sandbox.dir.clone(),
            direct,
            through,
            _proxy: proxy,
        }
    }

    /// Runs it on each way, one after the other, and panics with the differences.
    #[track_caller]
    pub fn compare(&self, what: &str, run: impl Fn(&Way) -> String) {
        let expected = normal(&run(&self.direct));
        for way in &self.through {
            let seen = normal(&run(way));
            let difference = self.difference(what, way.name, &expected, &seen);
            assert!(
                difference.is_empty(),
                "{what}: {} differs\n{difference}",
                way.name
            );
        }
    }

    /// What `diff` says; the transcripts stay in the sandbox's directory.
    fn difference(&self, what: &str, way: &str, expected: &str, seen: &str) -> String {
        let paths = [("direct", expected), (way, seen)].map(|(way, text)| {
            let path = self
                .directory
                .join(format!("diff-{}-{what}-{way}.txt", self.label));
            std::fs::write(&path, text).unwrap();
            path
        });
        let diff = Command::new("diff").arg("-U2").args(&paths).output().unwrap();
        assert!(diff.status.code() < Some(2), "diff compares");
        String::from_utf8_lossy(&diff.stdout).into_owned()
    }
}

impl Way {
    pub fn value(&self, name: &str) -> Option<&str> {
        let found = self.environment.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A program with this way's environment and nothing else of the tester's, which must end some day.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("timeout");
        command
            .arg("60")
            .arg(program)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("HOME", "/nonexistent")
            .env("LC_ALL", "C.UTF-8")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A transcript that differs in one character is not taken for the same.
#[test]
fn a_difference_is_found_and_shown() {
    let (sandbox, _turn) = Sandbox::shared();
    let ways = Ways::new(sandbox, "itself");
    assert_eq!(ways.difference("same", "dbproxy", "one\ntwo\n", "one\ntwo\n"), "");
    let shown = ways.difference("other", "dbproxy", "one\ntwo\n", "one\ntoo\n");
    assert!(shown.contains("-two\n+too\n"), "{shown}");
    let name = |way: &Way| way.name.to_owned();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ways.compare("name", name)));
    assert!(caught.is_err(), "a difference is a failure");
}
