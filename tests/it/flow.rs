//! The flow of messages in a session: pipelines, flushes, portals, function calls, what comes unasked.

mod idle;
mod timers;
mod tls;
mod unread;

use crate::support::raw::{Message, message};
use crate::support::tls::{client_tls, start};
use crate::support::{Proxy, Raw, Sandbox};
use std::io::{Read, Write};

fn proxy(sandbox: &Sandbox) -> Proxy {
    let users = "db_users = [\"app_ro\", \"app_rw\", \"sandbox_admin\"]";
    Proxy::start(
        sandbox,
        &(sandbox.target("orders", users) + &client_tls(sandbox, "")),
    )
}

fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(
        b'P',
        &[name.as_bytes(), b"\0", sql.as_bytes(), b"\0\0\0"].concat(),
    )
}

fn bind(portal: &str, statement: &str) -> Vec<u8> {
    let names = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0"].concat();
    message(b'B', &[&names[..], &[0; 6]].concat())
}

fn execute(portal: &str, rows: u32) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), b"\0", &rows.to_be_bytes()].concat())
}

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

fn tags(messages: &[Message]) -> String {
    messages.iter().map(|m| char::from(m.tag)).collect()
}

/// The text of the first column of a row.
fn text(row: &Message) -> String {
    String::from_utf8_lossy(&row.body[6..]).into_owned()
}

fn count_ready(mut stream: impl Read, wanted: usize) -> usize {
    let (mut seen, mut have) = (0, Vec::new());
    let mut chunk = vec![0; 1 << 16];
    while seen < wanted {
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0, "the end after {seen} answers");
        have.extend_from_slice(&chunk[..read]);
        let mut at = 0;
        while let Some(head) = have.get(at..at + 5) {
            let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
            if have.len() < at + 1 + length {
                break;
            }
            seen += usize::from(head[0] == b'Z');
            at += 1 + length;
        }
        have.drain(..at);
    }
    seen
}

/// A hundred thousand statements and not a byte read meanwhile: what the server answers must not keep
/// dbproxy from taking what the client still writes.
#[test]
fn a_client_may_write_a_long_pipeline_before_it_reads() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (raw, _) = Raw::log_in(proxy.port(), "app_ro");
    let one = [parse("", "select 1"), bind("", ""), execute("", 0), sync()].concat();
    let reader = raw.stream.try_clone().unwrap();
    let mut writer = raw.stream;
    // The server stops reading when nobody takes its answers; so the client reads in the end.
    let writing = std::thread::spawn(move || {
        for _ in 0..100 {
            writer.write_all(&one.repeat(1_000)).unwrap();
        }
    });
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(count_ready(reader, 100_000), 100_000);
    writing.join().unwrap();
}

/// Both directions are full at once: large parameters one way, large results the other.
#[test]
fn large_messages_both_ways_do_not_block_each_other() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (raw, _) = Raw::log_in(proxy.port(), "app_ro");
    let sql = format!("select repeat('x', 300000) /* {} */\0", "y".repeat(300_000));
    let query = message(b'Q', sql.as_bytes());
    let reader = raw.stream.try_clone().unwrap();
    let mut writer = raw.stream;
    let writing = std::thread::spawn(move || {
        for _ in 0..50 {
            writer.write_all(&query).unwrap();
        }
    });
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(count_ready(reader, 50), 50);
    writing.join().unwrap();
}

#[test]
fn a_pipeline_works_inside_tls_too() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let mut raw = start(sandbox, Raw::connect(proxy.port()), Some(b"postgresql")).unwrap();
    raw.send(&crate::support::raw::startup(
        3 << 16,
        &[("user", "app_ro"), ("database", "app")],
    ));
    raw.read_until(b'Z');
    raw.send(&message(b'Q', b"select repeat('x', 1000)\0").repeat(500));
    assert_eq!(count_ready(&mut raw.stream, 500), 500);
}

#[test]
fn a_flush_brings_the_answer_without_a_sync() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    let flush = message(b'H', b"");
    raw.send(&[parse("s", "select 1"), message(b'D', b"Ss\0"), flush.clone()].concat());
    assert_eq!(tags(&raw.read_until(b'T')), "1tT");
    raw.send(&[bind("", "s"), execute("", 0), flush].concat());
    assert_eq!(tags(&raw.read_until(b'C')), "2DC");
    raw.send(&sync());
    assert_eq!(tags(&raw.read_until(b'Z')), "Z");
}

#[test]
fn each_sync_and_each_query_of_a_segment_is_answered() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    let query = message(b'Q', b"select 1\0");
    raw.send(&[sync(), query.clone(), sync(), sync(), query].concat());
    let answers: Vec<String> = (0..5).map(|_| tags(&raw.read_until(b'Z'))).collect();
    assert_eq!(answers, ["Z", "TDCZ", "Z", "Z", "TDCZ"]);
}

#[test]
fn after_an_error_the_pipeline_goes_on_behind_its_sync() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    let run = |sql| [parse("", sql), bind("", ""), execute("", 0)].concat();
    raw.send(&[run("select 1"), run("select 1/0"), run("select 2"), sync()].concat());
    raw.send(&[run("select 3"), sync()].concat());
    // The division is done when it is bound.
    assert_eq!(tags(&raw.read_until(b'Z')), "12DC1EZ");
    let answer = raw.read_until(b'Z');
    assert_eq!(tags(&answer), "12DCZ");
    assert_eq!(text(&answer[2]), "3");
}

