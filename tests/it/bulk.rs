//! COPY in every direction and with errors from each side, and messages as large as PostgreSQL takes them, with
//! bounded memory.

mod streams;

use crate::support::raw::{Message, backend_key, cancel_request, message};
use crate::support::{Proxy, Raw, Sandbox};
use std::io::{Read, Write};

fn proxy(sandbox: &Sandbox) -> Proxy {
    let users = "db_users = [\"app_ro\", \"app_rw\", \"sandbox_admin\"]";
    Proxy::start(sandbox, &sandbox.target("orders", users))
}

fn tags(messages: &[Message]) -> String {
    messages.iter().map(|m| char::from(m.tag)).collect()
}

fn data(text: &str) -> Vec<u8> {
    message(b'd', text.as_bytes())
}

/// A session with a table `t (x int)` of its own.
fn with_table(proxy: &Proxy) -> (Raw, Vec<Message>) {
    let (mut raw, greeting) = Raw::log_in(proxy.port(), "app_rw");
    raw.query("create temp table t (x int)");
    raw.read_until(b'Z');
    (raw, greeting)
}

fn count(raw: &mut Raw) -> String {
    raw.query("select count(*) from t");
    let answer = raw.read_until(b'Z');
    assert_eq!(tags(&answer), "TDCZ", "{answer:?}");
    String::from_utf8_lossy(&answer[1].body[6..]).into_owned()
}

#[test]
fn a_bad_row_ends_the_copy_while_the_client_still_writes() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = with_table(&proxy);
    raw.query("copy t from stdin");
    raw.read_until(b'G');
    raw.send(&data("1\nnonsense\n"));
    // What comes late is discarded by the server, and must reach it all the same.
    raw.send(&data("2\n").repeat(1_000));
    raw.send(&message(b'c', b""));
    let answer = raw.read_until(b'Z');
    assert_eq!(tags(&answer), "EZ");
    assert_eq!(answer[0].field(b'C'), "22P02");
    assert_eq!(count(&mut raw), "0");
}

#[test]
fn a_client_may_give_up_its_copy() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = with_table(&proxy);
    raw.query("copy t from stdin");
    raw.read_until(b'G');
    raw.send(&[data("1\n"), message(b'f', b"changed my mind\0")].concat());
    let answer = raw.read_until(b'Z');
    assert_eq!(
        (tags(&answer).as_str(), answer[0].field(b'C').as_str()),
        ("EZ", "57014")
    );
    assert_eq!(count(&mut raw), "0");
}

/// PostgreSQL ignores Flush and Sync in the midst of a COPY.
#[test]
fn flush_and_sync_inside_a_copy_change_nothing() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = with_table(&proxy);
    raw.query("copy t from stdin");
    raw.read_until(b'G');
    let (flush, sync) = (message(b'H', b""), message(b'S', b""));
    raw.send(
        &[
            data("1\n"),
            flush,
            data("2\n"),
            sync,
            data("3\n"),
            message(b'c', b""),
        ]
        .concat(),
    );
    assert_eq!(tags(&raw.read_until(b'Z')), "CZ");
    assert_eq!(count(&mut raw), "3");
}

#[test]
fn copy_works_in_the_extended_protocol() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = with_table(&proxy);
    let begin = [
        message(b'P', b"\0copy t from stdin\0\0\0"),
        message(b'B', &[0; 8]),
        message(b'E', &[0; 5]),
    ]
    .concat();
    let sync = message(b'S', b"");
    for sync_first in [true, false] {
        raw.send(&begin);
        if sync_first {
            raw.send(&sync);
        } else {
            raw.send(&message(b'H', b""));
        }
        raw.read_until(b'G');
        raw.send(&[data("1\n"), message(b'c', b""), sync.clone()].concat());
        assert_eq!(tags(&raw.read_until(b'Z')), "CZ");
    }
    assert_eq!(count(&mut raw), "2");
}

