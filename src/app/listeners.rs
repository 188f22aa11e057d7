//! The listeners, and how clients are told to reach them.

use crate::access::catalog::Catalog;
use crate::config::Settings;
use crate::platform::tls::server::ServerIdentity;
use crate::traffic::listener::{Address, BindError, Listener};
use crate::traffic::session::Door;
use std::sync::Arc;

pub(super) fn bind(
    settings: Settings,
    identity: Option<&Arc<ServerIdentity>>,
    catalog: &Catalog,
) -> Result<Vec<Listener>, BindError> {
    let tls_required = settings.client_tls_required;
    let shared_socket = !settings.socket_uids.is_empty();
    let mut listeners = Vec::with_capacity(settings.listeners.len());
    for setting in settings.listeners {
        // Settings name only targets they hold.
        if let Some(target) = catalog.entry(&setting.target) {
            let door = Arc::new(Door {
                target: target.clone(),
                tls: identity.cloned(),
                tls_required,
                shared_socket,
                balancers: setting.balancers,
                authenticators: setting.authenticators.into(),
            });
            listeners.push(Listener::bind(setting.address, door)?);
        }
    }
    Ok(listeners)
}

pub(super) fn psql_command(listener: &Listener) -> String {
    let target = &listener.door().target.now();
    let user = target.proposed_user().map_or("USER", |user| user.as_str());
    let database = target
        .proposed_database()
        .map_or("postgres", |name| name.as_str());
    match listener.address() {
        Address::Tcp(at) if !listener.door().balancers.is_empty() => {
            format!(
                "load balancers only (PROXY protocol v2), host={} port={} target={}",
                at.ip(),
                at.port(),
                target.name
            )
        }
        Address::Tcp(at) => {
            format!(
                "psql 'host={} port={} user={user} dbname={database}'",
                at.ip(),
                at.port()
            )
        }
        Address::Unix { dir, port } => {
            format!(
                "psql 'host={} port={port} user={user} dbname={database}'",
                dir.display()
            )
        }
    }
}
