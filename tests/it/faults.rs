//! Networks fail between client and dbproxy and between dbproxy and the server, in every phase. After
//! each fault the next client is served, and nothing of the failed one is left.
//!
//! `DBPROXY_TORTURE=full` strikes at many more places.

use crate::support::raw::{message, startup};
use crate::support::relay::{Fault, Kind, Relay, Way};
use crate::support::{Proxy, Raw, Sandbox};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const KINDS: [Kind; 5] = [
    Kind::Delay,
    Kind::Split,
    Kind::CutByEnd,
    Kind::CutByReset,
    Kind::BlackHole,
];

/// How far a client came.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Everything was right to the last byte.
    Served,
    /// An ErrorResponse with this SQLSTATE.
    Told(String),
    /// The connection ended, or nothing came any more, behind so many bytes.
    Ended(usize),
}

/// A login, two megabytes of result, a COPY, a goodbye. Whoever waits too long gives up.
fn client(address: SocketAddr) -> Outcome {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut read = 0;
    let mut steps = || -> std::io::Result<Option<String>> {
        stream.write_all(&startup(3 << 16, &[("user", "app_rw"), ("database", "app")]))?;
        if let Some(refusal) = until_ready(&mut stream, &mut read)? {
            return Ok(Some(refusal));
        }
        let sql = "select repeat('x', 1000) from generate_series(1, 500)";
        stream.write_all(&message(b'Q', &[sql.as_bytes(), b"\0"].concat()))?;
        let before = read;
        if let Some(told) = until_ready(&mut stream, &mut read)? {
            return Ok(Some(told));
        }
        assert!(read - before > 500_000, "a result was cut short without a word");
        stream.write_all(&message(
            b'Q',
            b"create temp table t (x text); copy t from stdin\0",
        ))?;
        for _ in 0..100 {
            stream.write_all(&message(b'd', &[&[b'y'; 1000][..], b"\n"].concat()))?;
        }
        stream.write_all(&message(b'c', b""))?;
        if let Some(told) = until_ready(&mut stream, &mut read)? {
            return Ok(Some(told));
        }
        stream.write_all(&message(b'X', b""))?;
        Ok(None)
    };
    match steps() {
        Ok(None) => Outcome::Served,
        Ok(Some(state)) => Outcome::Told(state),
        Err(_) => Outcome::Ended(read),
    }
}

/// Reads to the next ReadyForQuery; the SQLSTATE of a FATAL error that comes instead.
fn until_ready(stream: &mut TcpStream, read: &mut usize) -> std::io::Result<Option<String>> {
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize - 4;
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        *read += 5 + length;
        let message = crate::support::raw::Message { tag: head[0], body };
        match message.tag {
            b'Z' => return Ok(None),
            b'E' => return Ok(Some(message.field(b'C'))),
            _ => {}
        }
    }
}

struct Bench<'a> {
    proxy: Proxy,
    /// Towards dbproxy, and from it towards the server.
    client_leg: Relay,
    server_leg: &'a Relay,
    files: usize,
}

fn bench<'a>(sandbox: &Sandbox, server_leg: &'a Relay) -> Bench<'a> {
    let target = sandbox.target("orders", "db_users = [\"app_rw\"]");
    let (before, rest) = target.split_once("dial = ").unwrap();
    let (_, after) = rest.split_once('\n').unwrap();
    let target = format!("{before}dial = \"{}\"\n{after}", server_leg.address);
    let timeouts = ["startup", "dial", "tls", "login"].map(|what| format!("{what}_timeout = \"1s\"\n"));
    let proxy = Proxy::start(sandbox, &(timeouts.concat() + &target));
    let client_leg = Relay::start(SocketAddr::from(([127, 0, 0, 1], proxy.port())));
    assert_eq!(client(client_leg.address), Outcome::Served, "before any fault");
    proxy.wait_for_metric("dbproxy_connections_open", 0.0);
    let files = proxy.open_files();
    Bench {
        proxy,
        client_leg,
        server_leg,
        files,
    }
}