#[test]
fn nothing_and_binary_data_are_copied_too() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = with_table(&proxy);
    raw.query("copy t from stdin");
    raw.read_until(b'G');
    raw.send(&message(b'c', b""));
    assert_eq!(tags(&raw.read_until(b'Z')), "CZ");
    raw.query("copy (select 7) to stdout (format binary)");
    let answer = raw.read_until(b'Z');
    let bytes: Vec<u8> = answer
        .iter()
        .filter(|m| m.tag == b'd')
        .flat_map(|m| m.body.clone())
        .collect();
    assert!(bytes.starts_with(b"PGCOPY\n\xff\r\n\0"), "{bytes:?}");
    raw.query("copy t from stdin (format binary)");
    raw.read_until(b'G');
    // In pieces that fit no row.
    for piece in bytes.chunks(5) {
        raw.send(&message(b'd', piece));
    }
    raw.send(&message(b'c', b""));
    assert_eq!(tags(&raw.read_until(b'Z')), "CZ");
    assert_eq!(count(&mut raw), "1");
}

#[test]
fn a_copy_out_is_cancelled_in_the_middle() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, greeting) = with_table(&proxy);
    raw.query("copy (select repeat('x', 1000) from generate_series(1, 100000000)) to stdout");
    raw.read_until(b'd');
    let mut canceller = Raw::connect(proxy.port());
    canceller.send(&cancel_request(&backend_key(&greeting)));
    assert!(canceller.rest().is_empty());
    let answer = raw.read_until(b'Z');
    let end = &answer[answer.len() - 2];
    assert_eq!((end.tag, end.field(b'C').as_str()), (b'E', "57014"));
    assert_eq!(count(&mut raw), "0");
}

/// PostgreSQL's own limit is a gigabyte less a little.
fn large() -> usize {
    match std::env::var("DBPROXY_TORTURE").is_ok_and(|value| value == "full") {
        true => (1 << 30) - 1_000,
        false => 200 << 20,
    }
}

/// How much the process has grown at most, in KiB; a session has buffers of tens of KiB.
const GROWTH_MAX: u64 = 16 << 10;

#[test]
fn a_row_as_large_as_can_be_passes_in_little_memory() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    let before = proxy.peak_memory_kib().unwrap();
    let length = large();
    raw.query(&format!("select repeat('x', {length})"));
    let head = {
        let mut head = [0; 5];
        raw.read_until(b'T');
        raw.stream.read_exact(&mut head).unwrap();
        head
    };
    assert_eq!(head[0], b'D');
    let body = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize - 4;
    assert_eq!(body, length + 6);
    let read = std::io::copy(&mut (&raw.stream).take(body as u64), &mut std::io::sink()).unwrap();
    assert_eq!(read as usize, body);
    assert_eq!(tags(&raw.read_until(b'Z')), "CZ");
    let grown = proxy.peak_memory_kib().unwrap() - before;
    assert!(grown < GROWTH_MAX, "{grown} KiB for a row of {length} bytes");
}

#[test]
fn a_parameter_as_large_as_can_be_passes_in_little_memory() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    let before = proxy.peak_memory_kib().unwrap();
    let length = large();
    raw.send(&message(b'P', b"\0select length($1::text)\0\0\0"));
    // Bind: no names, no formats, one value, no result formats.
    let body = 4 + 2 + 2 + 2 + 4 + length + 2;
    raw.send(
        &[
            &b"B"[..],
            &u32::try_from(body).unwrap().to_be_bytes(),
            &[0; 4],
            &[0, 1],
        ]
        .concat(),
    );
    raw.send(&u32::try_from(length).unwrap().to_be_bytes());
    let chunk = vec![b'x'; 1 << 20];
    let mut left = length;
    while left > 0 {
        let now = left.min(chunk.len());
        raw.stream.write_all(&chunk[..now]).unwrap();
        left -= now;
    }
    raw.send(&[&[0; 2][..], &message(b'E', &[0; 5]), &message(b'S', b"")].concat());
    let answer = raw.read_until(b'Z');
    assert_eq!(tags(&answer), "12DCZ", "{answer:?}");
    assert_eq!(answer[2].body[6..], *length.to_string().as_bytes());
    let grown = proxy.peak_memory_kib().unwrap() - before;
    assert!(
        grown < GROWTH_MAX,
        "{grown} KiB for a parameter of {length} bytes"
    );
}
