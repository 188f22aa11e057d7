//! Asks an issuer for its keys, over HTTPS: at the address that the configuration says, or where the
//! issuer's discovery document says (OpenID Connect Discovery 1.0, section 4).

use super::jwks::KeySet;
use crate::platform::http::{Answer, Http, HttpError};
use serde::Deserialize;
use std::time::Duration;

/// Longest answer.
const ANSWER_BYTES_MAX: usize = 262_144;
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// That an issuer's keys could not be had. The issuer is one of the configuration.
#[derive(Debug, thiserror::Error)]
#[error("the keys of {issuer} could not be fetched")]
pub struct KeysError {
    issuer: String,
    #[source]
    fault: FetchError,
}

/// Why they could not.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the {what} did not come")]
    Http {
        what: &'static str,
        #[source]
        source: HttpError,
    },
    #[error("the answer instead of the {what} has status {status}")]
    Status { what: &'static str, status: u16 },
    #[error("the answer is not the JSON that was expected")]
    Json(#[source] serde_json::Error),
    #[error("the discovery document is another issuer's")]
    OtherIssuer,
    #[error("the discovery document of an https issuer says that the keys are elsewhere than at https")]
    InClear,
    #[error("the issuer has {0} keys, more than are accepted")]
    TooManyKeys(usize),
    #[error("dbproxy is stopping")]
    Stopping,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Discovery {
    /// Where the keys are, if this is the issuer's document.
    fn keys_of(self, issuer: &str) -> Result<String, FetchError> {
        if self.issuer != issuer {
            return Err(FetchError::OtherIssuer);
        }
        // The client asks in clear within this machine; no issuer elsewhere is to choose that.
        if issuer.starts_with("https:") && !self.jwks_uri.starts_with("https:") {
            return Err(FetchError::InClear);
        }
        Ok(self.jwks_uri)
    }
}

/// Where the keys of one issuer come from.
#[derive(Debug)]
pub(super) struct Source {
    issuer: String,
    jwks_uri: Option<String>,
    http: Http,
}

impl Source {
    pub(super) fn new(issuer: &str, jwks_uri: Option<&str>, http: Http) -> Self {
        Self {
            issuer: issuer.to_owned(),
            jwks_uri: jwks_uri.map(str::to_owned),
            http,
        }
    }

    /// The keys, and for how long the issuer says they may be kept. To be awaited on the background's
    /// runtime, like all HTTP.
    pub(super) async fn fetch(&self) -> Result<(KeySet, Option<Duration>), FetchError> {
        // Asked anew each time: it is one request more, seldom, and the keys may move.
        let discovered = match &self.jwks_uri {
            Some(_) => None,
            None => Some(self.discover().await?),
        };
        let uri = self.jwks_uri.as_ref().or(discovered.as_ref());
        let answer = self
            .get("keys", uri.map(String::as_str).unwrap_or_default())
            .await?;
        Ok((KeySet::parse(&answer.body)?, answer.max_age))
    }

    pub(super) fn failed(&self, fault: FetchError) -> KeysError {
        KeysError {
            issuer: self.issuer.clone(),
            fault,
        }
    }

    async fn discover(&self) -> Result<String, FetchError> {
        let base = self.issuer.strip_suffix('/').unwrap_or(&self.issuer);
        let answer = self
            .get("discovery document", &format!("{base}{DISCOVERY}"))
            .await?;
        let found: Discovery = serde_json::from_slice(&answer.body).map_err(FetchError::Json)?;
        found.keys_of(&self.issuer)
    }

    async fn get(&self, what: &'static str, url: &str) -> Result<Answer, FetchError> {
        let accept = [("accept", "application/json")];
        let answer = self.http.get(url, &accept, ANSWER_BYTES_MAX).await;
        let answer = answer.map_err(|source| FetchError::Http { what, source })?;
        match answer.status {
            200 => Ok(answer),
            status => Err(FetchError::Status { what, status }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discovery_document_speaks_for_its_issuer_only() {
        for (issuer, jwks_uri, is_accepted) in [
            ("https://a.example", "https://keys.example/a", true),
            ("https://a.example", "http://127.0.0.1/keys", false),
            ("https://a.example", "/keys", false),
            ("https://a.example/", "https://a.example/keys", false),
            ("https://A.example", "https://a.example/keys", false),
        ] {
            let found = Discovery {
                issuer: issuer.to_owned(),
                jwks_uri: jwks_uri.to_owned(),
            };
            let outcome = found.keys_of("https://a.example");
            assert_eq!(outcome.is_ok(), is_accepted, "{issuer} {jwks_uri}");
        }
    }
}
