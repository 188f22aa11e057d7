//! The two hazards of pgwire 0.42.1 that need its server API. dbproxy's own answers to the same bytes are
//! tested in `tests/it/tls.rs` (`bytes_sent_before_tls_are_not_taken_for_bytes_inside_it`) and in
//! `tests/it/refusals.rs`: no ReadyForQuery ever follows a refusal.

use async_trait::async_trait;
use futures::{Sink, StreamExt};
use pgwire::api::auth::StartupHandler;
use pgwire::api::query::SimpleQueryHandler;
use pgwire::api::results::{Response, Tag};
use pgwire::api::{ClientInfo, PgWireServerHandlers};
use pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use pgwire::tokio::server::{negotiate_tls, process_socket};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

fn startup(user: &str) -> Vec<u8> {
    let body = [&b"\0\x03\0\0user\0"[..], user.as_bytes(), b"\0\0"].concat();
    [&(body.len() as u32 + 4).to_be_bytes()[..], &body].concat()
}

fn tls() -> (TlsAcceptor, TlsConnector) {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = issued.cert.der().clone();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (
        TlsAcceptor::from(Arc::new(server)),
        TlsConnector::from(Arc::new(client)),
    )
}

/// The class of CVE-2021-23214. Whoever sits between client and server puts a startup message (or a
/// password) behind the SSLRequest, in clear; after the handshake it counts as sent inside TLS.
#[tokio::test]
async fn plaintext_behind_the_ssl_request_is_read_as_if_it_came_inside_tls() {
    let (acceptor, connector) = tls();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = tokio::spawn(async move {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.write_all(&[&SSL_REQUEST[..], &startup("injected")].concat())
            .await
            .unwrap();
        assert_eq!(tcp.read_u8().await.unwrap(), b'S');
        let name = ServerName::try_from("localhost").unwrap();
        // Inside TLS the client itself sends nothing.
        connector.connect(name, tcp).await.unwrap()
    });
    let (socket, _) = listener.accept().await.unwrap();
    // Both segments have arrived: whoever injects decides when.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let mut framed = negotiate_tls::<()>(socket, Some(acceptor))
        .await
        .unwrap()
        .unwrap();
    let _client = client.await.unwrap();
    assert!(framed.is_secure(), "pgwire reports a secure connection");
    match framed.next().await {
        Some(Ok(PgWireFrontendMessage::Startup(message))) => {
            assert_eq!(message.parameters["user"], "injected");
        }
        other => panic!("mended upstream? {other:?}"),
    }
}

/// Refuses everybody, with an error that is not FATAL.
#[derive(Default)]
struct Refusing {
    queried: AtomicBool,
}

#[async_trait]
impl StartupHandler for Refusing {
    async fn on_startup<C>(&self, _client: &mut C, _message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let info = ErrorInfo::new(
            "ERROR".to_owned(),
            "28P01".to_owned(),
            "wrong password".to_owned(),
        );
        Err(PgWireError::UserError(Box::new(info)))
    }
}

#[async_trait]
impl SimpleQueryHandler for Refusing {
    async fn do_query<C>(&self, _client: &mut C, _query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        self.queried.store(true, Ordering::SeqCst);
        Ok(vec![Response::Execution(Tag::new("OK"))])
    }
}

struct Handlers(Arc<Refusing>);

impl PgWireServerHandlers for Handlers {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        self.0.clone()
    }

    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        self.0.clone()
    }
}

/// A handler that forgets to say FATAL has let the client in.
#[tokio::test]
async fn a_startup_error_that_is_not_fatal_is_followed_by_ready_for_query() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let refusing = Arc::new(Refusing::default());
    let handlers = Handlers(refusing.clone());
    let server = async {
        let (socket, _) = listener.accept().await.unwrap();
        let _ = process_socket(socket, None, handlers).await;
    };
    let client = async {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.write_all(&startup("nobody")).await.unwrap();
        let mut answer = Vec::new();
        while !answer.windows(5).any(|w| w == b"Z\0\0\0\x05") {
            let mut chunk = [0; 1024];
            let read = tcp.read(&mut chunk).await.unwrap();
            assert!(read > 0, "mended upstream? the connection was closed");
            answer.extend_from_slice(&chunk[..read]);
        }
        assert_eq!(answer[0], b'E', "refused");
        tcp.write_all(b"Q\0\0\0\x0dselect 1\0").await.unwrap();
        let _ = tcp.read(&mut [0; 1024]).await;
    };
    tokio::select! {
        () = server => {}
        () = client => {}
    }
    assert!(
        refusing.queried.load(Ordering::SeqCst),
        "the query of a refused client runs"
    );
}
