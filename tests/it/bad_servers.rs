//! Servers that misbehave, in every phase: the client reads what happened, every ending has its name, and
//! the next client is served.

use crate::support::raw::{Message, backend_key, message, startup};
use crate::support::scripted::{Scripted, greeting, read_message, reset, say_and_close};
use crate::support::{Proxy, Raw, Sandbox};
use std::io::{Read, Write};

struct Bench {
    proxy: Proxy,
    server: Scripted,
}

fn bench(sandbox: &Sandbox) -> Bench {
    let server = Scripted::start(sandbox);
    let timeouts = ["dial", "tls", "login"].map(|what| format!("{what}_timeout = \"500ms\"\n"));
    let proxy = Proxy::start(sandbox, &(timeouts.concat() + &server.target(sandbox)));
    Bench { proxy, server }
}

impl Bench {
    fn connect(&self) -> Raw {
        let mut raw = Raw::connect(self.proxy.port());
        raw.send(&startup(3 << 16, &[("user", "app"), ("database", "app")]));
        raw
    }

    /// What the client reads up to ReadyForQuery, or up to an ErrorResponse, which ends the connection.
    fn log_in(&self) -> (Raw, Vec<Message>) {
        let mut raw = self.connect();
        let mut read = Vec::new();
        while let Some(message) = raw.message() {
            let tag = message.tag;
            read.push(message);
            if matches!(tag, b'Z' | b'E') {
                break;
            }
        }
        (raw, read)
    }

    /// The refusal that the client reads; it is the only message, and the end follows.
    fn refused(&self, what: &str) -> Message {
        let (mut raw, read) = self.log_in();
        let [error] = &read[..] else {
            panic!("{what}: not one ErrorResponse but {read:?}")
        };
        assert_eq!(error.tag, b'E', "{what}");
        assert!(raw.is_closed(), "{what}");
        for field in [b'S', b'V', b'C', b'M', b'D'] {
            assert_ne!(error.field(field), "", "{what}: {error:?}");
        }
        error.clone()
    }

    fn refuses(&self, what: &str, state: &str, text: &str) {
        let error = self.refused(what);
        assert_eq!(error.field(b'C'), state, "{what}: {error:?}");
        assert!(error.field(b'M').contains(text), "{what}: {error:?}");
        assert_ne!(error.field(b'H'), "", "{what}: no hint in {error:?}");
    }

    /// Ends are counted after the client has seen them.
    fn counted(&self, reason: &str, count: usize) {
        let name = format!("dbproxy_connections_closed_total{{reason=\"{reason}\"}}");
        self.proxy.wait_for_metric(&name, count as f64);
    }

    /// A decent server serves the next client, and nothing of the others is left.
    fn recovers(&self) {
        let (mut raw, read) = self.log_in();
        assert_eq!(read.last().unwrap().tag, b'Z');
        raw.query("select");
        raw.read_until(b'Z');
        drop(raw);
        self.proxy.wait_for_metric("dbproxy_connections_open", 0.0);
        self.proxy.wait_for_metric("dbproxy_sessions_open", 0.0);
    }
}

