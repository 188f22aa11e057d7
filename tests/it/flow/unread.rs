//! Clients that write and do not read.

use super::{bind, count_ready, execute, parse, proxy, sync, tags};
use crate::support::raw::message;
use crate::support::{Raw, Sandbox};

/// A hundred thousand executions before one byte is read: their answers wait in kernels and in dbproxy.
#[test]
fn a_pipeline_is_written_to_its_end_before_anything_is_read() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
    raw.send(&[parse("empty", ""), sync()].concat());
    assert_eq!(tags(&raw.read_until(b'Z')), "1Z");
    // Answered by ten bytes each, BindComplete and EmptyQueryResponse.
    let one = [bind("", "empty"), execute("", 0)].concat();
    for _ in 0..100 {
        raw.send(&one.repeat(1_000));
    }
    raw.send(&sync());
    let answer = raw.read_until(b'Z');
    assert_eq!(answer.len(), 200_001);
    assert!(answer.chunks(2).take(100_000).all(|pair| tags(pair) == "2I"));
}

/// A result that nobody reads keeps nobody else waiting, and ends with its client.
#[test]
fn a_client_that_never_reads_holds_up_only_itself() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let before = proxy.peak_memory_kib().unwrap();
    let mut idlers = Vec::new();
    for _ in 0..8 {
        let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
        raw.query("select repeat('x', 1000000) from generate_series(1, 100000)");
        raw.read_until(b'T');
        idlers.push(raw);
    }
    // More of them than threads, so every thread has one.
    for _ in 0..8 {
        let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
        raw.send(&message(b'Q', b"select 1\0").repeat(100));
        assert_eq!(count_ready(&raw.stream, 100), 100);
    }
    let grown = proxy.peak_memory_kib().unwrap() - before;
    assert!(grown < 32 << 10, "{grown} KiB");
    drop(idlers);
    proxy.wait_for_metric("dbproxy_sessions_open", 0.0);
}
