//! Openings and messages at every byte boundary: however the bytes are cut, the answer is the same, and
//! whoever breaks off leaves nothing behind.

use crate::support::raw::{GSS_REQUEST, SSL_REQUEST, cancel_request, message, packet, startup};
use crate::support::{Proxy, Raw, Sandbox};

const STARTUP: &[(&str, &str)] = &[("user", "app_ro"), ("database", "app")];

fn proxy(sandbox: &Sandbox) -> Proxy {
    let users = "[targets.orders.users.app_password]\ncredential = { kind = \"passthrough\" }\n";
    let target = sandbox.target("orders", "db_users = [\"app_ro\"]");
    Proxy::start(sandbox, &format!("startup_timeout = \"20s\"\n{target}{users}"))
}

/// Nothing is left, and the next client is served.
fn recovers(proxy: &Proxy) {
    proxy.wait_for_metric("dbproxy_connections_open", 0.0);
    proxy.wait_for_metric("dbproxy_sessions_open", 0.0);
    Raw::log_in(proxy.port(), "app_ro");
}

/// A greeting, an ErrorResponse with its SQLSTATE, or the end.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    In,
    Refused(String),
    Closed,
}

fn answer(raw: &mut Raw) -> Answer {
    while let Some(message) = raw.message() {
        match message.tag {
            b'Z' => return Answer::In,
            b'E' => return Answer::Refused(message.field(b'C')),
            _ => {}
        }
    }
    Answer::Closed
}

fn answer_to(proxy: &Proxy, bytes: &[u8]) -> Answer {
    let mut raw = Raw::connect(proxy.port());
    // Who is refused early may find the door shut while it still speaks.
    let _ = std::io::Write::write_all(&mut raw.stream, bytes);
    answer(&mut raw)
}

fn refused(state: &str) -> Answer {
    Answer::Refused(state.to_owned())
}

#[test]
fn a_startup_in_two_segments_is_one_wherever_it_is_cut() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let whole = startup(3 << 16, STARTUP);
    for cut in 1..whole.len() {
        let mut raw = Raw::connect(proxy.port());
        raw.send(&whole[..cut]);
        std::thread::yield_now();
        raw.send(&whole[cut..]);
        assert_eq!(answer(&mut raw), Answer::In, "cut at {cut}");
    }
    recovers(&proxy);
}

/// Both encryption requests in either order, each byte a segment, then the startup message.
#[test]
fn encryption_requests_may_come_byte_by_byte_in_either_order() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    for order in [[SSL_REQUEST, GSS_REQUEST], [GSS_REQUEST, SSL_REQUEST]] {
        let mut raw = Raw::connect(proxy.port());
        for request in order {
            request.iter().for_each(|byte| raw.send(&[*byte]));
            assert_eq!(raw.byte(), b'N');
        }
        for byte in startup(3 << 16, STARTUP) {
            raw.send(&[byte]);
        }
        assert_eq!(answer(&mut raw), Answer::In);
    }
    recovers(&proxy);
}

#[test]
fn an_opening_that_breaks_off_anywhere_leaves_nothing_behind() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let openings = [
        startup(3 << 16, STARTUP),
        SSL_REQUEST.to_vec(),
        GSS_REQUEST.to_vec(),
        cancel_request(&[7; 8]),
        cancel_request(&[7; 36]),
    ];
    for opening in &openings {
        for cut in 0..opening.len() {
            let mut raw = Raw::connect(proxy.port());
            raw.send(&opening[..cut]);
        }
    }
    recovers(&proxy);
    // The one that came after.
    proxy.wait_for_metric("dbproxy_connections_closed_total{reason=\"client_closed\"}", 1.0);
}

#[test]
fn lengths_that_cannot_be_are_closed_without_a_word() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let mut lengths: Vec<u32> = (0..8).collect();
    lengths.extend([10_001, 1 << 20, 1 << 31, u32::MAX]);
    for length in &lengths {
        let bytes = [&length.to_be_bytes()[..], &[0, 3, 0, 0, 0]].concat();
        assert_eq!(answer_to(&proxy, &bytes), Answer::Closed, "{length}");
    }
    let reason = "dbproxy_connections_closed_total{reason=\"protocol_violation\"}";
    proxy.wait_for_metric(reason, lengths.len() as f64);
    recovers(&proxy);
}

#[test]
fn strangers_of_every_kind_are_closed_without_a_word() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: db\r\n\r\n"[..],
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"EHLO mail.example\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"\x4a\x00\x00\x00\x0a8.0.36\0",
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    ] {
        assert_eq!(answer_to(&proxy, bytes), Answer::Closed, "{bytes:?}");
    }
    recovers(&proxy);
}