#[test]
fn servers_that_will_not_do_tls_are_refused_by_name() {
    let (sandbox, _turn) = Sandbox::shared();
    let bench = bench(sandbox);
    let error = message(b'E', b"SFATAL\0C28000\0Mread me\0\0");
    let answers: [(&[u8], &str, &str); 6] = [
        (b"N", "08006", "refuses TLS"),
        // What comes before TLS may come from anybody (CVE-2024-10977).
        (&error, "08001", "does not speak the PostgreSQL protocol"),
        (b"G", "08001", "does not speak the PostgreSQL protocol"),
        (b"\0", "08001", "does not speak the PostgreSQL protocol"),
        (b"", "08001", "cannot be reached"),
        // Bytes behind the S are no part of a handshake.
        (b"SE\0\0\0\x08rest", "08006", "handshake"),
    ];
    for (answer, state, text) in answers {
        let answer = answer.to_vec();
        let what = format!("{answer:?}");
        bench.server.next(move |mut stream, _| {
            stream.read_exact(&mut [0; 8]).unwrap();
            stream.write_all(&answer).unwrap();
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let error = bench.refused(&what);
        assert_eq!(error.field(b'C'), state, "{what}: {error:?}");
        assert!(error.field(b'M').contains(text), "{what}: {error:?}");
        assert!(!format!("{error:?}").contains("read me"));
    }
    bench.counted("tls_not_verified", 2);
    bench.counted("unreachable", 4);
    bench.recovers();
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for() {
    let (sandbox, _turn) = Sandbox::shared();
    let bench = bench(sandbox);
    bench.server.next(|mut stream, _| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    bench.refuses("silence before TLS", "08001", "did not answer in time");
    bench.server.next(|mut stream, _| {
        let _ = stream.read_exact(&mut [0; 8]);
        let _ = stream.write_all(b"S");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    bench.refuses("silence in the handshake", "08001", "did not answer in time");
    for said in [vec![], message(b'R', &[0; 4]), b"R\0".to_vec()] {
        bench.server.next_in_tls(move |tls| {
            let _ = tls.write_all(&said);
            let _ = tls.read_to_end(&mut Vec::new());
        });
        bench.refuses(
            "silence in the login",
            "08001",
            "did not complete the login in time",
        );
    }
    bench.recovers();
}

#[test]
fn authentication_that_cannot_be_done_is_refused_by_name() {
    let (sandbox, _turn) = Sandbox::shared();
    let bench = bench(sandbox);
    let ask = |code: u32, rest: &[u8]| message(b'R', &[&code.to_be_bytes()[..], rest].concat());
    let many = ask(3, b"").repeat(9);
    for (what, said, state, text) in [
        ("GSS", ask(7, b""), "28000", "code 7"),
        ("SSPI", ask(9, b""), "28000", "code 9"),
        ("newer", ask(99, b""), "28000", "code 99"),
        ("no mechanism", ask(10, b"\0"), "28000", "authentication method"),
        (
            "only PLUS",
            ask(10, b"SCRAM-SHA-256-PLUS\0\0"),
            "28000",
            "SCRAM-SHA-256-PLUS",
        ),
        (
            "a list without end",
            ask(10, b"SCRAM-SHA-256"),
            "08006",
            "malformed",
        ),
        ("half a salt", ask(5, b"ab"), "08006", "malformed"),
        ("no code", message(b'R', b"\0\0"), "08006", "malformed"),
        (
            "a challenge too early",
            ask(11, b"r=x,s=eA==,i=4096"),
            "28000",
            "authentication method",
        ),
        ("passwords without end", many, "08006", "does not end"),
        (
            "another message",
            message(b'D', b"\0\0"),
            "08006",
            "unexpected message before the login",
        ),
        ("length 3", b"R\0\0\0\x03".to_vec(), "08006", "length"),
        (
            "a negative length",
            b"R\xff\xff\xff\xff".to_vec(),
            "08006",
            "allowed are",
        ),
        ("too long", b"R\0\x01\x86\xa0".to_vec(), "08006", "allowed are"),
        ("the end", vec![], "08006", "closed"),
    ] {
        bench.server.next_says(said);
        bench.refuses(what, state, text);
    }
    bench.recovers();
}

#[test]
fn scram_with_a_server_that_cheats_is_refused() {
    let (sandbox, _turn) = Sandbox::shared();
    let bench = bench(sandbox);
    let sasl = || message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    for (what, challenge, state, text) in [
        (
            "another nonce",
            "r=mine,s=c2FsdA==,i=4096",
            "28000",
            "does not fit",
        ),
        ("no salt", "r=mine,i=4096", "28000", "does not fit"),
        (
            "endless work",
            "r=mine,s=c2FsdA==,i=4294967295",
            "28000",
            "allowed are 100000",
        ),
        (
            "no iterations",
            "r=mine,s=c2FsdA==",
            "08006",
            "without its iterations",
        ),
        ("nothing", "", "08006", "without its iterations"),
    ] {
        bench.server.next_in_tls(move |tls| {
            let _ = tls.write_all(&sasl());
            read_message(tls);
            let body = [&11u32.to_be_bytes()[..], challenge.as_bytes()].concat();
            say_and_close(tls, &message(b'R', &body));
        });
        // A stored password that did not fit is read again and tried once more.
        bench.server.next_says(message(b'E', b"SFATAL\0C28P01\0Mno\0\0"));
        let error = bench.refused(what);
        let first = error.field(b'C') == state && error.field(b'M').contains(text);
        assert!(first || error.field(b'C') == "28P01", "{what}: {error:?}");
        bench.server.clear();
    }
    bench.recovers();
}

#[test]
fn errors_of_a_login_arrive_whatever_they_lack() {
    let (sandbox, _turn) = Sandbox::shared();
    let bench = bench(sandbox);
    for (fields, state, text) in [
        (
            &b"SFATAL\0VFATAL\0C53300\0Msorry, too many clients\0\0"[..],
            "53300",
            "too many",
        ),
        (b"SFATAL\0Mno code\0\0", "08000", "no code"),
        (b"SFATAL\0C12\0Mshort code\0\0", "08000", "short code"),
        (b"C57P03\0\0", "57P03", "without a reason"),
        (b"\0", "08000", "without a reason"),
        (b"", "08000", "without a reason"),
        (b"SFATAL\0C57P03\0Mcut", "57P03", "without a reason"),
    ] {
        bench.server.next_says(message(b'E', fields));
        let error = bench.refused(text);
        assert_eq!(error.field(b'C'), state, "{error:?}");
        assert!(error.field(b'M').contains(text), "{error:?}");
    }
    bench.counted("server_refused", 7);
    bench.recovers();
}

#[test]
fn keys_are_taken_as_the_server_makes_them() {
    let (sandbox, _turn) = Sandbox::shared();
    let bench = bench(sandbox);
    for length in [4, 32, 256] {
        bench
            .server
            .next_in_tls(move |tls| say_and_close(tls, &greeting(&vec![7; length])));
        let (_raw, read) = bench.log_in();
        let key = backend_key(&read);
        assert_eq!((key.len(), &key[..4]), (length + 4, &4711i32.to_be_bytes()[..]));
        assert_ne!(
            key[4..],
            vec![7; length],
            "the server's own secret stays with dbproxy"
        );
    }
    for length in [0, 3, 257] {
        bench.server.next_says(greeting(&vec![7; length]));
        bench.refuses("an impossible key", "08006", "cancel key");
    }
    // A server that has no such thing.
    bench.server.next_in_tls(|tls| {
        say_and_close(tls, &[message(b'R', &[0; 4]), message(b'Z', b"I")].concat());
    });
    let (_raw, read) = bench.log_in();
    let tags: Vec<u8> = read.iter().map(|message| message.tag).collect();
    assert_eq!(tags, b"RZ");
    bench.recovers();
}

#[test]
fn a_greeting_without_end_or_sense_is_refused() {
    let (sandbox, _turn) = Sandbox::shared();
    let bench = bench(sandbox);
    let ok = || message(b'R', &[0; 4]);
    let notice = message(b'N', &[&b"SNOTICE\0M"[..], &[b'x'; 10_000], b"\0\0"].concat());
    let status = message(b'S', &[&b"name\0"[..], &[b'x'; 10_000], b"\0"].concat());
    for (what, said, text) in [
        ("notices before the login", notice.repeat(40), "too much before"),
        (
            "notices after it",
            [ok(), notice.repeat(40)].concat(),
            "too much before",
        ),
        (
            "parameters",
            [ok(), status.repeat(40)].concat(),
            "too much before",
        ),
        (
            "a row",
            [ok(), message(b'D', b"\0\0")].concat(),
            "unexpected message after the login",
        ),
        ("no status", [ok(), message(b'Z', b"")].concat(), "ReadyForQuery"),
        (
            "two statuses",
            [ok(), message(b'Z', b"II")].concat(),
            "ReadyForQuery",
        ),
        (
            "an odd status",
            [ok(), message(b'Z', b"x")].concat(),
            "ReadyForQuery",
        ),
    ] {
        bench.server.next_says(said);
        bench.refuses(what, "08006", text);
    }
    // What a session may begin with passes.
    let unusual = [message(b'v', b"\0\x03\0\0\0\0\0\x01_pq_.x\0"), greeting(&[7; 4])].concat();
    bench.server.next_says(unusual);
    assert_eq!(bench.log_in().1[0].tag, b'v');
    bench.recovers();
}

#[test]
fn a_server_that_dies_anywhere_in_its_greeting_is_reported() {
    let (sandbox, _turn) = Sandbox::shared();
    let bench = bench(sandbox);
    let whole = greeting(&[7; 4]);
    for cut in 0..whole.len() {
        let said = whole[..cut].to_vec();
        bench.server.next_in_tls(move |tls| match cut % 7 {
            0 => {
                let _ = tls.write_all(&said);
                reset(tls);
            }
            _ => say_and_close(tls, &said),
        });
        bench.refuses(&format!("cut at {cut}"), "08006", "");
    }
    bench.counted("server_protocol", whole.len());
    bench.recovers();
}

/// What the client reads in a session, from its query to the end of the connection.
fn session_of(bench: &Bench) -> Vec<u8> {
    let (mut raw, read) = bench.log_in();
    assert_eq!(read.last().unwrap().tag, b'Z');
    raw.query("select");
    raw.rest()
}

#[test]
fn a_server_that_leaves_without_a_word_is_reported() {
    let (sandbox, _turn) = Sandbox::shared();
    let bench = bench(sandbox);
    let whole_row = message(b'D', b"\0\x01\0\0\0\x01x");
    for (said, by_reset) in [
        (vec![], false),
        (vec![], true),
        (whole_row.clone(), false),
        (whole_row, true),
    ] {
        let expected = said.clone();
        bench.server.next_session(move |tls| {
            read_message(tls);
            let _ = tls.write_all(&said);
            match by_reset {
                true => {
                    // After dbproxy has had the time to pass it on.
                    std::thread::sleep(std::time::Duration::from_millis(100));
                    reset(tls);
                }
                false => say_and_close(tls, b""),
            }
        });
        let read = session_of(&bench);
        let error = read
            .strip_prefix(&expected[..])
            .expect("what the server said comes first");
        assert_eq!(error[0], b'E', "{read:?}");
        let text = String::from_utf8_lossy(error);
        assert!(
            text.contains("C08006") && text.contains("without a word"),
            "{text}"
        );
    }
    // A reset may be seen as one or as an end.
    bench.proxy.wait_for_metric("dbproxy_connections_open", 0.0);
    let [closed, lost] = ["server_closed", "server_lost"].map(|reason| {
        let name = format!("dbproxy_connections_closed_total{{reason=\"{reason}\"}}");
        bench.proxy.metric(&name)
    });
    assert_eq!(closed + lost, 4.0);
    bench.recovers();
}

#[test]
fn a_servers_last_word_arrives_and_nothing_is_added() {
    let (sandbox, _turn) = Sandbox::shared();
    let bench = bench(sandbox);
    let fatal = message(b'E', b"SFATAL\0VFATAL\0C57P01\0Mterminating\0\0");
    // The same words, and words that break off: nothing may follow the half of a message.
    for said in [
        fatal.clone(),
        fatal[..20].to_vec(),
        message(b'D', &[0; 100])[..50].to_vec(),
    ] {
        let expected = said.clone();
        bench.server.next_session(move |tls| {
            read_message(tls);
            say_and_close(tls, &said);
        });
        assert_eq!(session_of(&bench), expected);
    }
    // What is no message at all is passed on as it is.
    let nonsense = b"D\0\0\0\x02D\xff\xff\xff\xff".to_vec();
    let expected = nonsense.clone();
    bench.server.next_session(move |tls| {
        read_message(tls);
        say_and_close(tls, &nonsense);
    });
    assert_eq!(session_of(&bench), expected);
    bench.recovers();
}

#[test]
fn a_server_that_dies_in_a_copy_takes_only_its_session_along() {
    let (sandbox, _turn) = Sandbox::shared();
    let bench = bench(sandbox);
    for response in [b'G', b'H', b'W'] {
        bench.server.next_session(move |tls| {
            read_message(tls);
            let _ = tls.write_all(&message(response, b"\0\0\0"));
            let _ = tls.write_all(&message(b'd', b"half")[..7]);
            reset(tls);
        });
        let read = session_of(&bench);
        assert!(read.len() <= 15, "nothing is added in mid-message: {read:?}");
    }
    bench.recovers();
}
