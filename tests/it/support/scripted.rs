//! A PostgreSQL server that follows a script, for what a real one never does. Each connection takes the
//! next script; without one it is a decent server.

use super::Sandbox;
use super::raw::message;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub type Tls = StreamOwned<ServerConnection, TcpStream>;
type Script = Box<dyn FnOnce(TcpStream, Arc<ServerConfig>) + Send>;

pub struct Scripted {
    pub port: u16,
    next: Arc<Mutex<VecDeque<Script>>>,
}

impl Scripted {
    pub fn start(sandbox: &Sandbox) -> Self {
        let config = Arc::new(tls_config(sandbox));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let next: Arc<Mutex<VecDeque<Script>>> = Arc::default();
        let scripts = next.clone();
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                let script = scripts.lock().unwrap().pop_front();
                let (script, config) = (script.unwrap_or_else(|| Box::new(decent)), config.clone());
                std::thread::spawn(move || script(stream, config));
            }
        });
        Self { port, next }
    }

    /// What the next connection meets, from its first byte on.
    pub fn next(&self, script: impl FnOnce(TcpStream, Arc<ServerConfig>) + Send + 'static) {
        self.next.lock().unwrap().push_back(Box::new(script));
    }

    /// Forgets scripts that no connection has taken.
    pub fn clear(&self) {
        self.next.lock().unwrap().clear();
    }

    /// What the next connection meets inside TLS, after its startup message.
    pub fn next_in_tls(&self, script: impl FnOnce(&mut Tls) + Send + 'static) {
        self.next(move |stream, config| {
            if let Some(mut tls) = open(stream, config) {
                script(&mut tls);
            }
        });
    }

    /// What the next connection reads as its login; the server closes behind it.
    pub fn next_says(&self, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.next_in_tls(move |tls| say_and_close(tls, &bytes));
    }

    /// What the next connection meets as its session, after a decent greeting.
    pub fn next_session(&self, script: impl FnOnce(&mut Tls) + Send + 'static) {
        self.next_in_tls(move |tls| {
            tls.write_all(&greeting(&[7; 4])).unwrap();
            script(tls);
        });
    }

    /// A target that leads here, with a stored password.
    pub fn target(&self, sandbox: &Sandbox) -> String {
        let file = sandbox
            .dir
            .join(format!("scripted-{}.password", std::process::id()));
        std::fs::write(&file, "secret").unwrap();
        format!(
            "[targets.scripted]\nlisten = [\"127.0.0.1:0\"]\nendpoint = \"localhost\"\nport = {}\n\
             dial = \"127.0.0.1:{}\"\nca_file = \"{}\"\nregion = \"us-east-1\"\ndb_users = [\"app\"]\n\
             credential = {{ kind = \"password_file\", file = \"{}\" }}\n",
            self.port,
            self.port,
            sandbox.text("/ca/proxy_ca"),
            file.display()
        )
    }
}

fn tls_config(sandbox: &Sandbox) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(sandbox.text("/ca/proxy_cert")).unwrap();
    let key = PrivateKeyDer::from_pem_file(sandbox.text("/ca/proxy_key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap()
}

/// SSLRequest, TLS, the startup message; `None` when the client breaks off.
pub fn open(mut stream: TcpStream, config: Arc<ServerConfig>) -> Option<Tls> {
    stream.read_exact(&mut [0; 8]).ok()?;
    stream.write_all(b"S").ok()?;
    let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let mut length = [0; 4];
    tls.read_exact(&mut length).ok()?;
    let mut rest = vec![0; u32::from_be_bytes(length) as usize - 4];
    // A cancel is a connection of its own, and there is nothing to answer.
    tls.read_exact(&mut rest).ok()?;
    (rest[..4] != 80_877_102u32.to_be_bytes()).then_some(tls)
}

/// AuthenticationOk, a parameter, a key, ReadyForQuery.
pub fn greeting(secret: &[u8]) -> Vec<u8> {
    [
        message(b'R', &[0; 4]),
        message(b'S', b"server_version\x0018.0\0"),
        message(b'K', &[&4711i32.to_be_bytes()[..], secret].concat()),
        message(b'Z', b"I"),
    ]
    .concat()
}

/// One message of dbproxy; `None` at the end.
pub fn read_message(tls: &mut Tls) -> Option<u8> {
    let mut head = [0; 5];
    tls.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
    let mut body = vec![0; length.saturating_sub(4)];
    tls.read_exact(&mut body).ok()?;
    Some(head[0])
}

fn decent(stream: TcpStream, config: Arc<ServerConfig>) {
    if let Some(mut tls) = open(stream, config) {
        let _ = tls.write_all(&greeting(&[7; 4]));
        while let Some(b'Q') = read_message(&mut tls) {
            let answer = [message(b'C', b"SELECT 0\0"), message(b'Z', b"I")].concat();
            let _ = tls.write_all(&answer);
        }
    }
}

pub fn say_and_close(tls: &mut Tls, bytes: &[u8]) {
    let _ = tls.write_all(bytes);
    tls.conn.send_close_notify();
    let _ = tls.flush();
    let _ = tls.sock.shutdown(std::net::Shutdown::Write);
    // Until dbproxy has closed too: a close with unread input would be a reset.
    let _ = tls.sock.read_to_end(&mut Vec::new());
}

/// Ends with a reset instead of an ordinary end.
pub fn reset(tls: &mut Tls) {
    let socket = socket2::SockRef::from(&tls.sock);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}
