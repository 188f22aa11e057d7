//! Where a connection really comes from: the peer the kernel names, or whom a load balancer in front
//! names in a PROXY protocol header.
//!
//! A listener either requires the header, from configured addresses only, or never looks for one: a
//! listener that took it from anybody would let anybody choose its own address.

use super::Door;
use super::startup::Fault;
use crate::access::identity::Peer;
use crate::platform::tls::stream::ClientStream;
use crate::platform::wire::proxy_header::{
    self, PREFIX_BYTES, ProxyHeader, ProxyHeaderError, SIGNATURE, Source,
};
use std::net::IpAddr;
use tokio::io::AsyncReadExt;

/// The peer as far as it matters for who may do what.
#[derive(Debug)]
pub struct Arrival {
    pub peer: Peer,
    /// The address whose connections are counted.
    pub counted: Option<IpAddr>,
    /// The name that the client asked the balancer for, if that has ended the client's TLS.
    pub server_name: Option<Box<str>>,
    /// What the log calls the source, if a balancer named it.
    pub source: Option<String>,
}

/// Reads the header where the listener requires one. On any other listener no byte is read.
pub async fn arrive(stream: &mut ClientStream, peer: Peer, door: &Door) -> Result<Arrival, Fault> {
    let Peer::Ip(balancer) = peer else {
        return Ok(Arrival::direct(peer, None));
    };
    if door.balancers.is_empty() {
        return Ok(Arrival::direct(peer, Some(balancer)));
    }
    let canonical = balancer.to_canonical();
    if !door.balancers.iter().any(|network| network.contains(&canonical)) {
        return Err(Fault::NotABalancer);
    }
    Ok(Arrival::through(read_header(stream).await?, balancer))
}

async fn read_header(stream: &mut ClientStream) -> Result<ProxyHeader, Fault> {
    let mut prefix = [0; PREFIX_BYTES];
    // A health check of the balancer may connect and leave again without a word.
    let (first, rest) = prefix.split_at_mut(1);
    stream.read_exact(first).await.map_err(|_| Fault::Probe)?;
    // A client that comes directly waits for an answer to less than a prefix.
    if !SIGNATURE.starts_with(first) {
        return Err(Fault::ProxyHeader(ProxyHeaderError::Signature));
    }
    stream.read_exact(rest).await.map_err(|_| Fault::Lost)?;
    let length = proxy_header::body_length(&prefix).map_err(Fault::ProxyHeader)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(|_| Fault::Lost)?;
    proxy_header::parse(&prefix, &body).map_err(Fault::ProxyHeader)
}

impl Arrival {
    fn direct(peer: Peer, counted: Option<IpAddr>) -> Self {
        Self {
            peer,
            counted,
            server_name: None,
            source: None,
        }
    }

    fn through(header: ProxyHeader, balancer: IpAddr) -> Self {
        let (client, source) = match header.source {
            // The balancer speaks for itself.
            Source::Balancer => return Self::direct(Peer::Ip(balancer), Some(balancer)),
            Source::Client(address) => (Some(address.ip()), format!("{address} via {balancer}")),
            Source::Unknown => (None, format!("unknown via {balancer}")),
        };
        let via = header
            .vpc_endpoint
            .map(|id| format!(" ({id})"))
            .unwrap_or_default();
        Self {
            peer: Peer::Proxied { client, balancer },
            counted: client.or(Some(balancer)),
            server_name: header.authority,
            source: Some(source + &via),
        }
    }
}
