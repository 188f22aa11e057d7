//! Which address leads to which target.

use super::ListenerSetting;
use super::choose::Chosen;
use crate::access::identity::Authenticator;
use crate::config::section::{Problems, Section};
use crate::config::values::{POSTGRES_PORT, listen_address, next_port};
use crate::domain::target::Target;
use crate::traffic::listener::Address;
use ipnet::{IpNet, Ipv4Net};
use std::cell::RefCell;
use std::net::IpAddr;

/// What IPv4 addresses begin with inside IPv6: `::ffff:0:0/96` (RFC 4291 §2.5.5.2).
const MAPPED_PREFIX_BITS: u8 = 96;

/// The load balancers of a table: addresses and networks.
pub fn read_balancers(section: &mut Section<'_>) -> Option<Vec<IpNet>> {
    let texts = section.strings("proxy_protocol_from")?;
    let networks = texts.iter().filter_map(|text| {
        let parsed = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let parsed = parsed.map(canonical);
        let what = format!("`{text}` is not an address or network such as `10.0.0.7` or `10.0.0.0/16`");
        section.convert("proxy_protocol_from", parsed.map_err(|_| what))
    });
    Some(networks.collect())
}

/// Peers are compared without their IPv6 dress, so networks are, too.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else {
        return network;
    };
    let v4 = v6.addr().to_ipv4_mapped();
    let bits = v6.prefix_len().checked_sub(MAPPED_PREFIX_BITS);
    match v4.zip(bits).map(|(v4, bits)| Ipv4Net::new(v4, bits)) {
        Some(Ok(v4)) => IpNet::V4(v4),
        _ => network,
    }
}

/// The `listen` of a table.
pub fn read(section: &mut Section<'_>) -> Option<Vec<String>> {
    let addresses = section.strings("listen")?;
    if addresses.is_empty() {
        section.problem("listen", "is empty: nothing could reach the target");
    }
    Some(addresses)
}

/// What targets without settings of their own have.
pub struct Common {
    pub base: Option<Vec<String>>,
    pub balancers: Vec<IpNet>,
    pub authenticators: Vec<Authenticator>,
}

/// Flags before file; a target without addresses of its own gets the next port of the base.
pub fn assign(
    chosen: &mut [Chosen],
    common: Common,
    flags: &[String],
    problems: &RefCell<Problems>,
) -> Vec<ListenerSetting> {
    let parse = |key: &str, texts: &[String]| -> Vec<Address> {
        let parsed = texts.iter().map(|text| listen_address(text));
        parsed
            .filter_map(|result| result.map_err(|e| problems.borrow_mut().add(key, e)).ok())
            .collect()
    };
    let default = vec![POSTGRES_PORT.to_string()];
    let (key, texts) = match flags {
        [] => ("listen", common.base.unwrap_or(default)),
        flags => ("--listen", flags.to_vec()),
    };
    let base = parse(key, &texts);
    let mut listeners: Vec<ListenerSetting> = Vec::new();
    let mut step: u16 = 0;
    for Chosen {
        target,
        listen,
        balancers: own_balancers,
        authenticators: own_authenticators,
        ..
    } in chosen
    {
        let balancers = own_balancers.take().unwrap_or_else(|| common.balancers.clone());
        let authenticators = own_authenticators.take();
        let authenticators = authenticators.unwrap_or_else(|| common.authenticators.clone());
        let addresses = match listen.take().filter(|_| flags.is_empty()) {
            Some(own) => parse(&format!("targets.{}.listen", target.name), &own),
            None => {
                let next = base.iter().filter_map(|address| {
                    let next = next_port(address, step);
                    if next.is_none() {
                        let what = format!("{address}: no port is left for target {}", target.name);
                        problems.borrow_mut().add(key, what);
                    }
                    next
                });
                let next = next.collect();
                step = step.saturating_add(1);
                next
            }
        };
        for address in addresses {
            judge_address(&address, target, &listeners, problems);
            listeners.push(ListenerSetting {
                address,
                target: target.name.clone(),
                balancers: balancers.clone(),
                authenticators: authenticators.clone(),
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
    let any_port = matches!(address, Address::Tcp(at) if at.port() == 0);
    if let Some(other) = taken.iter().find(|other| other.address == *address && !any_port) {
        let what = format!("{address} is already taken by target {}", other.target);
        problems.borrow_mut().add(&key, what);
    }
}
