//! PostgreSQL's own replication programs, which log in with a token like everybody.

use super::own::{Program, Undo, sql, unique, wait_until};
use super::{ADMIN, program, proxy, replication, status};
use crate::support::Sandbox;
use crate::support::raw::{Message, message};
use std::path::PathBuf;

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(sandbox: &Sandbox, name: &str) -> Self {
        Self(sandbox.dir.join(unique(name)))
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The first row of an answer, as text.
fn row(answer: &[Message]) -> Vec<String> {
    let row = answer.iter().find(|m| m.tag == b'D').expect("a row");
    let mut rest = &row.body[2..];
    let mut columns = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = i32::from_be_bytes(*length).max(0) as usize;
        columns.push(String::from_utf8(after[..length].to_vec()).unwrap());
        rest = &after[length..];
    }
    columns
}

/// With an end position it says CopyDone and waits for the server's.
#[test]
fn pg_recvlogical_ends_the_copy_at_its_end_position() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let slot = unique("endpos");
    let mut undo = Undo::new(sandbox);
    undo.drop_slot(&slot);
    let create = format!("select pg_create_logical_replication_slot('{slot}', 'test_decoding')");
    sql(sandbox, "app", &create);
    sql(
        sandbox,
        "app",
        "select pg_logical_emit_message(true, 'it', repeat('x', 100000))",
    );
    let end = sql(sandbox, "app", "select pg_current_wal_lsn()");
    let port = proxy.port().to_string();
    let connection = format!("host=127.0.0.1 port={port} user=sandbox_admin dbname=app");
    let running = Program::start(
        "pg_recvlogical",
        &[
            "--start",
            "--slot",
            &slot,
            "-d",
            &connection,
            "--file",
            "-",
            "--endpos",
            &end,
        ],
    );
    sql(
        sandbox,
        "app",
        "select pg_logical_emit_message(true, 'it', 'beyond')",
    );
    let received = running.succeeds();
    assert!(received.contains("xxxx"), "{} bytes", received.len());
    assert!(!received.contains("beyond"));
}

#[test]
fn wal_flows_in_copy_both_and_the_connection_lives_on() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let mut raw = replication(&proxy, ADMIN, "true");
    raw.query("IDENTIFY_SYSTEM");
    let system = row(&raw.read_until(b'Z'));
    let (timeline, position) = (&system[1], &system[2]);
    // Twice on one connection, from a position that the server has passed by then.
    for _ in 0..2 {
        sql(
            sandbox,
            "app",
            "select pg_logical_emit_message(true, 'it', repeat('y', 300000))",
        );
        raw.query(&format!(
            "START_REPLICATION PHYSICAL {position} TIMELINE {timeline}"
        ));
        assert_eq!(raw.read_until(b'W').len(), 1);
        let mut wal = 0;
        while wal < 300_000 {
            let data = raw.read_until(b'd').pop().unwrap();
            wal += data.body.len().saturating_sub(25);
        }
        raw.send(&status(0));
        while raw.read_until(b'd').pop().unwrap().body[0] != b'k' {}
        raw.send(&message(b'c', b""));
        let end = raw.read_until(b'Z');
        assert!(end.iter().any(|m| m.tag == b'c'), "{end:?}");
        raw.query("SHOW wal_level");
        assert_eq!(row(&raw.read_until(b'Z')), ["logical"]);
    }
}

#[test]
fn pg_receivewal_writes_whole_segments() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let directory = Directory::new(sandbox, "receivewal");
    std::fs::create_dir_all(&directory.0).unwrap();
    let connection = format!("host=127.0.0.1 port={} user=sandbox_admin", proxy.port());
    let running = Program::start(
        "pg_receivewal",
        &[
            "-D",
            directory.text(),
            "-d",
            &connection,
            "--no-loop",
            "--no-sync",
        ],
    );
    let streaming = "select count(*) from pg_stat_replication where application_name = 'pg_receivewal' and state = 'streaming'";
    wait_until("it streams", || sql(sandbox, "app", streaming) == "1");
    let message = "select pg_logical_emit_message(true, 'it', 'z'), pg_switch_wal()";
    sql(sandbox, "app", message);
    let whole = || -> Option<u64> {
        let files = std::fs::read_dir(&directory.0).unwrap().map(Result::unwrap);
        // A segment that is not complete has a suffix.
        let segment = files.into_iter().find(|file| file.file_name().len() == 24)?;
        Some(segment.metadata().unwrap().len())
    };
    wait_until("a segment is whole", || whole().is_some());
    assert_eq!(whole(), Some(16 << 20));
    running.interrupt();
    running.succeeds();
}

/// Two connections at once: the files in COPY OUT, and the WAL of the meantime in CopyBoth.
#[test]
fn pg_basebackup_copies_the_whole_server() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let directory = Directory::new(sandbox, "basebackup");
    let connection = format!("host=127.0.0.1 port={} user=sandbox_admin", proxy.port());
    let options = ["--checkpoint", "fast", "--wal-method", "stream", "--no-sync"];
    let place = ["-D", directory.text(), "-d", &connection];
    Program::start("pg_basebackup", &[&options[..], &place].concat()).succeeds();
    let verify = program("pg_verifybackup");
    Program::start(verify.to_str().unwrap(), &[directory.text()]).succeeds();
    assert!(
        proxy.log().matches("session opened").count() >= 2,
        "{}",
        proxy.log()
    );
}
