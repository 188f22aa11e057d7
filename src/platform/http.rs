//! Small answers over HTTPS: keys of an issuer, the word of STS about a caller. Bounded in time and size,
//! redirects are not followed, nothing is retried.

use crate::platform::tls::{TlsError, public_roots};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::path::Path;
use std::time::Duration;

/// From the first packet to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("`{0}` is not a URL that may be asked: https, or http on this machine")]
    Url(String),
    #[error("no answer")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer in time")]
    Timeout,
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// What came back, whatever its status.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
    /// For how long it may be kept (`Cache-Control: max-age`).
    pub max_age: Option<Duration>,
}

/// A client that keeps its connections. To be used on one runtime only.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

impl Http {
    /// Trusts the machine's roots, and those of a file if one is given.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(TIMEOUT));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(public_roots(ca_file)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(https),
        })
    }

    /// At most `limit` bytes of answer.
    pub async fn get(&self, url: &str, headers: &[(&str, &str)], limit: usize) -> Result<Answer, HttpError> {
        let refused = || HttpError::Url(without_query(url).to_owned());
        let uri: http::Uri = url.parse().map_err(|_| refused())?;
        if !may_be_asked(&uri) {
            return Err(refused());
        }
        let mut request = http::Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::new()).map_err(|_| refused())?;
        tokio::time::timeout(TIMEOUT, self.send(request, limit))
            .await
            .map_err(|_| HttpError::Timeout)?
    }

    async fn send(&self, request: http::Request<Empty<Bytes>>, limit: usize) -> Result<Answer, HttpError> {
        let answer = self
            .client
            .request(request)
            .await
            .map_err(|error| HttpError::Failed(Box::new(error)))?;
        let (head, body) = answer.into_parts();
        let body =
            Limited::new(body, limit)
                .collect()
                .await
                .map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
                    true => HttpError::TooLarge(limit),
                    false => HttpError::Failed(error),
                })?;
        Ok(Answer {
            status: head.status.as_u16(),
            body: body.to_bytes(),
            max_age: max_age(&head.headers),
        })
    }
}

/// A query may hold a signature.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// Whether the client would ask there at all: at `https:`, or in clear within this machine.
pub fn is_address(url: &str) -> bool {
    url.parse().is_ok_and(|uri| may_be_asked(&uri))
}

/// In clear only within this machine, where a test's stand-in listens.
fn may_be_asked(uri: &http::Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    match uri.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => host == "localhost" || address.is_ok_and(|address| address.is_loopback()),
        _ => false,
    }
}

fn max_age(headers: &http::HeaderMap) -> Option<Duration> {
    let control = headers.get(http::header::CACHE_CONTROL)?.to_str().ok()?;
    let seconds = control
        .split(',')
        .find_map(|part| part.trim().strip_prefix("max-age="))?;
    seconds.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_in_clear() {
        for (url, allowed) in [
            ("https://issuer.example/keys", true),
            ("http://127.0.0.1:80/keys", true),
            ("http://[::1]/keys", true),
            ("http://localhost:1/", true),
            ("http://issuer.example/keys", false),
            ("http://localhost.example/", false),
            ("ftp://127.0.0.1/", false),
            ("/keys", false),
        ] {
            assert_eq!(may_be_asked(&url.parse().unwrap()), allowed, "{url}");
        }
    }

    #[test]
    fn the_age_is_read_among_other_words() {
        let mut headers = http::HeaderMap::new();
        assert_eq!(max_age(&headers), None);
        headers.insert("cache-control", "public, max-age=300".parse().unwrap());
        assert_eq!(max_age(&headers), Some(Duration::from_secs(300)));
    }
}
