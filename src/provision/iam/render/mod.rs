//! Policies as text: JSON, a CloudFormation template, Terraform, commands of the AWS CLI. Always the same for the same.

pub mod call;
pub mod cloudformation;
pub mod commands;
pub mod json;
pub mod terraform;
