//! Keeps web pages away from what operators do.
//!
//! A page in the operator's browser can send requests to this address. Its POSTs carry `Origin`. One that has
//! its own name point here (DNS rebinding) reads answers too, but its requests carry that name in `Host`.

use super::answer::{Answer, refuse};
use crate::platform::task::within;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use std::net::IpAddr;
use std::time::Duration;

/// How long an operator's request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Lets through what no web page can have sent.
pub async fn no_web_pages(request: Request, next: Next) -> Answer {
    if let Err(why) = judge(request.headers()) {
        return refuse(StatusCode::FORBIDDEN, why);
    }
    match within(REQUEST_TIMEOUT, next.run(request)).await {
        Some(answer) => answer,
        None => refuse(StatusCode::REQUEST_TIMEOUT, "the request took too long"),
    }
}

fn judge(headers: &HeaderMap) -> Result<(), &'static str> {
    if headers.contains_key(header::ORIGIN) {
        return Err("not from a web page");
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next().map(|host| host.to_str()), hosts.next()) {
        (Some(Ok(host)), None) if is_own(host) => Ok(()),
        _ => Err("the Host header must be the admin address or localhost"),
    }
}

/// A loopback address or `localhost`, whatever the port: a tunnel may end at another one. Neither is a name that
/// somebody else could have point here.
fn is_own(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let bracketed = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let address = bracketed.unwrap_or(name).parse::<IpAddr>();
    port.is_none_or(|port| port.parse::<u16>().is_ok())
        && (name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_meant() {
        for host in [
            "127.0.0.1:9090",
            "127.0.0.1",
            "[::1]:9090",
            "[::1]",
            "localhost:1",
            "LocalHost",
            "127.0.0.2:9090",
        ] {
            assert!(is_own(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9090",
            "localhost.evil.example",
            "127.0.0.1.evil.example:9090",
            "127.0.0.1:9090:9090",
            "127.0.0.1:x",
            "10.0.0.1:9090",
            "user@127.0.0.1",
            "[::1",
            "0.0.0.0:9090",
        ] {
            assert!(!is_own(host), "{host}");
        }
    }

    #[test]
    fn one_host_and_no_origin() {
        let mut headers = HeaderMap::new();
        assert!(judge(&headers).is_err());
        headers.append(header::HOST, "localhost:9090".parse().unwrap());
        assert_eq!(judge(&headers), Ok(()));
        headers.append(header::ORIGIN, "null".parse().unwrap());
        assert!(judge(&headers).is_err());
        headers.remove(header::ORIGIN);
        headers.append(header::HOST, "evil.example".parse().unwrap());
        assert!(judge(&headers).is_err());
    }
}
