//! Small values of the configuration that are written as strings.

pub use crate::domain::written::duration;

use crate::domain::target::HostPort;
use crate::traffic::listener::Address;
use rustls::pki_types::ServerName;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The port PostgreSQL clients assume.
pub const POSTGRES_PORT: u16 = 5432;

/// `5432`, `:5432`, `host:port`, `[::1]:5432`, `unix:/dir`, `unix:/dir:port`. A bare port is on
/// 127.0.0.1; `localhost` is too, since a name would have to be resolved.
pub fn listen_address(text: &str) -> Result<Address, String> {
    let wrong = || {
        format!(
            "`{text}` is not an address such as `5432`, `127.0.0.1:5432`, `[::1]:5432` or `unix:/run/dbproxy`"
        )
    };
    if let Some(rest) = text.strip_prefix("unix:") {
        let (dir, port) = match rest.rsplit_once(':') {
            Some((dir, port)) => (dir, port.parse().map_err(|_| wrong())?),
            None => (rest, POSTGRES_PORT),
        };
        return match dir.starts_with('/') {
            true => Ok(Address::Unix {
                dir: PathBuf::from(dir),
                port,
            }),
            false => Err(format!(
                "`{text}`: the directory of a unix socket must be absolute"
            )),
        };
    }
    let loopback = |port| Address::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    if let Ok(port) = text.trim_start_matches(':').parse() {
        return Ok(loopback(port));
    }
    match text.rsplit_once(':') {
        Some(("localhost", port)) => port.parse().map(loopback).map_err(|_| wrong()),
        _ => text.parse().map(Address::Tcp).map_err(|_| wrong()),
    }
}

/// The same address `steps` ports further.
pub fn next_port(address: &Address, steps: u16) -> Option<Address> {
    match address {
        Address::Tcp(at) if at.port() == 0 => Some(Address::Tcp(*at)),
        Address::Tcp(at) => {
            let port = at.port().checked_add(steps)?;
            Some(Address::Tcp(SocketAddr::new(at.ip(), port)))
        }
        Address::Unix { dir, port } => Some(Address::Unix {
            dir: dir.clone(),
            port: port.checked_add(steps)?,
        }),
    }
}

/// `host`, `host:port`, `[::1]:port`.
pub fn host_port(text: &str, default_port: u16) -> Result<HostPort, String> {
    let wrong = || format!("`{text}` is not a host or host:port");
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().map_err(|_| wrong())?)
        }
        _ => (text, default_port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if host.is_empty() || port == 0 || !host.chars().all(legal) {
        return Err(wrong());
    }
    Ok(HostPort {
        host: host.to_owned(),
        port,
    })
}

/// A host without a port; `port_key` is where a port would belong.
pub fn host(text: &str, port_key: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if text.contains(':') {
        return Err(format!("`{text}`: a port belongs in `{port_key}`"));
    }
    match !text.is_empty() && text.chars().all(legal) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(format!("`{text}` is not a host")),
    }
}

/// A name that a certificate can carry.
pub fn certificate_name(text: &str) -> Result<String, String> {
    match ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("`{text}` is not a name that a certificate can carry")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_hosts_carry_no_port() {
        assert_eq!(host("Db.Example", "token_port"), Ok("db.example".into()));
        for wrong in ["", "a b", "db:5432", "a/b", "::1"] {
            assert!(host(wrong, "token_port").is_err(), "{wrong}");
        }
        for right in ["db.example", "10.0.0.1", "db_1.example"] {
            assert!(certificate_name(right).is_ok(), "{right}");
        }
        for wrong in ["", "foo bar", "a..b", "db:5432"] {
            assert!(certificate_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_bare_port_is_on_loopback() {
        for (text, shown) in [
            ("5432", "127.0.0.1:5432"),
            (":5432", "127.0.0.1:5432"),
            ("localhost:5432", "127.0.0.1:5432"),
            ("0.0.0.0:1", "0.0.0.0:1"),
            ("[::1]:5432", "[::1]:5432"),
            ("unix:/run/x", "unix:/run/x:5432"),
            ("unix:/run/x:6000", "unix:/run/x:6000"),
        ] {
            assert_eq!(listen_address(text).unwrap().to_string(), shown);
        }
        for wrong in ["", "x", "host:5432", "70000", "unix:relative", "unix:/x:y"] {
            assert!(listen_address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_may_carry_a_port() {
        for (text, shown) in [
            ("db", "db:5432"),
            ("db:6", "db:6"),
            ("[::1]:6", "[::1]:6"),
            ("::1", "[::1]:5432"),
        ] {
            assert_eq!(host_port(text, 5432).unwrap().to_string(), shown);
        }
        for wrong in ["", ":5", "a b", "db:x", "db:0", "a/b", "a@b"] {
            assert!(host_port(wrong, 5432).is_err(), "{wrong}");
        }
    }
}
