//! The `aws-iam` authenticator: a proof of an AWS identity -> an IAM principal, on the word of STS.

mod answer;
mod error;
mod principal;
mod replay;
mod settings;

pub use error::{AwsIamError, Outage, RefusalCode};
pub use principal::{PrincipalKind, Proof, permission_set};
pub use settings::{Settings, SettingsError};

use crate::domain::endpoint::Region;
use crate::platform::aws::proof::{AUDIENCE_HEADER, NONCE_HEADER, Rebuilt, rebuild};
use crate::platform::clock::Clock;
use crate::platform::http::{Answer, Http};
use crate::platform::task::{Background, within};
use replay::{Refused, Replays};
use settings::region;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How many used proofs are remembered, of some hundred bytes each. With an age of two minutes that is
/// 360 new connections a second, more than RDS takes.
const REPLAYS_MAX: usize = 65_536;
/// How many proofs are asked about at once, and how long others wait for their turn.
const ASKING_MAX: usize = 64;
const TURN_WAIT: Duration = Duration::from_secs(5);

/// Verifies proofs. One for all connections: it remembers which proofs were used.
#[derive(Debug)]
pub struct AwsIam {
    audience: String,
    accounts: Vec<String>,
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
        if let Some(mistake) = settings.mistakes().into_iter().next() {
            return Err(mistake);
        }
        Ok(Self {
            audience: settings.audience,
            accounts: settings.accounts,
            regions: settings.regions.iter().filter_map(|text| region(text)).collect(),
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
        if !self.accounts.is_empty() && !self.accounts.contains(&proof.account) {
            return Err(AwsIamError::Account(proof.account));
        }
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
        let (http, audience, nonce) = (self.http.clone(), request.audience.clone(), request.nonce.clone());
        let work = async move {
            let mut headers = vec![
                (AUDIENCE_HEADER, audience.as_str()),
                (NONCE_HEADER, nonce.as_str()),
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

#[cfg(test)]
mod tests;
