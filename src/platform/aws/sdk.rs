//! One SDK configuration for the life of the process, and the calls dbproxy makes with it.

use super::error::AwsError;
use crate::domain::endpoint::Region;
use crate::domain::secret::Secret;
use aws_config::meta::region::RegionProviderChain;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// The loaded chain of credential sources and the clients on it.
#[derive(Debug, Clone)]
pub struct Sdk {
    config: SdkConfig,
    fallback_region: Option<Region>,
}

/// One AssumeRole call (AWS STS API Reference, `AssumeRole`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AssumeRole {
    pub role_arn: String,
    pub external_id: Option<String>,
    pub session_name: String,
    pub source_identity: Option<String>,
    pub tags: Vec<(String, String)>,
    /// An inline session policy: the session may do what both this and the role allow.
    pub policy: Option<String>,
    pub duration: Duration,
    pub region: Region,
}

impl Sdk {
    /// Reads environment and profiles. No AWS call is made and instance metadata is not asked for
    /// a region: `fallback_region` serves where the environment names none.
    pub async fn load(fallback_region: Option<&Region>) -> Self {
        Self {
            config: load(fallback_region, None).await,
            fallback_region: fallback_region.cloned(),
        }
    }

    /// The region that the environment or the profile names, or the fallback.
    pub fn region(&self) -> Option<Region> {
        Region::new(self.config.region()?.as_ref())
    }

    pub(super) fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// The credentials of the default chain. Not cached here. The chain is built anew each time,
    /// because a built one keeps the profile it has read: renewed keys in `~/.aws/credentials` would
    /// never be seen.
    pub async fn credentials(&self) -> Result<Credentials, AwsError> {
        let config = load(self.fallback_region.as_ref(), self.config.http_client()).await;
        let Some(provider) = config.credentials_provider() else {
            return Err(AwsError::of_credentials(
                &aws_credential_types::provider::error::CredentialsError::not_loaded_no_source(),
            ));
        };
        provider
            .provide_credentials()
            .await
            .map_err(|error| AwsError::of_credentials(&error))
    }

    /// Credentials of another role, signed for with `base`.
    pub async fn assume_role(&self, base: Credentials, call: &AssumeRole) -> Result<Credentials, AwsError> {
        let action = || format!("assume role {}", call.role_arn);
        // A session that assumes a role is chaining: AWS caps it at one hour and fails on more.
        let longest = if base.session_token().is_some() {
            3_600
        } else {
            43_200
        };
        let seconds = call.duration.as_secs().clamp(900, longest);
        let mut request = self
            .sts(base, &call.region)
            .assume_role()
            .role_arn(&call.role_arn)
            .role_session_name(&call.session_name)
            .set_external_id(call.external_id.clone())
            .set_source_identity(call.source_identity.clone())
            .set_policy(call.policy.clone())
            .duration_seconds(i32::try_from(seconds).unwrap_or(3_600));
        for (key, value) in &call.tags {
            let tag = aws_sdk_sts::types::Tag::builder().key(key).value(value).build();
            request = request.tags(tag.map_err(|error| AwsError::of_call(action(), &Built(error)))?);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| AwsError::of_call(action(), &error))?;
        let session = answer.credentials.ok_or_else(|| AwsError {
            fault: super::AwsFault::Other,
            action: action(),
            message: "the answer holds no credentials".to_owned(),
        })?;
        Ok(Credentials::new(
            session.access_key_id,
            session.secret_access_key,
            Some(session.session_token),
            SystemTime::try_from(session.expiration).ok(),
            "AssumeRole",
        ))
    }

    /// Whose credentials these are, as an ARN. Needs no permission and cannot be denied.
    pub async fn caller_identity(
        &self,
        credentials: Credentials,
        region: &Region,
    ) -> Result<String, AwsError> {
        let answer = self
            .sts(credentials, region)
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| AwsError::of_call("ask AWS who dbproxy is", &error))?;
        Ok(answer.arn.unwrap_or_default())
    }

    /// The password in a secret: the field `password` of a JSON object (the shape RDS writes), or
    /// the whole text.
    pub async fn secret_password(
        &self,
        base: Credentials,
        secret_id: &str,
        region: &Region,
    ) -> Result<Secret, AwsError> {
        let action = || format!("read secret {secret_id}");
        let config = aws_sdk_secretsmanager::config::Builder::from(&self.config)
            .credentials_provider(base)
            .region(aws_config::Region::new(region.to_string()))
            .build();
        let answer = aws_sdk_secretsmanager::Client::from_conf(config)
            .get_secret_value()
            .secret_id(secret_id)
            .send()
            .await
            .map_err(|error| AwsError::of_call(action(), &error))?;
        let text = Zeroizing::new(answer.secret_string.unwrap_or_default());
        match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(serde_json::Value::Object(fields)) => match fields.get("password") {
                Some(serde_json::Value::String(password)) => Ok(Secret::from(password.clone())),
                _ => Err(AwsError {
                    fault: super::AwsFault::NotFound,
                    action: action(),
                    message: "the secret is a JSON object without a field `password`".to_owned(),
                }),
            },
            _ if text.is_empty() => Err(AwsError {
                fault: super::AwsFault::NotFound,
                action: action(),
                message: "the secret holds no text".to_owned(),
            }),
            _ => Ok(Secret::from(text.to_string())),
        }
    }

    fn sts(&self, credentials: Credentials, region: &Region) -> aws_sdk_sts::Client {
        let config = aws_sdk_sts::config::Builder::from(&self.config)
            .credentials_provider(credentials)
            .region(aws_config::Region::new(region.to_string()))
            .build();
        aws_sdk_sts::Client::from_conf(config)
    }
}

async fn load(fallback_region: Option<&Region>, http: Option<SharedHttpClient>) -> SdkConfig {
    let fallback = fallback_region.map_or("us-east-1", Region::as_str).to_owned();
    let region =
        RegionProviderChain::first_try(aws_config::environment::EnvironmentVariableRegionProvider::new())
            .or_else(aws_config::profile::ProfileFileRegionProvider::new())
            .or_else(aws_config::Region::new(fallback));
    // The SDK's own defaults bound nothing but the connect: a black-holed endpoint would hang.
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(4))
        .operation_timeout(Duration::from_secs(10))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(100)));
    if let Some(http) = http {
        loader = loader.http_client(http);
    }
    loader.load().await
}

/// Lets a failed request builder pass as a failed call.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Built(aws_sdk_sts::error::BuildError);

impl aws_smithy_types::error::metadata::ProvideErrorMetadata for Built {
    fn meta(&self) -> &aws_smithy_types::error::ErrorMetadata {
        static NONE: std::sync::LazyLock<aws_smithy_types::error::ErrorMetadata> =
            std::sync::LazyLock::new(|| aws_smithy_types::error::ErrorMetadata::builder().build());
        &NONE
    }
}
