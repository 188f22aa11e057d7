//! Direct SQL, programs in the background, and taking away what a test has made.

use crate::support::{Sandbox, psql};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// For a loaded machine; nothing waits this long when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

/// A name of slots, tables and databases that no other test has.
pub fn unique(name: &str) -> String {
    format!("{name}_{}", std::process::id())
}

pub fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// SQL past dbproxy, as the superuser.
pub fn direct(sandbox: &Sandbox, database: &str, sql: &str) -> Output {
    let connection = format!(
        "host={} port={} user=sandbox_admin dbname={database} sslmode=require",
        sandbox.text("/cluster/writer/address"),
        sandbox.text("/cluster/writer/port")
    );
    let password = sandbox.text("/passwords/sandbox_admin");
    psql(&connection, &[("PGPASSWORD", &password)], sql)
}

/// The same, for SQL that must succeed.
#[track_caller]
pub fn sql(sandbox: &Sandbox, database: &str, sql: &str) -> String {
    let output = direct(sandbox, database, sql);
    assert!(output.status.success(), "{sql}: {}", told(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "still not: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Statements that take away what a test has made, run whatever happens. A slot may be in use for
/// a moment after its connection has gone, so each is tried until it succeeds.
pub struct Undo<'a> {
    sandbox: &'a Sandbox,
    statements: Vec<(String, String)>,
}

impl<'a> Undo<'a> {
    pub fn new(sandbox: &'a Sandbox) -> Self {
        Self {
            sandbox,
            statements: Vec::new(),
        }
    }

    /// The last one added runs first.
    pub fn add(&mut self, database: &str, statement: impl Into<String>) {
        self.statements.push((database.to_owned(), statement.into()));
    }

    pub fn drop_slot(&mut self, slot: &str) {
        self.add(
            "app",
            format!("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '{slot}'"),
        );
        self.add(
            "app",
            format!(
                "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '{slot}'"
            ),
        );
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        for (database, statement) in self.statements.iter().rev() {
            let done = (0..50).any(|_| {
                let done = direct(self.sandbox, database, statement).status.success();
                if !done {
                    std::thread::sleep(Duration::from_millis(100));
                }
                done
            });
            if !done {
                eprintln!("left behind, because this failed: {statement}");
            }
        }
    }
}

/// A client program whose output is read when it has ended; killed with the test.
pub struct Program(Option<Child>);

impl Program {
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let child = Command::new(name)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(Some(child.unwrap_or_else(|error| panic!("{name}: {error}"))))
    }

    pub fn interrupt(&self) {
        let pid = self.0.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// What it said; it must have ended well.
    #[track_caller]
    pub fn succeeds(mut self) -> String {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        told(&output)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