impl Bench<'_> {
    /// Whatever happened to one client, the next is served and nothing is left.
    fn recovers(&self, what: &str) {
        let served = client(self.client_leg.address);
        assert_eq!(served, Outcome::Served, "the client after {what}");
        self.proxy.wait_for_metric("dbproxy_connections_open", 0.0);
        self.proxy.wait_for_metric("dbproxy_sessions_open", 0.0);
        let began = Instant::now();
        while self.proxy.open_files() > self.files {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "{what} leaves {} files instead of {}",
                self.proxy.open_files(),
                self.files
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn strike(&self, relay: &Relay, fault: Fault) -> Outcome {
        relay.fail_next(fault);
        let outcome = client(self.client_leg.address);
        match fault.kind {
            Kind::Delay | Kind::Split => assert_eq!(outcome, Outcome::Served, "{fault:?}"),
            _ => assert_ne!(outcome, Outcome::Served, "{fault:?} did nothing"),
        }
        self.recovers(&format!("{fault:?}"));
        outcome
    }
}

fn full() -> bool {
    std::env::var("DBPROXY_TORTURE").is_ok_and(|value| value == "full")
}

/// Places of the client leg: before anything, inside the startup message, inside the query, inside COPY;
/// inside the greeting, inside the result.
#[test]
fn faults_between_client_and_dbproxy_leave_nothing_behind() {
    let (sandbox, _turn) = Sandbox::shared();
    let server_leg = Relay::start(server(sandbox));
    let bench = bench(sandbox, &server_leg);
    let mut places = vec![
        (Way::ToServer, 0),
        (Way::ToServer, 20),
        (Way::ToServer, 60),
        (Way::ToServer, 50_000),
        (Way::ToClient, 0),
        (Way::ToClient, 100),
        (Way::ToClient, 300_000),
    ];
    if full() {
        places.extend((1..120).step_by(3).map(|at| (Way::ToServer, at)));
        places.extend((1..700).step_by(17).map(|at| (Way::ToClient, at)));
    }
    for (way, after) in places {
        for kind in KINDS {
            bench.strike(&bench.client_leg, Fault { kind, way, after });
        }
    }
}

/// Places of the server leg: before the answer to the SSLRequest, inside the handshake, inside the login,
/// inside the result; and the other way.
#[test]
fn faults_between_dbproxy_and_the_server_leave_nothing_behind() {
    let (sandbox, _turn) = Sandbox::shared();
    let server_leg = Relay::start(server(sandbox));
    let bench = bench(sandbox, &server_leg);
    let mut places = vec![
        (Way::ToClient, 0),
        (Way::ToClient, 1),
        (Way::ToClient, 900),
        (Way::ToClient, 300_000),
        (Way::ToServer, 0),
        (Way::ToServer, 8),
        (Way::ToServer, 200),
        (Way::ToServer, 50_000),
    ];
    if full() {
        places.extend((1..6_000).step_by(151).map(|at| (Way::ToClient, at)));
        places.extend((1..2_500).step_by(97).map(|at| (Way::ToServer, at)));
    }
    for (way, after) in places {
        for kind in KINDS {
            let outcome = bench.strike(bench.server_leg, Fault { kind, way, after });
            let harmless = matches!(kind, Kind::Delay | Kind::Split);
            if after < 1_000 && !harmless {
                // Before the session is open the client is told, whatever became of the server.
                assert!(
                    matches!(&outcome, Outcome::Told(state) if state.starts_with("08")),
                    "{kind:?} {way:?} {after}: {outcome:?}"
                );
            }
        }
    }
}

fn server(sandbox: &Sandbox) -> SocketAddr {
    let (address, port) = (
        sandbox.text("/cluster/writer/address"),
        sandbox.text("/cluster/writer/port"),
    );
    format!("{address}:{port}").parse().unwrap()
}

/// A thousand connections that come and go at once, with every kind of end.
#[test]
fn a_crowd_that_comes_and_goes_leaves_nothing_behind() {
    let (sandbox, _turn) = Sandbox::shared();
    let target = sandbox.target("orders", "db_users = [\"app_rw\"]");
    let proxy = Proxy::start(sandbox, &format!("max_clients = 2000\n{target}"));
    let files = {
        Raw::log_in(proxy.port(), "app_rw");
        proxy.wait_for_metric("dbproxy_connections_open", 0.0);
        proxy.open_files()
    };
    let hello = startup(3 << 16, &[("user", "app_rw"), ("database", "app")]);
    for round in 0..5 {
        let crowd: Vec<Raw> = (0..200usize)
            .map(|number| {
                let mut raw = Raw::connect(proxy.port());
                raw.send(&hello[..(number * 7 + round) % (hello.len() - 1)]);
                if number % 3 == 0 {
                    let socket = socket2::SockRef::from(&raw.stream);
                    socket.set_linger(Some(Duration::ZERO)).unwrap();
                }
                raw
            })
            .collect();
        drop(crowd);
    }
    proxy.wait_for_metric("dbproxy_connections_accepted_total", 1001.0);
    proxy.wait_for_metric("dbproxy_connections_open", 0.0);
    let began = Instant::now();
    while proxy.open_files() > files {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{} files",
            proxy.open_files()
        );
    }
    Raw::log_in(proxy.port(), "app_rw");
}
