//! One sandbox for the whole run. Tests that turn its switches take it for themselves.

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

pub struct Sandbox {
    pub dir: PathBuf,
    state: Value,
}

/// Held by tests: many at a time, or one alone.
static TURN: RwLock<()> = RwLock::new(());
static SANDBOX: OnceLock<Sandbox> = OnceLock::new();

/// Ends the sandbox when this process ends, however it ends: its input closes then.
static WATCHER: OnceLock<Child> = OnceLock::new();

pub type Shared = RwLockReadGuard<'static, ()>;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Sandbox {
    /// Beside other tests, with all switches at rest.
    pub fn shared() -> (&'static Self, Shared) {
        let turn = TURN.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        (Self::up(), turn)
    }

    /// Alone: the switches may be turned, and are at rest again afterwards.
    pub fn alone() -> Alone {
        let turn = TURN.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let alone = Alone {
            sandbox: Self::up(),
            _turn: turn,
        };
        alone.sandbox.switch("reset", &json!({}));
        alone
    }

    fn up() -> &'static Self {
        SANDBOX.get_or_init(|| {
            let target =
                std::env::var("CARGO_TARGET_DIR").map_or_else(|_| root().join("target"), PathBuf::from);
            let dir = target.join("sandbox-it");
            let script = root().join("tests/sandbox/sandbox.py");
            let up = Command::new("python3")
                .arg(&script)
                .args(["up", "--quiet", "--dir"])
                .arg(&dir)
                .status();
            assert!(
                up.expect("python3 runs").success(),
                "the sandbox comes up; see {}",
                dir.display()
            );
            let down = format!(
                "cat >/dev/null; python3 '{}' down --quiet --dir '{}'",
                script.display(),
                dir.display()
            );
            let watcher = Command::new("setsid")
                .args(["sh", "-c", &down])
                .stdin(Stdio::piped())
                .spawn();
            let _ = WATCHER.set(watcher.expect("setsid runs"));
            let state = std::fs::read_to_string(dir.join("state.json")).expect("state.json");
            Self {
                state: serde_json::from_str(&state).expect("JSON"),
                dir,
            }
        })
    }

    /// A text of `state.json`, such as `/cluster/writer/host`.
    pub fn text(&self, pointer: &str) -> String {
        match self.state.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => panic!("state.json has no {pointer}"),
        }
    }

    /// Turns a switch of the fake AWS.
    pub fn switch(&self, name: &str, body: &Value) -> Value {
        self.http("POST", &format!("/_sandbox/{name}"), &body.to_string())
    }

    /// How often an AWS call was made since the last reset, such as `sts.AssumeRole`.
    pub fn requests(&self, call: &str) -> u64 {
        let counters = self.http("GET", "/_sandbox/requests", "");
        counters.get(call).and_then(Value::as_u64).unwrap_or(0)
    }

    /// What the judge of tokens said, oldest first.
    pub fn auth_log(&self) -> Vec<Value> {
        self.http("GET", "/_sandbox/auth-log", "")
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    fn http(&self, method: &str, path: &str, body: &str) -> Value {
        let url = self.text("/aws/endpoint_url");
        let host = url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).expect("the fake AWS answers");
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}\n{text}");
        let start = text.find(['{', '[']).expect("JSON");
        let end = text.rfind(['}', ']']).expect("JSON");
        serde_json::from_str(&text[start..=end]).expect("JSON")
    }

    /// The credentials of a user of `state.json`, as environment variables.
    /// `nobody` has none.
    pub fn aws_env(&self, user: &str) -> Vec<(String, String)> {
        let mut environment = vec![
            ("AWS_ENDPOINT_URL", self.text("/aws/endpoint_url")),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ];
        let key = |name: &str| self.text(&format!("/aws/{user}/{name}"));
        if user != "nobody" {
            environment.push(("AWS_ACCESS_KEY_ID", key("access_key_id")));
            environment.push(("AWS_SECRET_ACCESS_KEY", key("secret_access_key")));
        }
        environment
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// `[targets.NAME]` for the writer, with further lines.
    pub fn target(&self, name: &str, lines: &str) -> String {
        let (host, port) = (
            self.text("/cluster/writer/host"),
            self.text("/cluster/writer/port"),
        );
        format!(
            "[targets.{name}]\nlisten = [\"127.0.0.1:0\"]\nendpoint = \"{host}\"\nport = {port}\n\
             dial = \"{}:{port}\"\nresource_id = \"{}\"\naccount_id = \"{}\"\nca_file = \"{}\"\n{lines}\n",
            self.text("/cluster/writer/address"),
            self.text("/cluster/resource_id"),
            self.text("/aws/accounts/a"),
            self.text("/ca/bundle"),
        )
    }
}

pub struct Alone {
    sandbox: &'static Sandbox,
    _turn: RwLockWriteGuard<'static, ()>,
}

impl std::ops::Deref for Alone {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        self.sandbox
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let url = self.sandbox.text("/aws/endpoint_url");
        // A second panic would end the whole run without a word about the first.
        if std::thread::panicking() && TcpStream::connect(url.trim_start_matches("http://")).is_err() {
            return;
        }
        self.sandbox.switch("reset", &json!({}));
    }
}
