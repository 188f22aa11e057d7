//! When a session counts as idle: after an odd exchange has ended, dbproxy's own end reaches its client at once,
//! though transactions may take ten minutes.

use super::{bind, execute, parse, sync, tags};
use crate::support::raw::{message, startup};
use crate::support::{Proxy, Raw, Sandbox};

/// What is sent, and the types of what is answered.
type Exchange = (&'static str, Vec<Vec<u8>>, &'static str);

fn data(text: &str) -> Vec<u8> {
    message(b'd', text.as_bytes())
}

fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

fn run(sql: &str) -> Vec<u8> {
    [parse("", sql), bind("", ""), execute("", 0)].concat()
}

/// Each piece is sent when the one before is answered.
fn exchanges() -> Vec<Exchange> {
    let (copy, done, fail) = ("copy t from stdin", message(b'c', b""), message(b'f', b"no\0"));
    let late = data("2\n").repeat(20_000);
    vec![
        (
            "a bad row, late data",
            vec![query(copy), [data("x\n"), late.clone(), done.clone()].concat()],
            "G EZ",
        ),
        (
            "two copies in a query",
            vec![
                query("copy t from stdin; copy t from stdin; select 1"),
                [data("1\n"), done.clone()].concat(),
                [data("2\n"), done.clone()].concat(),
            ],
            "G CG CTDCZ",
        ),
        (
            "sync in a copy",
            vec![query(copy), [sync(), done.clone()].concat()],
            "G CZ",
        ),
        (
            "extended, sync late",
            vec![
                [run(copy), message(b'H', b"")].concat(),
                [data("1\n"), done.clone(), sync()].concat(),
            ],
            "12G CZ",
        ),
        (
            "extended, sync early",
            vec![
                [run(copy), sync()].concat(),
                [data("1\n"), done.clone(), sync()].concat(),
            ],
            "12G CZ",
        ),
        (
            "extended, a bad row, late data",
            vec![
                [run(copy), sync()].concat(),
                [data("x\n"), late, done.clone(), sync()].concat(),
            ],
            "12G EZ",
        ),
        (
            "extended, given up",
            vec![[run(copy), sync()].concat(), [fail, sync()].concat()],
            "12G EZ",
        ),
        (
            "errors in a pipeline",
            vec![
                [
                    run("select 1/0"),
                    run("select 2"),
                    sync(),
                    run("select 3"),
                    sync(),
                ]
                .concat(),
            ],
            "1EZ12DCZ",
        ),
        (
            "a row limit and its portal",
            vec![
                [
                    parse("", "select generate_series(1, 3)"),
                    bind("p", ""),
                    execute("p", 1),
                    sync(),
                ]
                .concat(),
            ],
            "12DsZ",
        ),
        ("a function that fails", vec![message(b'F', &[0; 12])], "EZ"),
        ("nothing but syncs", vec![sync().repeat(5)], "ZZZZZ"),
        (
            "flush in a copy",
            vec![
                query(copy),
                [data("1\n"), message(b'H', b""), done.clone()].concat(),
            ],
            "G CZ",
        ),
        (
            "a whole copy in one segment",
            vec![[run(copy), sync(), data("1\n"), done, sync()].concat()],
            "12GCZ",
        ),
        (
            "a query that is skipped",
            vec![[parse("", "nonsense"), query("select 1"), sync()].concat()],
            "EZ",
        ),
    ]
}

#[test]
fn a_session_is_idle_after_every_odd_exchange() {
    let (sandbox, _turn) = Sandbox::shared();
    let target = sandbox.target("orders", "db_users = [\"app_rw\"]");
    let mut proxy = Proxy::start(sandbox, &format!("drain_timeout = \"10m\"\n{target}"));
    let mut sessions = Vec::new();
    for (what, pieces, expected) in exchanges() {
        let mut raw = Raw::connect(proxy.port());
        raw.send(&startup(3 << 16, &[("user", "app_rw"), ("database", "app")]));
        raw.read_until(b'Z');
        raw.query("create temp table t (x int)");
        raw.read_until(b'Z');
        for (piece, answer) in pieces.iter().zip(expected.split(' ')) {
            raw.send(piece);
            let got: Vec<_> = answer.chars().map(|_| raw.message().expect(what)).collect();
            assert_eq!(tags(&got), answer, "{what}");
        }
        sessions.push((what, raw));
    }
    proxy.signal("TERM");
    for (what, mut raw) in sessions {
        let end = raw.message().unwrap_or_else(|| panic!("{what}: still not idle"));
        assert_eq!((end.tag, end.field(b'C').as_str()), (b'E', "57P01"), "{what}");
    }
    proxy.wait_for_exit();
}
