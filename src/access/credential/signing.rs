//! The AWS credentials that sign tokens: of the default chain, or of a role assumed from it.

use super::cache::{Life, RefreshingCache};
use super::error::CredentialError;
use crate::access::policy::Permit;
use crate::domain::caller::shortened;
use crate::domain::credential::Freshness;
use crate::domain::target::{CredentialKind, RoleSettings};
use crate::platform::aws::policy_document::{connect_policy, dbuser_arn};
use crate::platform::aws::{AssumeRole, AwsCredentials, AwsError, Sdk};
use crate::platform::clock::Clock;
use crate::platform::task::Background;
use crate::platform::telemetry::metrics::Metrics;
use std::time::Duration;

/// Credentials are renewed before a token signed with them would be useless.
const CREDENTIAL_MARGIN: Duration = Duration::from_secs(60);

/// Limits of session names and source identities, and of tag values (AWS STS API Reference).
const NAME_CHARACTERS_MAX: usize = 64;
const TAG_CHARACTERS_MAX: usize = 256;

/// Where signing credentials come from; part of every token's cache key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SigningSource {
    DefaultChain,
    Role(Box<AssumeRole>),
}

/// The source that `permit`'s target asks for.
pub fn source(permit: &Permit) -> Result<SigningSource, CredentialError> {
    match permit.target().credential_for(permit.db_user()) {
        CredentialKind::Iam {
            assume_role: Some(role),
        } => Ok(SigningSource::Role(Box::new(call(permit, role)?))),
        _ => Ok(SigningSource::DefaultChain),
    }
}

fn call(permit: &Permit, role: &RoleSettings) -> Result<AssumeRole, CredentialError> {
    let fill = |text: &str| filled(text, permit, NAME_CHARACTERS_MAX);
    let fill_tag = |text: &str| filled(text, permit, TAG_CHARACTERS_MAX);
    Ok(AssumeRole {
        role_arn: role.role_arn.clone(),
        external_id: role.external_id.clone(),
        session_name: fill(&role.session_name),
        source_identity: role.source_identity.as_deref().map(fill),
        tags: role
            .tags
            .iter()
            .map(|(key, value)| (key.clone(), fill_tag(value)))
            .collect(),
        policy: if role.session_policy {
            Some(session_policy(permit, role)?)
        } else {
            None
        },
        duration: role.duration,
        region: permit.target().region.clone(),
    })
}

fn session_policy(permit: &Permit, role: &RoleSettings) -> Result<String, CredentialError> {
    let (target, user) = (permit.target(), permit.db_user());
    let missing = || CredentialError::NoSessionPolicy { user: user.clone() };
    let account = target.account_id.as_deref().or(role.account_id.as_deref());
    let account = account.ok_or_else(missing)?;
    let resource_id = target.resource_id.as_deref().ok_or_else(missing)?;
    let arn = dbuser_arn(&target.region, account, resource_id, user);
    connect_policy(&arn, user).ok_or_else(missing)
}

/// Replaces the placeholders; what they stand for keeps to the alphabet of STS (`[\w+=,.@-]`). What is too
/// long ends with a hash of the whole: two callers must not become one, in CloudTrail or in the cache.
fn filled(text: &str, permit: &Permit, most: usize) -> String {
    let clean = |name: &str| -> String {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        name.chars().map(|c| if allowed(c) { c } else { '-' }).collect()
    };
    let text = text
        .replace("{caller}", &permit.caller().sts_name())
        .replace("{db_user}", &clean(permit.db_user().as_str()))
        .replace("{target}", &clean(permit.target().name.as_str()));
    shortened(&text, most, |_| true)
}

/// Keeps credentials per source.
#[derive(Debug, Clone)]
pub struct SigningCredentials {
    sdk: Sdk,
    cache: RefreshingCache<SigningSource, AwsCredentials, CredentialError>,
    background: Background,
    metrics: Metrics,
}

impl SigningCredentials {
    pub fn new(sdk: Sdk, clock: Clock, background: Background, metrics: Metrics) -> Self {
        let life = Life::new(CREDENTIAL_MARGIN, AwsCredentials::expiry);
        Self {
            sdk,
            cache: RefreshingCache::new(life, clock, background.clone()),
            background,
            metrics,
        }
    }

    /// Credentials of `source`, held or fetched.
    pub async fn get(&self, source: &SigningSource) -> Result<(AwsCredentials, Freshness), CredentialError> {
        match source {
            SigningSource::DefaultChain => self.base().await,
            SigningSource::Role(call) => {
                let (this, call) = (self.clone(), call.clone());
                let fetch = move || {
                    let (this, call) = (this.clone(), call.clone());
                    async move { this.assume(call).await }
                };
                self.cache.get(source, fetch).await
            }
        }
    }

    /// Drops what is held, with the credentials it was made from.
    pub async fn forget(&self, source: &SigningSource) {
        self.cache.forget_if(source, |_| true).await;
        self.cache.forget_if(&SigningSource::DefaultChain, |_| true).await;
    }

    /// Drops the default credentials if they are still the ones meant.
    pub async fn forget_default_if(&self, meant: impl Fn(&AwsCredentials) -> bool) {
        self.cache.forget_if(&SigningSource::DefaultChain, meant).await;
    }

    pub fn forget_all(&self) {
        self.cache.forget_all();
    }

    async fn base(&self) -> Result<(AwsCredentials, Freshness), CredentialError> {
        let (sdk, background) = (self.sdk.clone(), self.background.clone());
        let fetch = move || {
            let (sdk, background) = (sdk.clone(), background.clone());
            async move {
                let answer = background.run(async move { sdk.credentials().await }).await;
                let stopped = || Err(AwsError::stopped("find AWS credentials"));
                Ok(answer.unwrap_or_else(stopped)?)
            }
        };
        self.cache.get(&SigningSource::DefaultChain, fetch).await
    }

    async fn assume(&self, call: Box<AssumeRole>) -> Result<AwsCredentials, CredentialError> {
        let (sdk, (base, _)) = (self.sdk.clone(), self.base().await?);
        let answer = self
            .background
            .run(async move { sdk.assume_role(base, &call).await })
            .await;
        self.metrics.assumed_role(matches!(answer, Some(Ok(_))));
        Ok(answer.unwrap_or_else(|| Err(AwsError::stopped("assume the role")))?)
    }
}