#[test]
fn malformed_startup_messages_are_refused_by_name() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let three = |rest: &[u8]| packet(&[&[0, 3, 0, 0], rest].concat());
    for (what, bytes, expected) in [
        (
            "version 1",
            packet(b"\0\x01\0\0user\0app_ro\0\0"),
            refused("0A000"),
        ),
        (
            "version 2",
            packet(&[&[0, 2, 0, 0][..], &[0; 288]].concat()),
            refused("0A000"),
        ),
        (
            "version 4",
            packet(b"\0\x04\0\0user\0app_ro\0\0"),
            refused("0A000"),
        ),
        ("no parameters", three(b""), refused("08P01")),
        ("no user", three(b"\0"), refused("28000")),
        ("an empty user", three(b"user\0\0\0"), refused("28000")),
        ("no value", three(b"user\0"), refused("08P01")),
        ("no end", three(b"user\0app_ro\0"), refused("08P01")),
        (
            "an end too early",
            three(b"user\0app_ro\0\0database\0app\0\0"),
            refused("08P01"),
        ),
        (
            "two databases",
            three(b"user\0app_ro\0database\0a\0database\0b\0\0"),
            refused("08P01"),
        ),
        ("not UTF-8", three(b"user\0app\xff\0\0"), refused("28000")),
        (
            "64 bytes",
            three(&[b"user\0", &[b'x'; 64][..], b"\0\0"].concat()),
            refused("28000"),
        ),
        (
            "63 bytes",
            three(&[b"user\0", &[b'x'; 63][..], b"\0\0"].concat()),
            refused("42501"),
        ),
        (
            "another case",
            three(b"user\0APP_RO\0database\0app\0\0"),
            refused("42501"),
        ),
        (
            "bytes behind SSLRequest",
            packet(b"\x04\xd2\x16\x2f!"),
            refused("08P01"),
        ),
        (
            "bytes behind GSSENCRequest",
            packet(b"\x04\xd2\x16\x30!"),
            refused("08P01"),
        ),
    ] {
        assert_eq!(answer_to(&proxy, &bytes), expected, "{what}");
    }
    recovers(&proxy);
}

#[test]
fn a_thousand_parameters_are_the_servers_to_judge() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let names: Vec<String> = (0..1000).map(|number| format!("x.{number}")).collect();
    let mut parameters = STARTUP.to_vec();
    parameters.extend(names.iter().map(|name| (name.as_str(), "1")));
    let whole = startup(3 << 16, &parameters);
    assert!(whole.len() < 10_000, "{}", whole.len());
    let mut raw = Raw::connect(proxy.port());
    raw.send(&whole);
    // Custom settings of one digit: PostgreSQL 15 takes no such names.
    assert_ne!(answer(&mut raw), Answer::Closed);
    recovers(&proxy);
}

#[test]
fn cancel_requests_of_every_size_are_met_with_silence() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    for size in [8, 9, 16, 36, 260] {
        let mut raw = Raw::connect(proxy.port());
        raw.send(&cancel_request(&vec![1; size]));
        assert!(raw.rest().is_empty(), "{size}");
    }
    proxy.wait_for_metric("dbproxy_cancel_requests_total{outcome=\"unknown_key\"}", 5.0);
    // These cannot be keys; the protocol has an answer for what is no cancel request.
    for size in [0, 3, 4, 7, 261, 1000] {
        let outcome = answer_to(&proxy, &cancel_request(&vec![1; size]));
        assert_eq!(outcome, refused("08P01"), "{size}");
    }
    recovers(&proxy);
}

/// With passthrough the client's answers are read: each message is bounded before it is read.
#[test]
fn messages_of_an_authentication_exchange_are_bounded() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let hello = startup(3 << 16, &[("user", "app_password"), ("database", "app")]);
    let sasl = |length: i32| {
        message(
            b'p',
            &[&b"SCRAM-SHA-256\0"[..], &length.to_be_bytes(), b"n,,n=,r=abc"].concat(),
        )
    };
    let long = |length: usize| message(b'p', &vec![b'x'; length]);
    for (what, bytes) in [
        ("length 0", b"p\0\0\0\0".to_vec()),
        ("length 3", b"p\0\0\0\x03".to_vec()),
        ("an empty answer", message(b'p', b"")),
        ("a negative length", b"p\xff\xff\xff\xff".to_vec()),
        ("a response of length -2", sasl(-2)),
        ("a response beyond its end", sasl(1 << 30)),
        ("another message", message(b'Q', b"select 1\0")),
        ("65,535 bytes", long(65_535)),
        ("more", long(65_536)),
    ] {
        let mut raw = Raw::connect(proxy.port());
        raw.send(&hello);
        assert_eq!(raw.message().unwrap().tag, b'R', "{what}");
        let _ = std::io::Write::write_all(&mut raw.stream, &bytes);
        match answer(&mut raw) {
            Answer::Refused(state) => assert!(
                state.starts_with("08") || state.starts_with("28"),
                "{what}: {state}"
            ),
            other => panic!("{what}: {other:?}"),
        }
    }
    recovers(&proxy);
    // Of these five nothing reaches the server; the others are its own to refuse.
    let violations = proxy.metric("dbproxy_connections_closed_total{reason=\"protocol_violation\"}");
    assert_eq!(violations, 5.0);
}

#[test]
fn a_message_that_breaks_off_anywhere_ends_only_its_session() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let query = message(b'Q', b"select 1\0");
    for cut in 0..query.len() {
        let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
        raw.send(&query[..cut]);
    }
    recovers(&proxy);
}

/// What is no message is PostgreSQL's to answer, and its answer arrives. On an impossible length it closes
/// without a word, and dbproxy says at least that.
#[test]
fn what_is_no_message_is_the_servers_to_refuse() {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    for (bytes, state) in [
        (&b"!\0\0\0\x04"[..], "08P01"),
        (b"\0\0\0\0\0", "08P01"),
        (b"Q\0\0\0\x03", "08006"),
        (b"Q\xff\xff\xff\xff", "08006"),
    ] {
        let (mut raw, _) = Raw::log_in(proxy.port(), "app_ro");
        raw.send(bytes);
        let error = raw.message().expect("a word before the end");
        assert_eq!(
            (error.tag, error.field(b'C').as_str()),
            (b'E', state),
            "{bytes:?}"
        );
        assert!(raw.is_closed());
    }
    recovers(&proxy);
}
