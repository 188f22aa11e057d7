//! The settings that are not about targets.

use crate::access::identity::mtls::NameKind;
use crate::config::reference;
use crate::config::section::{Problems, Section};
use crate::config::values::{duration, listen_address};
use crate::error::Chain;
use crate::platform::telemetry::logs;
use crate::platform::tls::TlsError;
use crate::platform::tls::server::{self, ServerIdentity};
use crate::traffic::listener::Address;
use crate::traffic::session;
use crate::traffic::session::callers::CallerLimits;
use crate::traffic::upstream::dial;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use toml::Table;

/// The settings that are not about targets.
pub struct General {
    pub admin: Option<SocketAddr>,
    pub client_tls: Option<server::Config>,
    pub client_tls_required: bool,
    /// Set when client certificates are accepted.
    pub client_name: Option<NameKind>,
    pub socket_uids: Vec<u32>,
    pub max_clients: usize,
    pub max_clients_per_source: usize,
    pub caller_limits: CallerLimits,
    pub workers: usize,
    pub logins_per_second: u32,
    pub drain_timeout: Duration,
    pub session_grace: Duration,
    pub session: session::Config,
    pub dial: dial::Config,
    pub log: logs::Config,
}

impl General {
    pub fn read(root: &mut Section<'_>) -> Self {
        let admin = read_admin(root);
        let mut time = |key: &'static str| {
            let text = root
                .string(key)
                .unwrap_or_else(|| reference::default_of(key).to_owned());
            root.convert(key, duration(&text)).unwrap_or_default()
        };
        let drain_timeout = time("drain_timeout");
        let session_grace = time("session_grace");
        let tcp_user_timeout = Some(time("tcp_user_timeout")).filter(|limit| !limit.is_zero());
        let session = session::Config {
            startup_timeout: time("startup_timeout"),
            tcp_user_timeout,
        };
        let dial = dial::Config {
            dial_timeout: time("dial_timeout"),
            tls_timeout: time("tls_timeout"),
            login_timeout: time("login_timeout"),
            tcp_user_timeout,
        };
        let mut number = |key: &'static str, low: i64, high: i64| {
            let default = reference::default_of(key).parse().unwrap_or_default();
            let value = root.integer(key, low..=high).unwrap_or(default);
            usize::try_from(value).unwrap_or_default()
        };
        let max_clients = number("max_clients", 1, 1_000_000);
        let max_clients_per_source = number("max_clients_per_source", 0, 1_000_000);
        let caller_limits = CallerLimits {
            sessions: number("max_sessions_per_caller", 0, 1_000_000),
            per_second: u32::try_from(number("new_sessions_per_caller", 0, 100_000)).unwrap_or_default(),
        };
        let workers = number("workers", 0, 1_024);
        let logins_per_second = number("logins_per_second", 0, 100_000);
        let socket_uids = root.integers("socket_uids").unwrap_or_default();
        let socket_uids = socket_uids
            .into_iter()
            .filter_map(|uid| root.convert("socket_uids", u32::try_from(uid)))
            .collect();
        let log = logs::Config {
            format: root.parsed("log_format").unwrap_or_default(),
            level: root.parsed("log_level").unwrap_or_default(),
            ..logs::Config::default()
        };
        let ClientTls {
            config: client_tls,
            required: client_tls_required,
            name: client_name,
        } = read_client_tls(root);
        Self {
            admin,
            client_tls,
            client_tls_required,
            client_name,
            socket_uids,
            max_clients,
            max_clients_per_source,
            caller_limits,
            workers,
            logins_per_second: u32::try_from(logins_per_second).unwrap_or_default(),
            drain_timeout,
            session_grace,
            session,
            dial,
            log,
        }
    }
}

fn read_admin(root: &mut Section<'_>) -> Option<SocketAddr> {
    let text = root.string("admin")?;
    if text == "off" {
        return None;
    }
    match root.convert("admin", listen_address(&text))? {
        Address::Tcp(address) if address.ip().is_loopback() => Some(address),
        Address::Tcp(address) => {
            root.problem("admin", format_args!("{address} is not a loopback address"));
            None
        }
        Address::Unix { .. } => {
            root.problem("admin", "a unix socket is not supported here");
            None
        }
    }
}

/// The address of a running dbproxy that was started with this file; nothing else of it is judged.
pub fn admin_address(file: Table) -> Result<Option<SocketAddr>, Problems> {
    let problems = RefCell::new(Problems::default());
    let address = read_admin(&mut Section::new("", file, &problems));
    match problems.into_inner() {
        none if none.is_empty() => Ok(address),
        problems => Err(problems),
    }
}

/// `[client_tls]` as read.
#[derive(Default)]
struct ClientTls {
    config: Option<server::Config>,
    required: bool,
    name: Option<NameKind>,
}

fn read_client_tls(root: &mut Section<'_>) -> ClientTls {
    let Some(mut section) = root.section("client_tls") else {
        return ClientTls::default();
    };
    let cert_file = section.required("cert_file", "is missing; the flag is `--tls-cert`");
    let key_file = section.required("key_file", "is missing; the flag is `--tls-key`");
    let required = section.boolean("required").unwrap_or(false);
    let ca_file = section.string("client_ca_file");
    let crl_files = section.strings("client_crl_files").unwrap_or_default();
    let name = section.string("client_name");
    let name = name.map_or(Some(NameKind::First), |name| {
        section.convert("client_name", name_kind(&name))
    });
    if ca_file.is_none() && !crl_files.is_empty() {
        section.problem("client_crl_files", "is of no use without `client_ca_file`");
    }
    let client_ca = ca_file.map(|ca_file| server::ClientCa {
        ca_file: PathBuf::from(ca_file),
        crl_files: crl_files.into_iter().map(PathBuf::from).collect(),
    });
    let name = name.filter(|_| client_ca.is_some());
    let config = cert_file
        .zip(key_file)
        .map(|(cert_file, key_file)| server::Config {
            cert_file: PathBuf::from(cert_file),
            key_file: PathBuf::from(key_file),
            client_ca,
        });
    if let Some(config) = &config {
        judge_client_tls(&section, config);
    }
    section.finish();
    ClientTls {
        config,
        required,
        name,
    }
}

fn name_kind(text: &str) -> Result<NameKind, String> {
    match text {
        "uri" => Ok(NameKind::Uri),
        "email" => Ok(NameKind::Email),
        "dns" => Ok(NameKind::Dns),
        "cn" => Ok(NameKind::Cn),
        "first" => Ok(NameKind::First),
        other => Err(format!(
            "`{other}` is none of `uri`, `email`, `dns`, `cn`, `first`"
        )),
    }
}

/// The files are read here for their mistakes only; what listens reads them again.
fn judge_client_tls(section: &Section<'_>, config: &server::Config) {
    let Err(error) = ServerIdentity::load(config.clone()) else {
        return;
    };
    let path = match &error {
        TlsError::Read { path, .. }
        | TlsError::Empty { path, .. }
        | TlsError::Pem { path, .. }
        | TlsError::TooLarge { path, .. }
        | TlsError::Revocations { path, .. } => Some(path),
        _ => None,
    };
    let client_ca = config.client_ca.as_ref();
    let key = match path {
        Some(path) if *path == config.key_file => "key_file",
        Some(path) if client_ca.is_some_and(|ca| *path == ca.ca_file) => "client_ca_file",
        Some(path) if client_ca.is_some_and(|ca| ca.crl_files.contains(path)) => "client_crl_files",
        None if matches!(error, TlsError::ClientCa(_)) => "client_ca_file",
        _ => "cert_file",
    };
    section.problem(key, Chain(&error));
}
