//! Parts that are built once from their settings.

use super::{StartError, callers};
use crate::access::audit::Audit;
use crate::access::audit::sink::Sinks;
use crate::access::identity::{Identity, Local};
use crate::admin::{Admin, Handles};
use crate::config::{AuditSetting, PeersSetting, Settings};
use crate::platform::clock::Clock;
use crate::platform::process::own_uid;
use crate::platform::task::Background;
use crate::platform::tls::server::ServerIdentity;
use crate::traffic::peers::{Peers, PeersError};
use std::net::SocketAddr;
use std::sync::Arc;

pub(super) fn load_client_tls(settings: &Settings) -> Result<Option<Arc<ServerIdentity>>, StartError> {
    let config = settings.client_tls.clone();
    let loaded = config.map(ServerIdentity::load).transpose();
    Ok(loaded.map_err(StartError::ClientTls)?.map(Arc::new))
}

/// How callers prove who they are.
pub(super) fn identity_of_callers(
    settings: &Settings,
    clock: &Clock,
    background: &Background,
) -> Result<Identity, StartError> {
    let mut uids = settings.socket_uids.clone();
    uids.push(own_uid());
    let means = callers::Means {
        clock: clock.clone(),
        background: background.clone(),
        seed: settings.peers.as_ref().map(|peers| peers.secret.clone()),
    };
    Ok(callers::identity(Local { uids }, &settings.callers, means)?)
}

pub(super) async fn open_admin(
    address: Option<SocketAddr>,
    handles: Handles,
) -> Result<Option<Admin>, StartError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let bound = Admin::bind(address, handles).await;
    bound.map(Some).map_err(|error| StartError::Admin(address, error))
}

pub(super) fn open_audit(settings: &AuditSetting, clock: &Clock) -> Result<Audit, StartError> {
    if settings.sinks.is_empty() && !settings.required {
        return Ok(Audit::new(None, clock.clone()));
    }
    let sinks = Sinks::open_at(&settings.sinks, settings.required, clock).map_err(StartError::Audit)?;
    Ok(Audit::new(Some(sinks), clock.clone()))
}

/// The other replicas, and where this one listens for them.
pub(super) fn join_peers(
    settings: Option<&PeersSetting>,
) -> Result<Option<(SocketAddr, Arc<Peers>)>, PeersError> {
    let Some(PeersSetting {
        listen,
        advertise,
        members,
        secret,
    }) = settings
    else {
        return Ok(None);
    };
    let own = advertise.unwrap_or(*listen);
    let peers = Peers::new(secret.expose(), own, members.clone())?;
    Ok(Some((*listen, Arc::new(peers))))
}
