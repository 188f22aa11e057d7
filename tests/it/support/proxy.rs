//! A dbproxy of the test's own: the real binary with a configuration written for it.

use super::Sandbox;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Long enough for a loaded machine; nothing waits this long when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Proxy {
    child: Child,
    log: Arc<Mutex<String>>,
    secrets: Vec<String>,
    pub config: PathBuf,
}

/// A command of the binary under test with nothing of the tester's environment.
pub fn dbproxy(environment: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dbproxy"));
    command
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null());
    command
}

/// Writes a configuration file of the test's own.
pub fn config_file(sandbox: &Sandbox, text: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = sandbox
        .dir
        .join(format!("it-{}-{number}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

impl Proxy {
    /// With the AWS credentials of user `dbproxy`.
    pub fn start(sandbox: &Sandbox, config: &str) -> Self {
        Self::start_as(sandbox, "dbproxy", config, &[])
    }

    /// With the AWS credentials of `user`, further arguments, an admin address and full logging.
    pub fn start_as(sandbox: &Sandbox, user: &str, config: &str, arguments: &[&str]) -> Self {
        Self::start_with(sandbox, user, config, arguments, &[])
    }

    /// The same with more environment.
    pub fn start_with(
        sandbox: &Sandbox,
        user: &str,
        config: &str,
        arguments: &[&str],
        more: &[(&str, &str)],
    ) -> Self {
        let general = "admin = \"127.0.0.1:0\"\nlog_level = \"debug\"\n";
        let path = config_file(sandbox, &format!("{general}{config}"));
        let environment = sandbox.aws_env(user);
        let mut child = dbproxy(&environment)
            .arg("--config")
            .arg(&path)
            .args(arguments)
            .envs(more.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn({
            let log = log.clone();
            move || {
                for line in stderr.lines().map_while(Result::ok) {
                    let mut log = log.lock().unwrap();
                    log.push_str(&line);
                    log.push('\n');
                }
            }
        });
        let secrets = vec![
            "X-Amz-Signature".to_owned(),
            "X-Amz-Security-Token".to_owned(),
            sandbox.text("/passwords/sandbox_admin"),
            sandbox.text("/aws/dbproxy/secret_access_key"),
            sandbox.text("/aws/broker/secret_access_key"),
            sandbox.text("/passwords/app_password"),
            sandbox.text("/passwords/app_md5"),
            sandbox.text("/passwords/app_cleartext"),
        ];
        let mut proxy = Self {
            child,
            log,
            secrets,
            config: path,
        };
        proxy.wait_for_log("admin address listening");
        proxy
    }

    /// Waits until the log holds `text`; panics with the log if the process ends first.
    pub fn wait_for_log(&mut self, text: &str) -> String {
        let began = Instant::now();
        loop {
            let log = self.log();
            if log.contains(text) {
                return log;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                std::thread::sleep(Duration::from_millis(100));
                let log = self.log();
                assert!(
                    log.contains(text),
                    "dbproxy ended with {status} before `{text}`:\n{log}"
                );
                return log;
            }
            assert!(began.elapsed() < PATIENCE, "no `{text}` in the log:\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for a line that a running dbproxy is about to write.
    pub fn wait_until_logged(&self, text: &str) {
        let began = Instant::now();
        while !self.log().contains(text) {
            assert!(
                began.elapsed() < PATIENCE,
                "no `{text}` in the log:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Something else that nothing may say.
    pub fn keep_secret(&mut self, secret: impl Into<String>) {
        self.secrets.push(secret.into());
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The port of the `number`th listener, in the order of the ready lines.
    pub fn port_of(&self, number: usize) -> u16 {
        let log = self.log();
        let line = log
            .lines()
            .filter(|line| line.starts_with("ready for"))
            .nth(number);
        let port = line.and_then(|line| line.split("port=").nth(1)?.split(' ').next()?.parse().ok());
        port.unwrap_or_else(|| panic!("no listener {number}:\n{log}"))
    }

    pub fn port(&self) -> u16 {
        self.port_of(0)
    }

    pub fn admin(&self) -> String {
        let log = self.log();
        let line = log
            .lines()
            .find(|line| line.contains("admin address listening"))
            .unwrap();
        line.split("address=").nth(1).unwrap().trim().to_owned()
    }

    /// The answer of the admin address: status line and body.
    pub fn admin_request(&self, method: &str, path: &str, headers: &str) -> (String, String) {
        let address = self.admin();
        let mut stream = TcpStream::connect(&address).expect("the admin address answers");
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    /// The value of one line of `/metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.admin_request("GET", "/metrics", "");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until a metric has this value: ends of sessions are counted after the client sees them.
    pub fn wait_for_metric(&self, name: &str, value: f64) {
        let began = Instant::now();
        while self.metric(name) != value {
            assert!(
                began.elapsed() < PATIENCE,
                "{name} is {}, not {value}",
                self.metric(name)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// The most memory the process has used.
    pub fn peak_memory_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    /// Files and sockets that the process holds.
    pub fn open_files(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        files.expect("the process runs").count()
    }

    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "dbproxy does not end:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// psql through the first listener.
    pub fn psql(&self, user: &str, sql: &str) -> Output {
        psql(
            &format!("host=127.0.0.1 port={} user={user} dbname=app", self.port()),
            &[],
            sql,
        )
    }

    /// The same, for SQL that must succeed.
    pub fn query(&self, user: &str, sql: &str) -> String {
        let output = self.psql(user, sql);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{}\n{}",
            text(&output.stderr),
            self.log()
        );
        text(&output.stdout).trim().to_owned()
    }
}

/// Every test ends with a look for secrets in everything dbproxy has written.
impl Drop for Proxy {
    fn drop(&mut self) {
        let metrics = match self.child.try_wait() {
            Ok(None) if !std::thread::panicking() => self.admin_request("GET", "/metrics", "").1,
            _ => String::new(),
        };
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log() + &metrics;
        if std::thread::panicking() {
            eprintln!("--- log of dbproxy ---\n{log}");
            return;
        }
        for secret in &self.secrets {
            assert!(!log.contains(secret.as_str()), "a secret is in the log:\n{log}");
        }
        assert!(!log.contains("panicked"), "a panic:\n{log}");
        let _ = std::fs::remove_file(&self.config);
    }
}

/// Runs psql; `environment` adds PGPASSWORD and the like.
pub fn psql(connection: &str, environment: &[(&str, &str)], sql: &str) -> Output {
    let output = Command::new("psql")
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("PGCONNECT_TIMEOUT", "30")
        .envs(environment.iter().copied())
        .args([
            "-X",
            "-A",
            "-t",
            "-w",
            "-v",
            "VERBOSITY=verbose",
            "-c",
            sql,
            connection,
        ])
        .stdin(Stdio::null())
        .output()
        .expect("psql runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!told.contains("X-Amz-S"), "a client was told a secret: {told}");
    output
}
