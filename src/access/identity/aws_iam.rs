//! The `aws-iam` authenticator: a proof of an AWS identity -> an IAM principal, on the word of STS.

mod answer;
mod error;
mod principal;
mod replay;

pub use error::{AwsIamError, Outage, RefusalCode};
pub use principal::{PrincipalKind, Proof, permission_set};

use crate::domain::endpoint::Region;
use crate::platform::aws::proof::{AUDIENCE_HEADER, Rebuilt, is_audience, rebuild, sts_host};
use crate::platform::clock::Clock;
use crate::platform::http::{Answer, Http};
use crate::platform::task::{Background, within};
use replay::{Refused, Replays};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// STS accepts a signature for so long after its date.
const MAX_AGE_LIMIT: Duration = Duration::from_secs(15 * 60);
/// How many used proofs are remembered, of some hundred bytes each. With an age of two minutes that is
/// 360 new connections a second, more than RDS takes.
const REPLAYS_MAX: usize = 65_536;
/// How many proofs are asked about at once, and how long others wait for their turn.
const ASKING_MAX: usize = 64;
const TURN_WAIT: Duration = Duration::from_secs(5);

/// What the operator decides.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The broker's name, which every proof is made for.
    pub audience: String,
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
    #[error("no STS endpoint is known for region `{0}`")]
    Region(String),
    #[error("the STS endpoint `{0}` is not `http://ADDRESS:PORT` of this machine")]
    Endpoint(String),
    #[error("a proof's age must be limited to 1 to 900 seconds")]
    MaxAge,
}

/// Verifies proofs. One for all connections: it remembers which proofs were used.
#[derive(Debug)]
pub struct AwsIam {
    audience: String,
    regions: Vec<Region>,
    endpoint: Option<String>,
    max_age: Duration,
    http: Http,
    clock: Clock,
    background: Background,
    replays: Arc<Replays>,
    asking: Arc<Semaphore>,
}

impl AwsIam {
    pub fn new(
        settings: Settings,
        http: Http,
        clock: Clock,
        background: Background,
    ) -> Result<Self, SettingsError> {
        if !is_audience(&settings.audience) {
            return Err(SettingsError::Audience);
        }
        if !(Duration::from_secs(1)..=MAX_AGE_LIMIT).contains(&settings.max_age) {
            return Err(SettingsError::MaxAge);
        }
        if let Some(endpoint) = &settings.endpoint
            && !is_stand_in(endpoint)
        {
            return Err(SettingsError::Endpoint(endpoint.clone()));
        }
        let region = |text: String| match Region::new(&text).filter(|region| sts_host(region).is_some()) {
            Some(region) => Ok(region),
            None => Err(SettingsError::Region(text)),
        };
        Ok(Self {
            audience: settings.audience,
            regions: settings
                .regions
                .into_iter()
                .map(region)
                .collect::<Result<_, _>>()?,
            endpoint: settings.endpoint,
            max_age: settings.max_age,
            http,
            clock,
            background,
            replays: Replays::new(REPLAYS_MAX),
            asking: Arc::new(Semaphore::new(ASKING_MAX)),
        })
    }

    /// Who made the proof. A proof that was accepted is not accepted again; one that failed for want of
    /// STS may be tried again.
    pub async fn verify(&self, proof: &[u8]) -> Result<Proof, AwsIamError> {
        let now = self.clock.now();
        let request = rebuild(proof, &self.audience, now, self.max_age)?;
        if !self.regions.is_empty() && !self.regions.contains(&request.region) {
            return Err(AwsIamError::Region);
        }
        let end = request.signed_at.checked_add(self.max_age);
        let end = end.ok_or(AwsIamError::Future)?;
        let claim = self
            .replays
            .claim(&request.signature, end, now)
            .map_err(|refused| match refused {
                Refused::Used => AwsIamError::Replayed,
                Refused::Full => AwsIamError::Unavailable(Outage::Full),
            })?;
        let answer = self.ask(&request).await.map_err(AwsIamError::Unavailable)?;
        let identity = answer::read(&answer, self.endpoint.is_some())?;
        let proof = principal::principal(&identity, request.region.partition())?;
        claim.used();
        Ok(proof)
    }

    /// Asks STS once.
    async fn ask(&self, request: &Rebuilt) -> Result<Answer, Outage> {
        let turn = within(TURN_WAIT, self.asking.clone().acquire_owned());
        let turn = turn.await.ok_or(Outage::Busy)?.map_err(|_| Outage::Stopping)?;
        let url = match &self.endpoint {
            Some(endpoint) => format!("{endpoint}{}", request.target()),
            None => request.url.clone(),
        };
        // The stand-in is told the host that was signed; STS itself has it in the URL.
        let host = self.endpoint.is_some().then(|| request.host.clone());
        let (http, audience) = (self.http.clone(), request.audience.clone());
        let work = async move {
            let mut headers = vec![
                (AUDIENCE_HEADER, audience.as_str()),
                ("accept", "application/json"),
            ];
            headers.extend(host.as_deref().map(|host| ("host", host)));
            let answer = http.get(&url, &headers, answer::ANSWER_BYTES_MAX).await;
            drop(turn);
            answer
        };
        Ok(self.background.run(work).await.ok_or(Outage::Stopping)??)
    }
}

/// Only this machine may stand in for STS, whose word is all that counts here.
fn is_stand_in(endpoint: &str) -> bool {
    let address = endpoint.strip_prefix("http://").map(str::parse::<SocketAddr>);
    matches!(address, Some(Ok(address)) if address.ip().is_loopback() && address.port() != 0)
}

#[cfg(test)]
mod tests;
