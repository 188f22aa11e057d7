//! PostgreSQL of other versions than the sandbox's (`tests/sandbox/modern.py`), each started once for the whole run;
//! they end with this process, however that ends: their input closes then.

use super::Sandbox;
use super::sandbox::root;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

pub struct Modern {
    /// Holds its input open.
    _child: Child,
    pub port: u16,
    pub password: String,
    ca: String,
    password_file: std::path::PathBuf,
}

static MODERN: OnceLock<Modern> = OnceLock::new();

fn started(arguments: &[&str]) -> (Child, Value) {
    let mut child = Command::new("python3")
        .arg(root().join("tests/sandbox/modern.py"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let state = serde_json::from_str(&line).expect("PostgreSQL comes up");
    (child, state)
}

pub const MAJORS: [u32; 6] = [13, 14, 15, 16, 17, 18];

/// A server of one major version. Its socket lets everybody in, its superuser is `postgres`; beside that it takes
/// passwords inside TLS.
pub struct Major {
    /// Holds its input open.
    _child: Child,
    pub socket: String,
    pub port: u16,
    /// The superuser's. Whoever is to log in through dbproxy gets the same.
    pub password: String,
    ca: String,
    password_file: std::path::PathBuf,
    /// Tests of the whole cluster exclude one another.
    turn: Mutex<()>,
}

static STARTED: [OnceLock<Major>; MAJORS.len()] = [const { OnceLock::new() }; MAJORS.len()];

impl Major {
    /// The server, for oneself. Whoever has none of the sandbox yet must not ask for it afterwards: it is the caller's,
    /// for as long as this is.
    pub fn alone(sandbox: &Sandbox, major: u32) -> (&'static Self, MutexGuard<'static, ()>) {
        let at = MAJORS.iter().position(|known| *known == major).unwrap();
        let server = STARTED[at].get_or_init(|| {
            let directory = sandbox.dir.to_str().unwrap();
            let (child, state) = started(&[
                "--dir",
                directory,
                "--major",
                &major.to_string(),
                "--user",
                "postgres",
            ]);
            let password = state["password"].as_str().unwrap().to_owned();
            let password_file = sandbox.dir.join(format!("major-{}.password", child.id()));
            std::fs::write(&password_file, &password).unwrap();
            Self {
                _child: child,
                socket: state["socket"].as_str().unwrap().to_owned(),
                port: u16::try_from(state["port"].as_u64().unwrap()).unwrap(),
                password,
                ca: sandbox.text("/ca/proxy_ca"),
                password_file,
                turn: Mutex::new(()),
            }
        });
        let turn = server.turn.lock().unwrap_or_else(PoisonError::into_inner);
        (server, turn)
    }
}

impl Major {
    /// A target where everybody logs in with the stored password.
    pub fn target(&self, name: &str) -> String {
        format!(
            "[targets.{name}]\nlisten = [\"127.0.0.1:0\"]\nendpoint = \"localhost\"\nport = {0}\n\
             dial = \"127.0.0.1:{0}\"\nca_file = \"{1}\"\nregion = \"us-east-1\"\ndb_users = [\"*\"]\n\
             credential = {{ kind = \"password_file\", file = \"{2}\" }}\n",
            self.port,
            self.ca,
            self.password_file.display()
        )
    }
}

impl Modern {
    pub fn start(sandbox: &Sandbox) -> &'static Self {
        MODERN.get_or_init(|| Self::up(sandbox))
    }

    fn up(sandbox: &Sandbox) -> Self {
        let directory = sandbox.dir.to_str().unwrap();
        let (child, state) = started(&["--dir", directory]);
        let password = state["password"].as_str().unwrap().to_owned();
        let password_file = sandbox.dir.join(format!("modern-{}.password", child.id()));
        std::fs::write(&password_file, &password).unwrap();
        Self {
            _child: child,
            port: u16::try_from(state["port"].as_u64().unwrap()).unwrap(),
            password,
            ca: sandbox.text("/ca/proxy_ca"),
            password_file,
        }
    }

    /// A target that logs in with the stored password.
    pub fn target(&self) -> String {
        let file = format!(
            "{{ kind = \"password_file\", file = \"{}\" }}",
            self.password_file.display()
        );
        self.target_with(&file)
    }

    pub fn target_with(&self, credential: &str) -> String {
        format!(
            "[targets.modern]\nlisten = [\"127.0.0.1:0\"]\nendpoint = \"localhost\"\nport = {}\n\
             dial = \"127.0.0.1:{}\"\nca_file = \"{}\"\nregion = \"us-east-1\"\ndb_users = [\"app\"]\n\
             credential = {credential}\n",
            self.port, self.port, self.ca
        )
    }
}
