use super::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

impl HalfClosed for DuplexStream {
    fn peer_has_ended(&self) -> bool {
        false
    }
}

/// Both far ends of a relay that runs between them.
struct Bench {
    client: DuplexStream,
    server: DuplexStream,
    control: Arc<Control>,
    relay: tokio::task::JoinHandle<Ending>,
}

fn bench_with(buffer: usize, leftovers: Leftovers) -> Bench {
    let (client, mut near_client) = duplex(buffer);
    let (server, mut near_server) = duplex(buffer);
    let control = Arc::new(Control::default());
    let ear = control.clone();
    let relay = tokio::spawn(async move {
        Relay::new(&mut near_client, &mut near_server, leftovers, b'I', ear)
            .run()
            .await
    });
    Bench {
        client,
        server,
        control,
        relay,
    }
}

fn bench(buffer: usize) -> Bench {
    bench_with(buffer, Leftovers::default())
}

#[tokio::test]
async fn bytes_go_both_ways_and_both_ends_are_told() {
    let mut b = bench(64);
    b.client.write_all(b"Q\0\0\0\x08abc\0").await.unwrap();
    let mut got = [0; 9];
    b.server.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"Q\0\0\0\x08abc\0");
    b.server.write_all(b"Z\0\0\0\x05I").await.unwrap();
    b.client.shutdown().await.unwrap();
    let mut rest = Vec::new();
    b.server.read_to_end(&mut rest).await.unwrap();
    drop(b.server);
    let mut answer = Vec::new();
    b.client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"Z\0\0\0\x05I");
    let ending = b.relay.await.unwrap();
    assert_eq!(ending.reason, CloseReason::ClientClosed);
    assert_eq!((ending.to_server, ending.to_client), (9, 6));
}

#[tokio::test]
async fn leftovers_of_the_login_come_first() {
    let leftovers = Leftovers {
        from_client: BytesMut::from(&b"first "[..]),
        from_server: BytesMut::from(&b"hello"[..]),
    };
    let mut b = bench_with(64, leftovers);
    b.client.write_all(b"second").await.unwrap();
    let mut got = [0; 12];
    b.server.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"first second");
    let mut hello = [0; 5];
    b.client.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"hello");
}

/// The classic deadlock: both peers write more than all buffers hold before either reads.
#[tokio::test]
async fn a_blocked_direction_does_not_block_the_other() {
    let b = bench(16);
    let (mut client_read, mut client_write) = tokio::io::split(b.client);
    let (mut server_read, mut server_write) = tokio::io::split(b.server);
    let flood = vec![7u8; 300_000];
    // The client does not read until the server has taken everything, although the server is
    // blocked writing to the client all the while.
    let server_writes = tokio::spawn({
        let flood = flood.clone();
        async move { server_write.write_all(&flood).await.map(|()| server_write) }
    });
    let client_writes = tokio::spawn({
        let flood = flood.clone();
        async move { client_write.write_all(&flood).await.map(|()| client_write) }
    });
    let mut got = vec![0; flood.len()];
    server_read.read_exact(&mut got).await.unwrap();
    client_writes.await.unwrap().unwrap();
    assert!(!server_writes.is_finished());
    client_read.read_exact(&mut got).await.unwrap();
    server_writes.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_servers_last_words_reach_the_client() {
    let mut b = bench(64);
    b.server.write_all(b"E-last-words").await.unwrap();
    drop(b.server);
    let mut got = Vec::new();
    b.client.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"E-last-words");
    assert_eq!(b.relay.await.unwrap().reason, CloseReason::ServerClosed);
}

/// One that only reads is told, too, and the server that has closed is not busy.
#[tokio::test]
async fn a_server_that_closes_on_a_client_that_only_reads_has_closed() {
    let mut b = bench(64);
    b.client.write_all(b"Q\0\0\0\x08abc\0").await.unwrap();
    b.client.shutdown().await.unwrap();
    let mut rest = Vec::new();
    b.server.read_to_end(&mut rest).await.unwrap();
    drop(b.server);
    let ending = b.relay.await.unwrap();
    assert_eq!(ending.reason, CloseReason::ServerClosed);
    assert!(ending.client_can_be_told && !ending.server_has_told && !ending.server_busy);
}

/// A server closes, too, when the client's message breaks off.
#[tokio::test]
async fn a_client_that_ends_inside_a_message_has_closed() {
    let mut b = bench(64);
    b.client.write_all(b"Q\0\0\0\x08ab").await.unwrap();
    b.client.shutdown().await.unwrap();
    let mut rest = Vec::new();
    b.server.read_to_end(&mut rest).await.unwrap();
    drop(b.server);
    assert_eq!(b.relay.await.unwrap().reason, CloseReason::ClientClosed);
}

