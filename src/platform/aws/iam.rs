//! IAM of the account that the credentials belong to: what it holds, and the calls that change it.

mod call;
mod told;

pub use call::{Call, Holder, HolderKind};
pub use told::{Details, Held, Policy, Principal, PrincipalKind};

use super::error::{AwsError, AwsFault};
use super::sdk::Sdk;
use crate::domain::endpoint::Region;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_iam::types::EntityType;
use std::time::Duration;

/// Answers of a large account take their time, and IAM throttles: longer than elsewhere, and bounded all the same.
const ATTEMPT: Duration = Duration::from_secs(20);
const OPERATION: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 5;
/// As many as IAM gives at once.
const PAGE: i32 = 1_000;
/// Far above the quotas of an account (IAM User Guide, "IAM and AWS STS quotas"); pages may be short.
const PAGES_MAX: usize = 1_000;

/// Whose credentials they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub arn: String,
    pub partition: String,
    pub account: String,
}

#[derive(Debug, Clone)]
pub struct Iam {
    client: aws_sdk_iam::Client,
    caller: Caller,
}

impl Iam {
    /// With the credentials of the default chain, in the partition of this region.
    pub async fn open(sdk: &Sdk, region: &Region) -> Result<Self, AwsError> {
        let credentials = sdk.credentials().await?;
        let arn = sdk.caller_identity(credentials.clone(), region).await?;
        let caller = Caller::of(arn)?;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(OPERATION)
            .build();
        let config = aws_sdk_iam::config::Builder::from(sdk.config())
            .credentials_provider(credentials)
            .region(aws_config::Region::new(region.to_string()))
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .build();
        Ok(Self {
            client: aws_sdk_iam::Client::from_conf(config),
            caller,
        })
    }

    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// All principals, groups and policies of the account.
    pub async fn details(&self) -> Result<Details, AwsError> {
        let action = "read the account's IAM (iam:GetAccountAuthorizationDetails)";
        let kinds = [
            EntityType::Role,
            EntityType::User,
            EntityType::Group,
            EntityType::LocalManagedPolicy,
            EntityType::AwsManagedPolicy,
        ];
        let mut details = Details::default();
        let mut marker = None;
        for _ in 0..PAGES_MAX {
            let request = self.client.get_account_authorization_details();
            let answer = request
                .set_filter(Some(kinds.to_vec()))
                .max_items(PAGE)
                .set_marker(marker)
                .send()
                .await
                .map_err(|error| AwsError::of_call(action, &error))?;
            details.take(&answer);
            marker = answer.marker.filter(|_| answer.is_truncated);
            if marker.is_none() {
                return Ok(details);
            }
        }
        Err(AwsError {
            fault: AwsFault::Other,
            action: action.to_owned(),
            message: format!("the answer does not end after {PAGES_MAX} pages"),
        })
    }

    /// How long a session of this role may be, which the details leave out. `None`: there is no such role.
    pub async fn max_session(&self, role: &str) -> Result<Option<Duration>, AwsError> {
        let answer = self.client.get_role().role_name(role).send().await;
        let error = match answer {
            Ok(answer) => {
                let seconds = answer.role.and_then(|role| role.max_session_duration);
                // IAM's default, where it does not say.
                let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
                return Ok(Some(Duration::from_secs(seconds.unwrap_or(3_600))));
            }
            Err(error) => AwsError::of_call(format!("read the role {role} (iam:GetRole)"), &error),
        };
        match error.fault {
            AwsFault::NotFound => Ok(None),
            _ => Err(error),
        }
    }

    pub async fn perform(&self, call: &Call) -> Result<(), AwsError> {
        call.send(&self.client).await
    }
}

impl Caller {
    fn of(arn: String) -> Result<Self, AwsError> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", partition, _, _, account, _] = *parts.as_slice() else {
            return Err(AwsError {
                fault: AwsFault::Other,
                action: "ask AWS who dbproxy is".to_owned(),
                message: format!("`{arn}` is no ARN"),
            });
        };
        let (partition, account) = (partition.to_owned(), account.to_owned());
        Ok(Self {
            arn,
            partition,
            account,
        })
    }
}
