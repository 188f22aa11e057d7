//! What shows another dbproxy who logs in: a proof of an AWS identity made on the spot, or a token from a file.
//!
//! Only the AWS credentials behind proofs are kept for a while, as those behind tokens are; a proof never is.

use super::signing::SigningSource;
use super::{CredentialError, Credentials, first_line, token_key};
use crate::access::policy::Permit;
use crate::domain::credential::{Credential, Freshness, Prover};
use crate::domain::endpoint::Region;
use crate::domain::secret::Secret;
use crate::domain::target::{BrokerSettings, ProofSource};
use crate::platform::aws::proof::prove;
use crate::platform::aws::{AwsCredentials, Sdk};
use crate::platform::clock::Clock;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Why there is no token. No sentence holds a part of it.
#[derive(Debug, thiserror::Error)]
pub enum TokenFault {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error("the first line is not a JWT, which is what brokers take for a token")]
    NotAToken,
}

/// A token as a broker takes it: the first line, a signed JWT.
pub fn token(bytes: &[u8]) -> Result<Secret, TokenFault> {
    let token = first_line(bytes);
    match is_jwt(token.expose()) {
        true => Ok(token),
        false => Err(TokenFault::NotAToken),
    }
}

/// JWS in its compact form (RFC 7515 §7.1); `eyJ` is how a JSON object begins in base64.
fn is_jwt(text: &[u8]) -> bool {
    let letters = |b: &u8| b.is_ascii_alphanumeric() || b"-_".contains(b);
    let parts: Vec<&[u8]> = text.split(|b| *b == b'.').collect();
    text.starts_with(b"eyJ")
        && parts.len() == 3
        && parts
            .iter()
            .all(|part| !part.is_empty() && part.iter().all(letters))
}

/// When a token says it ends; nobody has verified it here.
pub fn expiry_of(token: &Secret) -> Option<SystemTime> {
    let payload = token.expose().split(|b| *b == b'.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    let seconds = Duration::from_secs(claims.get("exp")?.as_u64()?);
    SystemTime::UNIX_EPOCH.checked_add(seconds)
}

/// The region whose STS is to vouch: the one that was given, or that of the environment.
pub fn region(given: Option<&Region>, sdk: &Sdk) -> Result<Region, CredentialError> {
    let region = given.cloned().or_else(|| sdk.region());
    region.ok_or(CredentialError::NoRegion)
}

/// Proofs of the identity that `credentials` have.
pub fn prover(credentials: AwsCredentials, region: Region, audience: String, clock: Clock) -> Prover {
    let of = credentials.access_key_id().to_owned();
    Prover::new(Some(&of), move || {
        Ok(prove(&credentials, &region, &audience, clock.now())?)
    })
}

impl Credentials {
    pub(super) async fn proof(
        &self,
        broker: &BrokerSettings,
    ) -> Result<(Credential, Freshness), CredentialError> {
        match &broker.proof {
            ProofSource::AwsIam { region: given } => {
                let (credentials, freshness) = self.signing.get(&SigningSource::DefaultChain).await?;
                let region = region(given.as_ref(), &self.sdk)?;
                let prover = prover(credentials, region, broker.audience.clone(), self.clock.clone());
                Ok((Credential::Proof(prover), freshness))
            }
            ProofSource::TokenFile(path) => {
                let token = self.token_file(path).await?;
                let prover = Prover::new(None, move || Ok(token.clone()));
                Ok((Credential::Proof(prover), Freshness::Fresh))
            }
        }
    }

    /// Where AWS is asked about the credentials that `permit`'s target is shown.
    pub fn region_of(&self, permit: &Permit) -> Region {
        let target = permit.target();
        let own = match target.credential_for(permit.db_user()).broker() {
            Some(BrokerSettings {
                proof: ProofSource::AwsIam { region: given },
                ..
            }) => region(given.as_ref(), &self.sdk).ok(),
            _ => None,
        };
        own.unwrap_or_else(|| target.region.clone())
    }

    /// A proof by the same AWS credentials would be refused as well, so another try needs others: they may
    /// have been renewed since they were read.
    pub(super) async fn proof_refused(&self, permit: &Permit, prover: &Prover) -> bool {
        let (Some(of), Ok(key)) = (&prover.of, token_key(permit)) else {
            return false;
        };
        if self.hopeless.contains_key(&key) {
            return false;
        }
        let same = |held: &AwsCredentials| held.access_key_id() == &**of;
        self.signing.forget_default_if(same).await;
        match self.signing.get(&SigningSource::DefaultChain).await {
            Ok((now, _)) if now.access_key_id() != &**of => true,
            _ => {
                self.hopeless.insert(key, ());
                false
            }
        }
    }

    async fn token_file(&self, path: &Path) -> Result<Secret, CredentialError> {
        let read = self.small_file(path).await;
        let token = read.map_err(TokenFault::from).and_then(|bytes| token(&bytes));
        token.map_err(|source| CredentialError::TokenFile {
            path: path.to_owned(),
            source: Arc::new(source),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> Vec<u8> {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", part(r#"{"alg":"ES256"}"#), part(claims)).into_bytes()
    }

    #[test]
    fn the_first_line_is_the_token() {
        let written = [&jwt(r#"{"exp":1795305600}"#)[..], b"\r\nnot this\n"].concat();
        let token = token(&written).unwrap();
        assert_eq!(token.expose(), jwt(r#"{"exp":1795305600}"#));
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_305_600);
        assert_eq!(expiry_of(&token), Some(end));
    }

    #[test]
    fn what_no_broker_takes_is_not_sent() {
        for text in [
            "",
            "\n",
            "secret",
            "a.b.c",
            "eyJhbGciOiJ9.eyJ9",
            "eyJhbGciOiJ9..c2ln",
            "eyJhbGciOiJ9.eyJ9.c2 ln",
            "eyJhbGciOiJ9.eyJ9.c2ln.x",
            "dbproxy-aws-v1.eyJ9",
        ] {
            let error = token(text.as_bytes()).unwrap_err();
            assert!(matches!(error, TokenFault::NotAToken), "{text}");
        }
    }

    #[test]
    fn a_token_need_not_say_when_it_ends() {
        for claims in ["{}", "[]", r#"{"exp":"soon"}"#, r#"{"exp":-1}"#, "{"] {
            assert_eq!(expiry_of(&Secret::new(jwt(claims))), None, "{claims}");
        }
        assert_eq!(expiry_of(&Secret::new(*b"eyJ.%.x")), None);
    }
}
