//! The only module that names the AWS SDK: credentials, STS, IAM, Secrets Manager, SigV4.

pub mod error;
pub mod iam;
pub mod policy_document;
pub mod proof;
pub mod sdk;
pub mod sign;

pub use aws_credential_types::Credentials as AwsCredentials;
pub use error::{AwsError, AwsFault};
pub use sdk::{AssumeRole, Sdk};
