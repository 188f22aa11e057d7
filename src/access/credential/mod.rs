//! `&Permit` -> [`Credential`]: which secret a login uses, where it is kept, when it is renewed.
//!
//! - [`cache`]: single flight, early refresh, a valid value survives a failed refresh
//! - [`signing`]: AWS credentials that sign tokens, of the default chain or of a role
//! - [`proof`]: what shows another dbproxy who logs in
//! - [`budget`]: how many logins a second a cluster is given

pub mod budget;
pub mod cache;
pub mod error;
pub mod proof;
pub mod signing;

pub use error::CredentialError;

use crate::access::policy::Permit;
use crate::domain::credential::{AuthToken, Credential, Freshness};
use crate::domain::endpoint::Region;
use crate::domain::secret::Secret;
use crate::domain::target::CredentialKind;
use crate::platform::aws::sign::{TokenScope, auth_token};
use crate::platform::aws::{AwsError, Sdk};
use crate::platform::clock::Clock;
use crate::platform::task::{Background, within};
use crate::platform::telemetry::metrics::{Metrics, TokenEvent};
use cache::{Life, RefreshingCache};
use moka::sync::Cache;
use signing::{SigningCredentials, SigningSource};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// How long a token is not used before its end: a login must finish within it.
const TOKEN_MARGIN: Duration = Duration::from_secs(30);
/// After a refused second try, logins of the same kind do not try twice for this long.
const RETRY_PAUSE: Duration = Duration::from_secs(10);
/// Longer than any password PostgreSQL takes.
const PASSWORD_BYTES_MAX: usize = 64 * 1024;
const PASSWORD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a password of Secrets Manager is used before it is read again.
const SECRET_LIFETIME: Duration = Duration::from_secs(300);

/// What distinguishes one token from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TokenKey {
    scope: TokenScope,
    source: SigningSource,
}

/// What distinguishes one stored secret from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SecretKey {
    secret_id: String,
    region: Region,
}

/// A token, and whether the credentials that signed it were fetched for it. A token that is new but
/// signed with credentials from the cache is worth a second try, like one from the cache.
#[derive(Debug, Clone)]
struct Minted {
    token: AuthToken,
    signer: Freshness,
}

/// Answers every login's question for a secret.
#[derive(Debug, Clone)]
pub struct Credentials {
    sdk: Sdk,
    signing: SigningCredentials,
    tokens: RefreshingCache<TokenKey, Minted, CredentialError>,
    secrets: RefreshingCache<SecretKey, (Secret, SystemTime), CredentialError>,
    /// Logins of this kind were refused with a fresh token a moment ago.
    hopeless: Cache<TokenKey, ()>,
    clock: Clock,
    background: Background,
    metrics: Metrics,
}

impl Credentials {
    pub fn new(sdk: Sdk, clock: Clock, background: Background, metrics: Metrics) -> Self {
        let cache = |life| (life, clock.clone(), background.clone());
        let (token_life, secret_life) = (
            // Failures are those of the signing credentials, whose cache remembers them already.
            Life::new(TOKEN_MARGIN, |minted: &Minted| Some(minted.token.expires_at)).forgetting_failures(),
            Life::new(Duration::ZERO, |(_, until): &(Secret, SystemTime)| Some(*until)),
        );
        let (life, c, b) = cache(token_life);
        Self {
            signing: SigningCredentials::new(sdk.clone(), clock.clone(), background.clone(), metrics.clone()),
            tokens: RefreshingCache::new(life, c, b),
            secrets: RefreshingCache::new(secret_life, clock.clone(), background.clone()),
            hopeless: Cache::builder()
                .max_capacity(10_000)
                .time_to_live(RETRY_PAUSE)
                .build(),
            sdk,
            clock,
            background,
            metrics,
        }
    }

    /// The credential for what `permit` allows, minted or from the cache.
    pub async fn obtain(&self, permit: &Permit) -> Result<(Credential, Freshness), CredentialError> {
        let kind = permit.target().credential_for(permit.db_user());
        match kind {
            CredentialKind::Iam { .. } => self.token(permit).await,
            CredentialKind::PasswordFile(path) => {
                let secret = self.password_file(path).await?;
                Ok((Credential::Password(secret), Freshness::Fresh))
            }
            CredentialKind::Password { secret, .. } => {
                Ok((Credential::Password(secret.clone()), Freshness::Fresh))
            }
            CredentialKind::SecretsManager { secret_id } => self.stored_secret(permit, secret_id).await,
            CredentialKind::Passthrough => Ok((Credential::Passthrough, Freshness::Fresh)),
            CredentialKind::Broker(broker) => self.proof(broker).await,
        }
    }

    /// Called when the server refused a login with a cached credential. The first to come forgets it
    /// with all it was made from; those who come after it find that done. True when another try, with a
    /// fresh one, is worth it.
    pub async fn refused(&self, permit: &Permit, credential: &Credential) -> bool {
        match credential {
            Credential::AuthToken(token) => {
                let Ok(key) = token_key(permit) else {
                    return false;
                };
                let same = |held: &Minted| held.token.signed_at == token.signed_at;
                if self.tokens.forget_if(&key, same).await {
                    self.signing.forget(&key.source).await;
                }
                !self.hopeless.contains_key(&key)
            }
            Credential::Password(_) => match permit.target().credential_for(permit.db_user()) {
                CredentialKind::SecretsManager { secret_id } => {
                    self.secrets
                        .forget_if(&secret_key(permit, secret_id), |_| true)
                        .await;
                    true
                }
                _ => false,
            },
            Credential::Proof(prover) => self.proof_refused(permit, prover).await,
            Credential::Passthrough => false,
        }
    }

