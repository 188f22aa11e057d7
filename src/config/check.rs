//! Settings as meant: the whole configuration judged at once.

mod audit;
mod callers;
mod choose;
mod general;
mod listeners;
mod manifest;
mod peers;
mod policy;

pub use audit::{AuditSetting, audit_file};
pub use callers::CallersSetting;
pub use general::admin_address;
pub use manifest::{ManifestSetting, manifest_path};
pub use peers::PeersSetting;
pub use policy::PolicySetting;

use super::section::{Problems, Section};
use super::source::Environment;
use super::target::{AdHoc, Defaults};
use crate::access::identity::{Authenticator, mtls};
use crate::domain::name::TargetName;
use crate::domain::target::Target;
use crate::platform::telemetry::logs;
use crate::platform::tls::server;
use crate::traffic::listener::Address;
use crate::traffic::session;
use crate::traffic::session::callers::CallerLimits;
use crate::traffic::upstream::dial;
use general::General;
use ipnet::IpNet;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use toml::{Table, Value};

/// Everything the process needs to know, checked.
#[derive(Debug)]
pub struct Settings {
    pub listeners: Vec<ListenerSetting>,
    pub targets: Vec<Target>,
    pub policy: PolicySetting,
    /// What catalog and policies take from the access manifest, if one is named.
    pub manifest: Option<ManifestSetting>,
    pub callers: CallersSetting,
    pub audit: AuditSetting,
    pub peers: Option<PeersSetting>,
    pub admin: Option<SocketAddr>,
    pub client_tls: Option<server::Config>,
    pub client_tls_required: bool,
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

/// One address and the target it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSetting {
    pub address: Address,
    pub target: TargetName,
    /// Who connects here on behalf of clients, by PROXY protocol v2; nobody: clients themselves.
    pub balancers: Vec<IpNet>,
    /// How callers may prove themselves here.
    pub authenticators: Vec<Authenticator>,
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

const NO_TARGETS: &str = "none given: name a target or an RDS endpoint on the command line, or a broker (`--via`), or \
     configure [targets.<name>]";

/// Judges file and command line together.
pub fn check(
    file: Table,
    command_line: CommandLine,
    environment: Environment<'_>,
) -> Result<Settings, Problems> {
    let table = merged(file, command_line.overrides);
    let problems = RefCell::new(Problems::default());
    let mut root = Section::new("", table, &problems);
    let base = listeners::read(&mut root);
    let balancers = listeners::read_balancers(&mut root).unwrap_or_default();
    let authenticators =
        callers::read_authenticators(&mut root).unwrap_or_else(|| vec![Authenticator::Local]);
    let mut callers = CallersSetting::read(&mut root);
    let audit = AuditSetting::read(&mut root);
    let defaults = Defaults::read(&mut root, environment);
    let read = manifest::with_targets(&mut root, &defaults, environment);
    let general = General::read(&mut root);
    callers.mtls = general.client_name.map(|name| mtls::Settings { name });
    let mut policy = policy::read_policy(&mut root);
    let peers = peers::read(&mut root);
    root.finish();
    let (manifest, configured) = read.ok_or_else(|| problems.borrow().clone())?;
    let known = choose::targets(&configured);
    let mut chosen = choose::Choice {
        ad_hoc: &command_line.ad_hoc,
        defaults: &defaults,
        problems: &problems,
        environment,
    }
    .choose(configured, &command_line.targets);
    if chosen.is_empty() && problems.borrow().is_empty() {
        problems.borrow_mut().add("targets", NO_TARGETS);
    }
    policy.catalog = catalog(known, &chosen);
    let common = listeners::Common {
        base,
        balancers,
        authenticators,
    };
    let listeners = listeners::assign(&mut chosen, common, &command_line.listen, &problems);
    let conditions = callers::Conditions {
        callers: &callers,
        targets: &chosen,
        has_policy: policy.dir.is_some(),
        has_tls: general.client_tls.is_some(),
    };
    callers::judge(&listeners, &conditions, &problems);
    let problems = problems.into_inner();
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Settings {
        listeners,
        targets: chosen.into_iter().map(|chosen| chosen.target).collect(),
        policy,
        manifest,
        callers,
        audit,
        peers,
        admin: general.admin,
        client_tls: general.client_tls,
        client_tls_required: general.client_tls_required,
        socket_uids: general.socket_uids,
        max_clients: general.max_clients,
        max_clients_per_source: general.max_clients_per_source,
        caller_limits: general.caller_limits,
        workers: general.workers,
        logins_per_second: general.logins_per_second,
        drain_timeout: general.drain_timeout,
        session_grace: general.session_grace,
        session: general.session,
        dial: general.dial,
        log: general.log,
    })
}

/// Those of the file, and those of the command line.
fn catalog(known: Vec<Target>, chosen: &[choose::Chosen]) -> Arc<[Target]> {
    let is_known = |target: &Target| known.iter().any(|other| other.name == target.name);
    let served = chosen.iter().map(|chosen| &chosen.target);
    let others: Vec<Target> = served.filter(|target| !is_known(target)).cloned().collect();
    known.into_iter().chain(others).collect()
}

/// Flags win over the file, key by key also within a table. What should be a table and is none stays
/// as it is, to be reported.
fn merged(mut file: Table, flags: Table) -> Table {
    for (key, value) in flags {
        match (file.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(value)) => inner.extend(value),
            (Some(_), Value::Table(_)) => {}
            (_, value) => {
                file.insert(key, value);
            }
        }
    }
    file
}

#[cfg(test)]
mod tests;
