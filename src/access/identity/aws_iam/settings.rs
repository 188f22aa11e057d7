//! What an operator decides about AWS proofs, and what is wrong with it.

use crate::domain::endpoint::Region;
use crate::platform::aws::proof::{is_audience, sts_host};
use std::net::SocketAddr;
use std::time::Duration;

/// STS accepts a signature for so long after its date.
const MAX_AGE_LIMIT: Duration = Duration::from_secs(15 * 60);

/// What the operator decides.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The broker's name, which every proof is made for.
    pub audience: String,
    /// Whose roles and users are callers; empty means every AWS account there is.
    pub accounts: Vec<String>,
    /// Where proofs may be from; empty means every region.
    pub regions: Vec<String>,
    /// A stand-in for STS on this machine, `http://127.0.0.1:4566`; for tests.
    pub endpoint: Option<String>,
    /// How old a proof may be.
    pub max_age: Duration,
}

/// Why settings were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("the audience must be 1 to 255 printable ASCII characters without spaces")]
    Audience,
    #[error("`{0}` is not the id of an AWS account, which has 12 digits")]
    Account(String),
    #[error("no STS endpoint is known for region `{0}`")]
    Region(String),
    #[error("the STS endpoint `{0}` is not `http://ADDRESS:PORT` of this machine")]
    Endpoint(String),
    #[error("a proof's age must be limited to 1 to 900 seconds")]
    MaxAge,
}

impl SettingsError {
    /// Of which key.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Audience => "audience",
            Self::Account(_) => "accounts",
            Self::Region(_) => "regions",
            Self::Endpoint(_) => "endpoint",
            Self::MaxAge => "max_age",
        }
    }
}

impl Settings {
    /// Every mistake at once.
    pub fn mistakes(&self) -> Vec<SettingsError> {
        let mut mistakes = Vec::new();
        if !is_audience(&self.audience) {
            mistakes.push(SettingsError::Audience);
        }
        let accounts = self.accounts.iter().filter(|account| !is_account(account));
        mistakes.extend(accounts.cloned().map(SettingsError::Account));
        let regions = self.regions.iter().filter(|text| region(text).is_none());
        mistakes.extend(regions.cloned().map(SettingsError::Region));
        let endpoint = self.endpoint.iter().filter(|endpoint| !is_stand_in(endpoint));
        mistakes.extend(endpoint.cloned().map(SettingsError::Endpoint));
        if !(Duration::from_secs(1)..=MAX_AGE_LIMIT).contains(&self.max_age) {
            mistakes.push(SettingsError::MaxAge);
        }
        mistakes
    }
}

/// A region whose STS is known.
pub(super) fn region(text: &str) -> Option<Region> {
    Region::new(text).filter(|region| sts_host(region).is_some())
}

/// Twelve digits; leading zeros count.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Only this machine may stand in for STS, whose word is all that counts here.
pub(super) fn is_stand_in(endpoint: &str) -> bool {
    let address = endpoint.strip_prefix("http://").map(str::parse::<SocketAddr>);
    matches!(address, Some(Ok(address)) if address.ip().is_loopback() && address.port() != 0)
}
