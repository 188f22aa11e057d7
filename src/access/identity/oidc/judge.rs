//! Settings of an issuer that could not work.

use super::Settings;
use crate::platform::http::is_address;
use std::time::Duration;

/// Why settings were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("is empty")]
    Empty(&'static str),
    #[error("`{1}` is not asked for keys: write `https://…`, or `http://` of this machine")]
    Address(&'static str, String),
    #[error("must be at least 1s: no token would be accepted")]
    Lifetime,
}

impl SettingsError {
    /// Of which key.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Empty(key) | Self::Address(key, _) => key,
            Self::Lifetime => "max_lifetime",
        }
    }
}

impl Settings {
    /// Every mistake at once. An issuer whose keys are elsewhere is only a name.
    pub fn mistakes(&self) -> Vec<SettingsError> {
        let mut mistakes = Vec::new();
        for (key, text) in [("issuer", &self.issuer), ("audience", &self.audience)] {
            if text.trim().is_empty() {
                mistakes.push(SettingsError::Empty(key));
            }
        }
        let (key, url) = match &self.jwks_uri {
            Some(url) => ("jwks_uri", url),
            None => ("issuer", &self.issuer),
        };
        // An empty issuer has been told.
        if !is_address(url) && !self.issuer.trim().is_empty() {
            mistakes.push(SettingsError::Address(key, url.clone()));
        }
        if self.max_lifetime < Duration::from_secs(1) {
            mistakes.push(SettingsError::Lifetime);
        }
        mistakes
    }
}
