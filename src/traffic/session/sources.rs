//! How many connections each source address has, so that one cannot take the places of all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// How far beyond the limit a source is still told why it is refused, as a factor and a constant.
const TOLD_FACTOR: usize = 2;
const TOLD_MORE: usize = 16;

/// Connections by source. Touched when a connection begins or ends.
#[derive(Debug, Clone)]
pub struct Sources {
    /// 0: no limit, and nothing is counted.
    limit: usize,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// What a source may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Within,
    /// One more than permitted: refused, with the reason.
    Over,
    /// Far beyond: not worth an answer.
    FarOver,
}

/// Counts one connection of a source for as long as it lives.
#[derive(Debug)]
pub struct Entry {
    sources: Sources,
    source: Option<IpAddr>,
    pub standing: Standing,
}

impl Sources {
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            counts: Arc::default(),
        }
    }

    /// `None` is a source without an address: a unix socket, whose uid is checked instead.
    pub fn enter(&self, source: Option<IpAddr>) -> Entry {
        let source = source.filter(|_| self.limit > 0).map(host_of);
        let standing = match source {
            None => Standing::Within,
            Some(address) => {
                let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
                let count = counts.entry(address).or_default();
                *count = count.saturating_add(1);
                self.standing(*count)
            }
        };
        Entry {
            sources: self.clone(),
            source,
            standing,
        }
    }

    fn standing(&self, count: usize) -> Standing {
        let told = self.limit.saturating_mul(TOLD_FACTOR).saturating_add(TOLD_MORE);
        match count {
            _ if count <= self.limit => Standing::Within,
            _ if count <= told => Standing::Over,
            _ => Standing::FarOver,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Some(source) = self.source else { return };
        let mut counts = self.sources.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&source);
            }
        }
    }
}

/// What counts as one source: an IPv4 address, or the /64 of an IPv6 address, which one host has to
/// itself (RFC 7934).
fn host_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let prefix = u128::from(v6) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_source_is_counted_while_its_connections_live() {
        let sources = Sources::new(2);
        let held: Vec<_> = (0..2).map(|_| sources.enter(ip("10.0.0.1"))).collect();
        assert!(held.iter().all(|entry| entry.standing == Standing::Within));
        assert_eq!(sources.enter(ip("10.0.0.1")).standing, Standing::Over);
        assert_eq!(sources.enter(ip("::ffff:10.0.0.1")).standing, Standing::Over);
        assert_eq!(sources.enter(ip("10.0.0.2")).standing, Standing::Within);
        assert_eq!(sources.enter(None).standing, Standing::Within);
        drop(held);
        assert_eq!(sources.enter(ip("10.0.0.1")).standing, Standing::Within);
        assert!(sources.counts.lock().unwrap().is_empty());
    }

    #[test]
    fn an_ipv6_host_is_its_network_and_far_beyond_is_not_answered() {
        let sources = Sources::new(1);
        let held: Vec<_> = (0..20)
            .map(|n| sources.enter(ip(&format!("2001:db8::{n:x}"))))
            .collect();
        let standings: Vec<_> = held.iter().map(|entry| entry.standing).collect();
        assert_eq!(standings[..2], [Standing::Within, Standing::Over]);
        assert_eq!(
            standings[17..],
            [Standing::Over, Standing::FarOver, Standing::FarOver]
        );
        assert_eq!(sources.enter(ip("2001:db8:0:1::1")).standing, Standing::Within);
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let sources = Sources::new(0);
        let _held: Vec<_> = (0..100).map(|_| sources.enter(ip("10.0.0.1"))).collect();
        assert!(sources.counts.lock().unwrap().is_empty());
    }
}
