//! Evidence of a connection -> [`Caller`]. One authenticator so far: `local`.

use crate::domain::caller::Caller;
use crate::domain::reason::CloseReason;
use crate::error::{ClientFacing, Refusal, SqlState};
use std::net::IpAddr;

/// What the kernel says about the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Ip(IpAddr),
    /// Peer credentials of a unix socket (`SO_PEERCRED`).
    Unix {
        uid: u32,
    },
}

/// Why nobody was identified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("only local connections are accepted here")]
    NotLocal,
    #[error("user id {0} may not use this socket")]
    ForeignUid(u32),
}

impl ClientFacing for IdentityError {
    fn refusal(&self) -> Refusal {
        let refusal = Refusal::new(
            CloseReason::NotIdentified,
            SqlState::INVALID_AUTHORIZATION,
            self.to_string(),
        );
        match self {
            Self::NotLocal => refusal.hint("Connect from the machine that dbproxy runs on."),
            Self::ForeignUid(_) => {
                refusal.hint("Run dbproxy as the same user, or list the user id in `socket_uids`.")
            }
        }
    }
}

/// The `local` authenticator: loopback addresses, and unix sockets of permitted uids.
#[derive(Debug, Clone)]
pub struct Local {
    /// The uid dbproxy runs as, and those the configuration adds.
    pub uids: Vec<u32>,
}

impl Local {
    pub fn identify(&self, peer: Peer) -> Result<Caller, IdentityError> {
        match peer {
            Peer::Ip(address) if address.to_canonical().is_loopback() => Ok(Caller::Local { uid: None }),
            Peer::Ip(_) => Err(IdentityError::NotLocal),
            Peer::Unix { uid } if self.uids.contains(&uid) => Ok(Caller::Local { uid: Some(uid) }),
            Peer::Unix { uid } => Err(IdentityError::ForeignUid(uid)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_permitted_uids_are_local() {
        let local = Local { uids: vec![1000] };
        for ip in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            let peer = Peer::Ip(ip.parse().unwrap());
            assert_eq!(local.identify(peer), Ok(Caller::Local { uid: None }), "{ip}");
        }
        for ip in ["10.0.0.1", "::2", "::ffff:10.0.0.1"] {
            let peer = Peer::Ip(ip.parse().unwrap());
            assert_eq!(local.identify(peer), Err(IdentityError::NotLocal), "{ip}");
        }
        assert!(local.identify(Peer::Unix { uid: 1000 }).is_ok());
        assert_eq!(
            local.identify(Peer::Unix { uid: 1001 }),
            Err(IdentityError::ForeignUid(1001))
        );
    }
}
