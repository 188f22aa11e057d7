//! Settings as meant: the whole configuration judged at once.

use super::reference;
use super::section::{Problems, Section};
use super::source::Environment;
use super::target::{self, AdHoc};
use super::values::{self, duration, listen_address, next_port};
use crate::domain::name::TargetName;
use crate::domain::target::Target;
use crate::platform::telemetry::logs;
use crate::platform::tls::server;
use crate::traffic::listener::Address;
use crate::traffic::session;
use crate::traffic::upstream::dial;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use toml::Table;

/// Everything the process needs to know, checked.
#[derive(Debug)]
pub struct Settings {
    pub listeners: Vec<ListenerSetting>,
    pub targets: Vec<Target>,
    pub admin: Option<SocketAddr>,
    pub client_tls: Option<server::Config>,
    pub client_tls_required: bool,
    pub socket_uids: Vec<u32>,
    pub max_clients: usize,
    pub workers: usize,
    pub logins_per_second: u32,
    pub drain_timeout: Duration,
    pub session: session::Config,
    pub dial: dial::Config,
    pub log: logs::Config,
}

/// One address and the target it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSetting {
    pub address: Address,
    pub target: TargetName,
}

/// What the command line adds to the file.
#[derive(Debug, Default)]
pub struct CommandLine {
    /// Keys of the file that flags or their environment variables set.
    pub overrides: Table,
    pub listen: Vec<String>,
    /// Names of targets, or endpoints.
    pub targets: Vec<String>,
    pub ad_hoc: AdHoc,
}

/// Judges file and command line together.
pub fn check(
    file: Table,
    command_line: CommandLine,
    environment: Environment<'_>,
) -> Result<Settings, Problems> {
    let mut table = file;
    table.extend(command_line.overrides);
    let problems = RefCell::new(Problems::default());
    let mut root = Section::new("", table, &problems);
    let base = root.strings("listen");
    let (targets, listens) = read_targets(&mut root, environment);
    let general = General::read(&mut root);
    root.finish();

    let mut chosen = choose(
        targets,
        listens,
        &command_line.targets,
        &command_line.ad_hoc,
        &problems,
    );
    if chosen.is_empty() && problems.borrow().is_empty() {
        let none =
            "none given: name a target or an RDS endpoint on the command line, or configure [targets.<name>]";
        problems.borrow_mut().add("targets", none);
    }
    let listeners = listeners(&mut chosen, base, &command_line.listen, &problems);
    let settings = general.map(|general| Settings {
        listeners,
        targets: chosen.into_iter().map(|(target, _)| target).collect(),
        admin: general.admin,
        client_tls: general.client_tls,
        client_tls_required: general.client_tls_required,
        socket_uids: general.socket_uids,
        max_clients: general.max_clients,
        workers: general.workers,
        logins_per_second: general.logins_per_second,
        drain_timeout: general.drain_timeout,
        session: general.session,
        dial: general.dial,
        log: general.log,
    });
    let problems = problems.into_inner();
    match settings {
        Some(settings) if problems.is_empty() => Ok(settings),
        _ => Err(problems),
    }
}

type Listens = Option<Vec<String>>;

fn read_targets(root: &mut Section<'_>, environment: Environment<'_>) -> (Vec<Target>, Vec<Listens>) {
    let mut targets = Vec::new();
    let mut listens = Vec::new();
    for (name, mut section) in root.sections("targets") {
        let listen = section.strings("listen");
        if let Some(target) = target::read(&name, section, environment) {
            targets.push(target);
            listens.push(listen);
        }
    }
    (targets, listens)
}

/// The targets to serve: those named on the command line, or all.
fn choose(
    targets: Vec<Target>,
    listens: Vec<Listens>,
    named: &[String],
    ad_hoc: &AdHoc,
    problems: &RefCell<Problems>,
) -> Vec<(Target, Listens)> {
    let mut all: Vec<_> = targets.into_iter().zip(listens).collect();
    if named.is_empty() {
        return all;
    }
    let known: Vec<_> = all.iter().map(|(target, _)| target.name.to_string()).collect();
    let mut chosen: Vec<(Target, Listens)> = Vec::new();
    for name in named {
        if chosen.iter().any(|(target, _)| target.name.as_str() == name) {
            problems.borrow_mut().add(name, "this target is named twice");
        } else if let Some(at) = all.iter().position(|(target, _)| target.name.as_str() == name) {
            chosen.push(all.remove(at));
        } else if name.starts_with("arn:") {
            let what = "targets by ARN are not supported yet; give the endpoint name";
            problems.borrow_mut().add(name, what);
        } else if name.contains('.') {
            let mut report = |what: String| problems.borrow_mut().add(name, what);
            chosen.extend(target::ad_hoc(name, ad_hoc, &mut report).map(|target| (target, None)));
        } else {
            let what = match known.is_empty() {
                true => "no such target; the configuration has none".to_owned(),
                false => format!("no such target; the configuration has {}", known.join(", ")),
            };
            problems.borrow_mut().add(name, what);
        }
    }
    chosen
}

