//! Evidence of a connection -> [`Caller`]. One file an authenticator:
//!
//! - [`Local`]: loopback and unix sockets
//! - [`aws_iam`]: a presigned `GetCallerIdentity`; [`oidc`]: a JWT, of AWS's own issuer too; both as the password
//! - [`mtls`]: a client certificate; [`scram`]: a file of verifiers
//! - [`evidence`]: which evidence each accepts, and whom it proves
//! - [`lockout`]: sources that guess

pub mod aws_iam;
pub mod evidence;
pub mod lockout;
pub mod mtls;
pub mod oidc;
pub mod scram;

pub use evidence::{Authenticator, Identity, IssuerSettings, ProofError, ScramUsers};

use crate::domain::caller::Caller;
use crate::domain::reason::CloseReason;
use crate::error::{ClientFacing, Refusal, SqlState};
use std::net::IpAddr;

/// What is known about the peer: by the kernel, or from a load balancer that is trusted for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Ip(IpAddr),
    /// A load balancer, and whom it connects for as far as it says (PROXY protocol).
    Proxied {
        client: Option<IpAddr>,
        balancer: IpAddr,
    },
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
        let is_local = |address: IpAddr| address.to_canonical().is_loopback();
        match peer {
            Peer::Ip(address) if is_local(address) => Ok(Caller::local(None)),
            // A balancer elsewhere may see its own loopback; only both ends here are local.
            Peer::Proxied {
                client: Some(client),
                balancer,
            } if is_local(client) && is_local(balancer) => Ok(Caller::local(None)),
            Peer::Ip(_) | Peer::Proxied { .. } => Err(IdentityError::NotLocal),
            Peer::Unix { uid } if self.uids.contains(&uid) => Ok(Caller::local(Some(uid))),
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
            assert_eq!(local.identify(peer), Ok(Caller::local(None)), "{ip}");
        }
        for ip in ["10.0.0.1", "::2", "::ffff:10.0.0.1"] {
            let peer = Peer::Ip(ip.parse().unwrap());
            assert_eq!(local.identify(peer), Err(IdentityError::NotLocal), "{ip}");
        }
        for (client, balancer, is_local) in [
            (Some("127.0.0.1"), "127.0.0.1", true),
            (Some("127.0.0.1"), "10.0.0.1", false),
            (Some("10.0.0.1"), "127.0.0.1", false),
            (None, "127.0.0.1", false),
        ] {
            let peer = Peer::Proxied {
                client: client.map(|ip| ip.parse().unwrap()),
                balancer: balancer.parse().unwrap(),
            };
            assert_eq!(local.identify(peer).is_ok(), is_local, "{peer:?}");
        }
        assert!(local.identify(Peer::Unix { uid: 1000 }).is_ok());
        assert_eq!(
            local.identify(Peer::Unix { uid: 1001 }),
            Err(IdentityError::ForeignUid(1001))
        );
    }
}