#[tokio::test]
async fn what_was_sent_ahead_is_seen() {
    for (queries, has_more) in [(1, false), (2, true)] {
        let mut b = bench(64);
        let sent = b"Q\0\0\0\x08abc\0".repeat(queries);
        b.client.write_all(&sent).await.unwrap();
        let mut got = vec![0; sent.len()];
        b.server.read_exact(&mut got).await.unwrap();
        b.control.wish(Wish::EndNow(CloseReason::Shutdown));
        let ending = b.relay.await.unwrap();
        assert!(ending.server_busy);
        assert_eq!(ending.server_has_more, has_more);
    }
}

#[tokio::test]
async fn a_server_that_answers_terminate_first_did_not_end_the_session() {
    let mut b = bench(64);
    b.client.write_all(b"X\0\0\0\x04").await.unwrap();
    b.server.read_exact(&mut [0; 5]).await.unwrap();
    drop(b.server);
    assert_eq!(b.relay.await.unwrap().reason, CloseReason::ClientClosed);
}

#[tokio::test(start_paused = true)]
async fn drain_waits_for_the_end_of_the_transaction() {
    let mut b = bench(64);
    b.client.write_all(b"Q\0\0\0\x04").await.unwrap();
    b.server.read_exact(&mut [0; 5]).await.unwrap();
    b.control.wish(Wish::EndWhenIdle(CloseReason::Shutdown));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!b.relay.is_finished(), "a query runs");
    b.server.write_all(b"Z\0\0\0\x05I").await.unwrap();
    b.client.read_exact(&mut [0; 6]).await.unwrap();
    let ending = b.relay.await.unwrap();
    assert_eq!(ending.reason, CloseReason::Shutdown);
    assert!(ending.client_can_be_told);
}

#[tokio::test]
async fn an_end_in_mid_message_is_not_announced() {
    let mut b = bench(64);
    b.server.write_all(b"D\0\0\0\x20half").await.unwrap();
    b.client.read_exact(&mut [0; 9]).await.unwrap();
    b.control.wish(Wish::EndNow(CloseReason::Shutdown));
    let ending = b.relay.await.unwrap();
    assert_eq!(ending.reason, CloseReason::Shutdown);
    assert!(!ending.client_can_be_told);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_gone_in_mid_query_ends_the_session() {
    let mut b = bench(64);
    b.client.write_all(b"Q\0\0\0\x04").await.unwrap();
    b.server.read_exact(&mut [0; 5]).await.unwrap();
    drop(b.client);
    let ending = b.relay.await.unwrap();
    assert_eq!(ending.reason, CloseReason::ClientLost);
    assert!(ending.server_busy);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_only_reads_is_served_while_something_moves() {
    let mut b = bench(64);
    b.client.write_all(b"Q\0\0\0\x04").await.unwrap();
    b.client.shutdown().await.unwrap();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        b.server.write_all(b"D\0\0\0\x04").await.unwrap();
        b.client.read_exact(&mut [0; 5]).await.unwrap();
    }
    b.server.write_all(b"Z\0\0\0\x05I").await.unwrap();
    drop(b.server);
    let mut rest = Vec::new();
    b.client.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"Z\0\0\0\x05I");
    assert_eq!(b.relay.await.unwrap().reason, CloseReason::ClientClosed);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ignores_the_end_of_an_idle_session_is_left() {
    let b = bench(64);
    drop(b.client);
    let ending = b.relay.await.unwrap();
    assert_eq!(ending.reason, CloseReason::ClientClosed);
    assert!(!ending.server_busy);
    drop(b.server);
}

/// A goodbye of ours must never complete a message of the client's.
#[tokio::test(start_paused = true)]
async fn a_server_in_mid_message_is_told_nothing() {
    let mut b = bench(64);
    b.client.write_all(b"Q\0\0\0\x10half").await.unwrap();
    b.server.read_exact(&mut [0; 9]).await.unwrap();
    b.control.wish(Wish::EndNow(CloseReason::Shutdown));
    assert!(!b.relay.await.unwrap().server_can_be_told);
}

/// The client's first query may come behind its last authentication message.
#[tokio::test(start_paused = true)]
async fn a_query_sent_with_the_login_is_busy() {
    let leftovers = Leftovers {
        from_client: BytesMut::from(&b"Q\0\0\0\x04"[..]),
        from_server: BytesMut::from(&b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"[..]),
    };
    let b = bench_with(64, leftovers);
    b.control.wish(Wish::EndWhenIdle(CloseReason::Shutdown));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!b.relay.is_finished(), "a query runs");
    drop(b.client);
    assert!(b.relay.await.unwrap().server_busy);
}