/// Flags before file; a target without addresses of its own gets the next port of the base.
fn listeners(
    chosen: &mut [(Target, Listens)],
    base: Option<Vec<String>>,
    flags: &[String],
    problems: &RefCell<Problems>,
) -> Vec<ListenerSetting> {
    let parse = |key: &str, texts: &[String]| -> Vec<Address> {
        let parsed = texts.iter().map(|text| (text, listen_address(text)));
        parsed
            .filter_map(|(_, result)| result.map_err(|e| problems.borrow_mut().add(key, e)).ok())
            .collect()
    };
    let default = vec![values::POSTGRES_PORT.to_string()];
    let (key, texts) = match flags {
        [] => ("listen", base.unwrap_or(default)),
        flags => ("--listen", flags.to_vec()),
    };
    let base = parse(key, &texts);
    let mut listeners: Vec<ListenerSetting> = Vec::new();
    let mut step: u16 = 0;
    for (target, own) in chosen {
        let addresses = match own.take().filter(|_| flags.is_empty()) {
            Some(own) => parse(&format!("targets.{}.listen", target.name), &own),
            None => {
                let next = base
                    .iter()
                    .filter_map(|address| next_port(address, step))
                    .collect();
                step = step.saturating_add(1);
                next
            }
        };
        for address in addresses {
            judge_address(&address, target, &listeners, problems);
            listeners.push(ListenerSetting {
                address,
                target: target.name.clone(),
            });
        }
    }
    listeners
}

fn judge_address(
    address: &Address,
    target: &Target,
    taken: &[ListenerSetting],
    problems: &RefCell<Problems>,
) {
    let key = format!("listen ({})", target.name);
    if !address.is_local() {
        let what = format!(
            "{address} can be reached from other machines, and callers cannot prove who they are yet; \
             listen on loopback or on a unix socket"
        );
        problems.borrow_mut().add(&key, what);
    }
    let any_port = matches!(address, Address::Tcp(at) if at.port() == 0);
    if let Some(other) = taken.iter().find(|other| other.address == *address && !any_port) {
        let what = format!("{address} is already taken by target {}", other.target);
        problems.borrow_mut().add(&key, what);
    }
}

/// The settings that are not about targets.
struct General {
    admin: Option<SocketAddr>,
    client_tls: Option<server::Config>,
    client_tls_required: bool,
    socket_uids: Vec<u32>,
    max_clients: usize,
    workers: usize,
    logins_per_second: u32,
    drain_timeout: Duration,
    session: session::Config,
    dial: dial::Config,
    log: logs::Config,
}

impl General {
    fn read(root: &mut Section<'_>) -> Option<Self> {
        let admin = read_admin(root);
        let mut time = |key: &'static str| {
            let text = root
                .string(key)
                .unwrap_or_else(|| reference::default_of(key).to_owned());
            root.convert(key, duration(&text)).unwrap_or_default()
        };
        let drain_timeout = time("drain_timeout");
        let session = session::Config {
            startup_timeout: time("startup_timeout"),
        };
        let dial = dial::Config {
            dial_timeout: time("dial_timeout"),
            tls_timeout: time("tls_timeout"),
            login_timeout: time("login_timeout"),
        };
        let mut number = |key: &'static str, high: i64| {
            let default = reference::default_of(key).parse().unwrap_or_default();
            let value = root.integer(key, 0..=high).unwrap_or(default);
            usize::try_from(value).unwrap_or_default()
        };
        let max_clients = number("max_clients", 1_000_000);
        let workers = number("workers", 1_024);
        let logins_per_second = number("logins_per_second", 100_000);
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
        let (client_tls, client_tls_required) = read_client_tls(root);
        Some(Self {
            admin,
            client_tls,
            client_tls_required,
            socket_uids,
            max_clients,
            workers,
            logins_per_second: u32::try_from(logins_per_second).unwrap_or_default(),
            drain_timeout,
            session,
            dial,
            log,
        })
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

fn read_client_tls(root: &mut Section<'_>) -> (Option<server::Config>, bool) {
    let Some(mut section) = root.section("client_tls") else {
        return (None, false);
    };
    let mut file = |key| {
        let path = section.string(key).map(PathBuf::from);
        if path.is_none() {
            section.problem(key, "is missing");
        }
        path
    };
    let files = (file("cert_file"), file("key_file"));
    let required = section.boolean("required").unwrap_or(false);
    section.finish();
    match files {
        (Some(cert_file), Some(key_file)) => (Some(server::Config { cert_file, key_file }), required),
        _ => (None, required),
    }
}

#[cfg(test)]
mod tests;