    /// Called when the server refused a fresh credential: for a while, nobody tries twice.
    pub fn refused_fresh(&self, permit: &Permit) {
        if let Ok(key) = token_key(permit) {
            self.hopeless.insert(key, ());
        }
    }

    /// Forgets everything held, so that changed files and profiles are read again.
    pub fn forget_all(&self) {
        self.tokens.forget_all();
        self.secrets.forget_all();
        self.signing.forget_all();
    }

    /// Whose credentials the default chain gives, asked of AWS.
    pub async fn default_identity(&self, region: &Region) -> Result<String, CredentialError> {
        self.identity(&SigningSource::DefaultChain, region).await
    }

    /// Whose credentials signed the token, asked of AWS; for the hint of a refused login.
    pub async fn signer(&self, permit: &Permit) -> Result<String, CredentialError> {
        self.identity(&signing::source(permit)?, &permit.target().region)
            .await
    }

    async fn identity(&self, source: &SigningSource, region: &Region) -> Result<String, CredentialError> {
        let (credentials, _) = self.signing.get(source).await?;
        let (sdk, region) = (self.sdk.clone(), region.clone());
        let answer = self
            .background
            .run(async move { sdk.caller_identity(credentials, &region).await })
            .await;
        Ok(answer.unwrap_or_else(|| Err(AwsError::stopped("ask AWS who dbproxy is")))?)
    }

    async fn password_file(&self, path: &Path) -> Result<Secret, CredentialError> {
        let read = self.small_file(path).await;
        let bytes = read.map_err(|source| CredentialError::PasswordFile {
            path: path.to_owned(),
            source: Arc::new(source),
        })?;
        Ok(first_line(&bytes))
    }

    /// Read away from the data path: a network file system that hangs must not hang sessions.
    async fn small_file(&self, path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
        let file = path.to_owned();
        let reading = self.background.run_blocking(move || read_small(&file));
        match within(PASSWORD_TIMEOUT, reading).await {
            Some(Some(read)) => read,
            _ => Err(io::Error::new(io::ErrorKind::TimedOut, "reading takes too long")),
        }
    }

    async fn token(&self, permit: &Permit) -> Result<(Credential, Freshness), CredentialError> {
        let key = token_key(permit)?;
        let (signing, clock, metrics) = (self.signing.clone(), self.clock.clone(), self.metrics.clone());
        let mint = {
            let key = key.clone();
            move || {
                let (key, signing, clock, metrics) =
                    (key.clone(), signing.clone(), clock.clone(), metrics.clone());
                async move {
                    let minted = mint(&key, &signing, &clock).await;
                    metrics.token(match &minted {
                        Ok(_) => TokenEvent::Minted,
                        Err(_) => TokenEvent::Failed,
                    });
                    minted
                }
            }
        };
        let (minted, held) = self.tokens.get(&key, mint).await?;
        if held == Freshness::Cached {
            self.metrics.token(TokenEvent::Cached);
        }
        let freshness = match held {
            Freshness::Fresh => minted.signer,
            Freshness::Cached => Freshness::Cached,
        };
        Ok((Credential::AuthToken(minted.token), freshness))
    }

    async fn stored_secret(
        &self,
        permit: &Permit,
        secret_id: &str,
    ) -> Result<(Credential, Freshness), CredentialError> {
        let key = secret_key(permit, secret_id);
        let (sdk, signing, clock) = (self.sdk.clone(), self.signing.clone(), self.clock.clone());
        let read = {
            let key = key.clone();
            move || {
                let (key, sdk, signing, clock) = (key.clone(), sdk.clone(), signing.clone(), clock.clone());
                async move {
                    let (base, _) = signing.get(&SigningSource::DefaultChain).await?;
                    let secret = sdk.secret_password(base, &key.secret_id, &key.region).await?;
                    let until = clock.now().checked_add(SECRET_LIFETIME);
                    Ok((secret, until.unwrap_or_else(|| clock.now())))
                }
            }
        };
        let ((secret, _), freshness) = self.secrets.get(&key, read).await?;
        Ok((Credential::Password(secret), freshness))
    }
}

async fn mint(
    key: &TokenKey,
    signing: &SigningCredentials,
    clock: &Clock,
) -> Result<Minted, CredentialError> {
    let (credentials, signer) = signing.get(&key.source).await?;
    let token = auth_token(&credentials, &key.scope, clock.now())?;
    tracing::debug!(
        db_user = %key.scope.user,
        host = key.scope.host,
        expires = crate::platform::clock::rfc3339(token.expires_at),
        "auth token minted"
    );
    Ok(Minted { token, signer })
}

fn token_key(permit: &Permit) -> Result<TokenKey, CredentialError> {
    let target = permit.target();
    Ok(TokenKey {
        scope: TokenScope {
            host: target.token.host.to_ascii_lowercase(),
            port: target.token.port,
            region: target.region.clone(),
            user: permit.db_user().clone(),
        },
        source: signing::source(permit)?,
    })
}

fn secret_key(permit: &Permit, secret_id: &str) -> SecretKey {
    SecretKey {
        secret_id: secret_id.to_owned(),
        region: permit.target().region.clone(),
    }
}

/// The first line without its end, so that a file written by an editor works.
fn first_line(bytes: &[u8]) -> Secret {
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    Secret::new(line.strip_suffix(b"\r").unwrap_or(line))
}

/// Reads a small file of secrets; a device or a pipe without an end yields an error, not all memory.
pub fn read_small(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(PASSWORD_BYTES_MAX));
    let file = std::fs::File::open(path)?;
    file.take(PASSWORD_BYTES_MAX as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
