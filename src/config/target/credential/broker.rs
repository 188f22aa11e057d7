//! `credential = { kind = "broker" }`: the server is another dbproxy.

use super::Surroundings;
use crate::config::section::Section;
use crate::domain::target::{BrokerSettings, CredentialKind, ProofSource};
use crate::platform::aws::proof::is_audience;
use std::path::PathBuf;
use toml::{Table, Value};

/// The keys of a `credential` of this kind.
pub fn read(section: &mut Section<'_>, around: Surroundings<'_>) -> Option<CredentialKind> {
    let audience = section.string("audience");
    let audience = audience.or_else(|| around.host.map(str::to_owned));
    if !audience.as_deref().is_none_or(is_audience) {
        section.problem(
            "audience",
            "is not 1 to 255 printable ASCII characters without spaces",
        );
    }
    let proof = section.string("proof").unwrap_or_else(|| "aws-iam".to_owned());
    let proof = match proof.as_str() {
        "aws-iam" => ProofSource::AwsIam {
            region: around.region.cloned(),
        },
        "token_file" => ProofSource::TokenFile(PathBuf::from(section.required("file", "is missing")?)),
        other => {
            section.problem(
                "proof",
                format_args!("`{other}` is neither `aws-iam` nor `token_file`"),
            );
            return None;
        }
    };
    let audience = audience.filter(|audience| is_audience(audience))?;
    Some(CredentialKind::Broker(Box::new(BrokerSettings {
        audience,
        proof,
    })))
}

/// Whether a target's table describes a broker. That decides what else the table may leave out.
pub fn is_broker(target: &Section<'_>) -> bool {
    is_broker_table(target.table())
}

pub fn is_broker_table(target: &Table) -> bool {
    let credential = target.get("credential").and_then(Value::as_table);
    let kind = credential.and_then(|credential| credential.get("kind"));
    kind.and_then(Value::as_str) == Some("broker")
}
