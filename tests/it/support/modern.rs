//! One PostgreSQL 18 for the whole run (`tests/sandbox/modern.py`); it ends with this process, however that
//! ends: its input closes then.

use super::Sandbox;
use super::sandbox::root;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

pub struct Modern {
    /// Holds its input open.
    _child: Child,
    pub port: u16,
    pub password: String,
    ca: String,
    password_file: std::path::PathBuf,
}

static MODERN: OnceLock<Modern> = OnceLock::new();

impl Modern {
    pub fn start(sandbox: &Sandbox) -> &'static Self {
        MODERN.get_or_init(|| Self::up(sandbox))
    }

    fn up(sandbox: &Sandbox) -> Self {
        let mut child = Command::new("python3")
            .arg(root().join("tests/sandbox/modern.py"))
            .arg("--dir")
            .arg(&sandbox.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let state: Value = serde_json::from_str(&line).expect("PostgreSQL 18 comes up");
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