#[test]
fn portals_are_suspended_and_statements_stay() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    let name = "n".repeat(2_000);
    raw.send(&[message(b'Q', b"begin\0")].concat());
    raw.read_until(b'Z');
    raw.send(
        &[
            parse(&name, "select generate_series(1, 5)"),
            bind("p", &name),
            execute("p", 2),
            sync(),
        ]
        .concat(),
    );
    assert_eq!(tags(&raw.read_until(b'Z')), "12DDsZ");
    raw.send(&[execute("p", 2), execute("p", 0), sync()].concat());
    assert_eq!(tags(&raw.read_until(b'Z')), "DDsDCZ");
    raw.query("commit");
    raw.read_until(b'Z');
    // The statement outlives the transaction, the portal does not.
    raw.send(&[bind("", &name), execute("", 0), sync()].concat());
    assert_eq!(tags(&raw.read_until(b'Z')), "2DDDDDCZ");
    raw.send(&[execute("p", 0), sync()].concat());
    assert_eq!(tags(&raw.read_until(b'Z')), "EZ");
}

#[test]
fn odd_queries_have_their_own_answers() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    for (sql, expected) in [
        ("", "IZ"),
        (";", "IZ"),
        ("select 1; select 2; set x.y = 'z'", "TDCTDCCZ"),
        ("select 1; select 1/0; select 2", "TDCTEZ"),
        ("select", "TDCZ"),
    ] {
        raw.query(sql);
        let answer = tags(&raw.read_until(b'Z'));
        // Whether the description of a failing statement comes first is the planner's affair.
        assert!(
            answer == expected || answer == expected.replace("TEZ", "EZ"),
            "{sql}: {answer}"
        );
    }
}

/// The fast path of large objects and of old drivers.
#[test]
fn function_calls_pass() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    let call = |oid: u32, arguments: &[i32]| {
        let mut body = oid.to_be_bytes().to_vec();
        body.extend([0, 1, 0, 1]);
        body.extend(u16::try_from(arguments.len()).unwrap().to_be_bytes());
        for argument in arguments {
            body.extend(4u32.to_be_bytes());
            body.extend(argument.to_be_bytes());
        }
        body.extend([0, 1]);
        message(b'F', &body)
    };
    const INT4PL: u32 = 177;
    const INT4DIV: u32 = 154;
    raw.send(
        &[
            call(INT4PL, &[40, 2]),
            call(INT4DIV, &[1, 0]),
            call(INT4PL, &[1, 1]),
        ]
        .concat(),
    );
    let answer = raw.read_until(b'Z');
    assert_eq!(tags(&answer), "VZ");
    assert_eq!(answer[0].body[4..], 42i32.to_be_bytes());
    assert_eq!(tags(&raw.read_until(b'Z')), "EZ");
    assert_eq!(tags(&raw.read_until(b'Z')), "VZ");
}

#[test]
fn what_the_server_says_unasked_arrives_at_once() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    raw.query("listen flow");
    raw.read_until(b'Z');
    proxy.query("app_rw", "notify flow, 'hello'");
    let notification = raw.message().unwrap();
    assert_eq!(notification.tag, b'A');
    assert!(notification.body.ends_with(b"flow\0hello\0"));
    // A notice that comes while its query still runs.
    raw.query("do $$ begin raise notice 'early'; perform pg_sleep(600); end $$");
    let notice = raw.message().unwrap();
    assert_eq!((notice.tag, notice.field(b'M').as_str()), (b'N', "early"));
}

#[test]
fn a_reported_parameter_that_changes_is_reported() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    raw.query("set timezone = 'Asia/Tokyo'");
    let answer = raw.read_until(b'Z');
    let reported: Vec<&[u8]> = answer
        .iter()
        .filter(|m| m.tag == b'S')
        .map(|m| &m.body[..])
        .collect();
    assert!(reported.contains(&&b"TimeZone\0Asia/Tokyo\0"[..]), "{answer:?}");
}

/// Thousands of bytes with escaped blanks, and the server has read them.
#[test]
fn large_options_pass() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let value = r"a\ b".repeat(1_500);
    let options = format!("-c x.large={value} -c work_mem=7MB");
    let mut raw = Raw::connect(proxy.port());
    let parameters = [("user", "app_ro"), ("database", "app"), ("options", &*options)];
    raw.send(&crate::support::raw::startup(3 << 16, &parameters));
    raw.read_until(b'Z');
    raw.query("select length(current_setting('x.large')) || current_setting('work_mem')");
    let answer = raw.read_until(b'Z');
    assert!(text(&answer[1]).ends_with("45007MB"), "{:?}", text(&answer[1]));
}

/// No timer of dbproxy's ends a session, idle or inside a transaction.
#[test]
fn sessions_live_as_long_as_they_like() {
    let (sandbox, _turn) = Sandbox::shared();
    let timeouts = ["startup", "dial", "tls", "login"].map(|what| format!("{what}_timeout = \"1s\"\n"));
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]");
    let proxy = Proxy::start(sandbox, &(timeouts.concat() + &target));
    let (mut idle, _) = Raw::log_in(proxy.port(), "app_ro");
    let (mut open, _) = Raw::log_in(proxy.port(), "app_ro");
    open.query("begin");
    open.read_until(b'Z');
    std::thread::sleep(std::time::Duration::from_secs(3));
    for raw in [&mut idle, &mut open] {
        raw.query("select 1");
        assert_eq!(tags(&raw.read_until(b'Z')), "TDCZ");
    }
}
