//! Inside TLS, with more bytes under way in both directions than all buffers together hold.

use super::{bind, execute, parse, proxy, sync};
use crate::support::raw::{SSL_REQUEST, message, startup};
use crate::support::tls::client_config;
use crate::support::{Proxy, Raw, Sandbox};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A client whose two halves work at the same time, as one around a blocking socket cannot.
async fn connect(sandbox: &Sandbox, proxy: &Proxy) -> TlsStream<TcpStream> {
    let mut raw = Raw::connect(proxy.port());
    raw.send(&SSL_REQUEST);
    assert_eq!(raw.byte(), b'S');
    raw.stream.set_nonblocking(true).unwrap();
    let stream = TcpStream::from_std(raw.stream).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(client_config(sandbox, None));
    let mut stream = connector.connect(name, stream).await.unwrap();
    let opening = startup(3 << 16, &[("user", "app_ro"), ("database", "app")]);
    stream.write_all(&opening).await.unwrap();
    read_answers(&mut stream, 1).await;
    stream
}

/// Reads until so many ReadyForQuery have come, and returns how many bytes of rows came with them.
async fn read_answers(stream: &mut (impl AsyncRead + Unpin), answers: usize) -> u64 {
    let (mut seen, mut rows) = (0, 0);
    while seen < answers {
        let tag = stream.read_u8().await.unwrap();
        let left = u64::from(stream.read_u32().await.unwrap()) - 4;
        let mut body = stream.take(left);
        let read = tokio::io::copy(&mut body, &mut tokio::io::sink()).await;
        assert_eq!(read.unwrap(), left);
        assert_ne!(tag, b'E');
        seen += usize::from(tag == b'Z');
        rows += if tag == b'D' { left } else { 0 };
    }
    rows
}

/// Writes `piece` so many times while the answers are read; the bytes of rows.
fn write_and_read(piece: Vec<u8>, times: usize, answers: usize) -> u64 {
    let (sandbox, _turn) = Sandbox::shared();
    let proxy = proxy(sandbox);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (reader, mut writer) = tokio::io::split(connect(sandbox, &proxy).await);
        let writing = tokio::spawn(async move {
            for _ in 0..times {
                writer.write_all(&piece).await.unwrap();
            }
            writer.flush().await.unwrap();
        });
        let rows = read_answers(&mut BufReader::new(reader), answers).await;
        writing.await.unwrap();
        rows
    })
}

#[test]
fn a_hundred_thousand_statements_are_answered_inside_tls() {
    let one = [parse("", "select 1"), bind("", ""), execute("", 0), sync()].concat();
    let rows = write_and_read(one.repeat(1_000), 100, 100_000);
    assert_eq!(rows, 100_000 * (2 + 4 + 1));
}

/// 60 MB each way: neither side could finish writing before the other reads.
#[test]
fn queries_and_results_larger_than_all_buffers_pass_each_other_inside_tls() {
    let half = 500_000;
    let sql = format!("select repeat('x', {half}) /* {} */\0", "y".repeat(half));
    let rows = write_and_read(message(b'Q', sql.as_bytes()), 120, 120);
    assert_eq!(rows, 120 * (2 + 4 + half as u64));
}
