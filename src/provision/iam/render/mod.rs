//! Policies as text: JSON, a CloudFormation template, Terraform, commands of the AWS CLI. Always the same for the same.

pub mod cloudformation;
pub mod commands;
pub mod json;
pub mod terraform;

use serde_json::Value;

/// With the indentation of JSON, and `margin` before all lines but the first.
fn indented(value: &Value, margin: &str) -> String {
    // `{:#}` of a value is its pretty form.
    format!("{value:#}").replace('\n', &format!("\n{margin}"))
}
