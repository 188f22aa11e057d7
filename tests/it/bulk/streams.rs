//! Very large messages inside the client's TLS, and a client that streams on while its COPY has long failed: in
//! little memory, too.

use super::{GROWTH_MAX, count, data, large, proxy, tags, with_table};
use crate::support::raw::{SSL_REQUEST, message, startup};
use crate::support::tls::{TlsRaw, client_tls, start};
use crate::support::{Proxy, Raw, Sandbox};
use std::io::{Read, Write};

fn with_tls(sandbox: &Sandbox) -> (Proxy, TlsRaw) {
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]");
    let proxy = Proxy::start(sandbox, &(target + &client_tls(sandbox, "")));
    let mut raw = Raw::connect(proxy.port());
    raw.send(&SSL_REQUEST);
    assert_eq!(raw.byte(), b'S');
    let mut raw = start(sandbox, raw, None).unwrap();
    raw.send(&startup(3 << 16, &[("user", "app_ro"), ("database", "app")]));
    raw.read_until(b'Z');
    (proxy, raw)
}

#[test]
fn a_row_as_large_as_can_be_passes_inside_tls() {
    let (sandbox, _turn) = Sandbox::shared();
    let (proxy, mut raw) = with_tls(sandbox);
    let before = proxy.peak_memory_kib().unwrap();
    let length = large();
    raw.query(&format!("select repeat('x', {length})"));
    raw.read_until(b'T');
    let mut head = [0; 5];
    raw.stream.read_exact(&mut head).unwrap();
    let body = u64::from(u32::from_be_bytes(head[1..].try_into().unwrap())) - 4;
    assert_eq!((head[0], body), (b'D', length as u64 + 6));
    let mut row = (&mut raw.stream).take(body);
    assert_eq!(std::io::copy(&mut row, &mut std::io::sink()).unwrap(), body);
    assert_eq!(tags(&raw.read_until(b'Z')), "CZ");
    let grown = proxy.peak_memory_kib().unwrap() - before;
    assert!(grown < GROWTH_MAX, "{grown} KiB for a row of {length} bytes");
}

#[test]
fn a_parameter_as_large_as_can_be_passes_inside_tls() {
    let (sandbox, _turn) = Sandbox::shared();
    let (proxy, mut raw) = with_tls(sandbox);
    let before = proxy.peak_memory_kib().unwrap();
    let length = large();
    raw.send(&message(b'P', b"\0select length($1::text)\0\0\0"));
    // Bind: no names, no formats, one value, no result formats.
    let body = u32::try_from(4 + 2 + 2 + 2 + 4 + length + 2).unwrap();
    let value = u32::try_from(length).unwrap();
    raw.send(
        &[
            &b"B"[..],
            &body.to_be_bytes(),
            &[0, 0, 0, 0, 0, 1],
            &value.to_be_bytes(),
        ]
        .concat(),
    );
    std::io::copy(&mut std::io::repeat(b'x').take(length as u64), &mut raw.stream).unwrap();
    raw.send(&[&[0; 2][..], &message(b'E', &[0; 5]), &message(b'S', b"")].concat());
    raw.stream.flush().unwrap();
    let answer = raw.read_until(b'Z');
    assert_eq!(tags(&answer), "12DCZ", "{answer:?}");
    assert_eq!(answer[2].body[6..], *length.to_string().as_bytes());
    let grown = proxy.peak_memory_kib().unwrap() - before;
    assert!(
        grown < GROWTH_MAX,
        "{grown} KiB for a parameter of {length} bytes"
    );
}

/// A hundred megabytes behind the bad row, and not a byte read before their end. The server discards them all,
/// and so it must get them all.
#[test]
fn a_client_streams_on_long_after_its_copy_has_failed() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let (mut raw, _) = with_table(&proxy);
    let before = proxy.peak_memory_kib().unwrap();
    raw.query("copy t from stdin");
    raw.read_until(b'G');
    raw.send(&data("nonsense\n"));
    let piece = data(&"2\n".repeat(500_000));
    for _ in 0..100 {
        raw.send(&piece);
    }
    raw.send(&message(b'c', b""));
    let answer = raw.read_until(b'Z');
    assert_eq!(tags(&answer), "EZ");
    assert_eq!(answer[0].field(b'C'), "22P02");
    assert_eq!(count(&mut raw), "0");
    let grown = proxy.peak_memory_kib().unwrap() - before;
    assert!(grown < GROWTH_MAX, "{grown} KiB");
}
