//! A proof of an AWS identity: what a presigned `GetCallerIdentity` is made of, bound to one broker.
//!
//! The proof is no URL. It holds only what the prover alone can know (region, key id, date, session
//! token, signature); the verifier builds the request itself, so whom it asks and for what is not the
//! prover's to choose. The broker's name is a signed header and not part of the proof: a proof made for
//! one broker has a wrong signature at every other.

mod rebuild;

pub use rebuild::{ProofError, Rebuilt, rebuild};

use crate::domain::endpoint::Region;
use crate::domain::secret::Secret;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// What every proof begins with; the number changes with the shape of the rest.
pub const PREFIX: &str = "dbproxy-aws-v1.";
/// Longest proof. Session tokens have no fixed length; with many session tags they reach some thousands
/// of bytes.
pub const PROOF_BYTES_MAX: usize = 16 * 1024;
/// The signed header that holds the broker's name.
pub const AUDIENCE_HEADER: &str = "x-dbproxy-audience";
/// How far the prover's clock may be ahead of the verifier's.
pub const SKEW: Duration = Duration::from_secs(60);

/// The parameters that are always the same, with the leading slash of the path.
const CALL: &str = "/?Action=GetCallerIdentity&Version=2011-06-15";
/// Asked for in `X-Amz-Expires`. STS allows 15 minutes whatever this says; the verifier's own limit
/// is what counts.
const EXPIRES: Duration = Duration::from_secs(60);
const AUDIENCE_BYTES_MAX: usize = 255;

/// What a proof says, as JSON. Not `Debug`: it holds a session token.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    region: String,
    credential: String,
    date: String,
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    token: Option<String>,
    signature: String,
}

/// A field that may be absent but not `null`: one meaning, one spelling.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// Why no proof could be made.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    #[error("no STS endpoint is known for region `{0}`")]
    Region(Region),
    #[error("the broker's name must be 1 to {AUDIENCE_BYTES_MAX} printable ASCII characters without spaces")]
    Audience,
    #[error("the access key id is not one of AWS")]
    KeyId,
    #[error("the session token is not printable ASCII")]
    Token,
    #[error("the session token is so long that the proof exceeds {PROOF_BYTES_MAX} bytes")]
    TooLong,
    #[error("sign the proof")]
    Sign(#[source] Fault),
}

type Fault = Box<dyn std::error::Error + Send + Sync>;
/// Names and values.
type Parameters = Vec<(&'static str, Cow<'static, str>)>;

/// Makes a proof. Local, no AWS call. It is good for as long as the verifier allows, for one use.
pub fn prove(
    credentials: &Credentials,
    region: &Region,
    audience: &str,
    now: SystemTime,
) -> Result<Secret, ProveError> {
    let host = sts_host(region).ok_or_else(|| ProveError::Region(region.clone()))?;
    if !is_audience(audience) {
        return Err(ProveError::Audience);
    }
    if !is_key_id(credentials.access_key_id()) {
        return Err(ProveError::KeyId);
    }
    if !credentials.session_token().is_none_or(is_token) {
        return Err(ProveError::Token);
    }
    let parameters = signed(credentials, region, &host, audience, now).map_err(ProveError::Sign)?;
    let value_of = |wanted: &str| {
        let found = parameters.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| value.to_string())
    };
    let required = |name: &'static str| {
        value_of(name).ok_or_else(|| ProveError::Sign(format!("the signer gave no {name}").into()))
    };
    let fields = Fields {
        region: region.to_string(),
        credential: required("X-Amz-Credential")?,
        date: required("X-Amz-Date")?,
        token: value_of("X-Amz-Security-Token"),
        signature: required("X-Amz-Signature")?,
    };
    let json = serde_json::to_vec(&fields).map_err(|error| ProveError::Sign(error.into()))?;
    let mut proof = PREFIX.to_owned();
    URL_SAFE_NO_PAD.encode_string(Zeroizing::new(json), &mut proof);
    match proof.len() {
        0..=PROOF_BYTES_MAX => Ok(Secret::from(proof)),
        _ => Err(ProveError::TooLong),
    }
}

/// The parameters that signing adds to the request.
fn signed(
    credentials: &Credentials,
    region: &Region,
    host: &str,
    audience: &str,
    now: SystemTime,
) -> Result<Parameters, Fault> {
    let mut settings = SigningSettings::default();
    settings.expires_in = Some(EXPIRES);
    settings.signature_location = SignatureLocation::QueryParams;
    settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region.as_str())
        .name("sts")
        .time(now)
        .settings(settings)
        .build()?
        .into();
    let url = format!("https://{host}{CALL}");
    let headers = std::iter::once((AUDIENCE_HEADER, audience));
    let request = SignableRequest::new("GET", &url, headers, SignableBody::Bytes(&[]))?;
    let (instructions, _) = sign(request, &parameters)?.into_parts();
    Ok(instructions.into_parts().1)
}

/// Whether this is meant as a proof; it may still be a bad one.
pub fn looks_like_proof(bytes: &[u8]) -> bool {
    bytes.starts_with(PREFIX.as_bytes())
}

/// A name that a broker may have. No spaces: signing folds them, and a header's ends lose them.
pub fn is_audience(text: &str) -> bool {
    (1..=AUDIENCE_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The regional endpoint of STS. Stricter than [`Region`] about what a region is called, because the
/// region comes from a stranger and becomes part of a host name.
pub fn sts_host(region: &Region) -> Option<String> {
    const COMPASS: [&str; 9] = [
        "central",
        "east",
        "north",
        "northeast",
        "northwest",
        "south",
        "southeast",
        "southwest",
        "west",
    ];
    let suffix = match region.partition() {
        "aws" | "aws-us-gov" => "amazonaws.com",
        "aws-cn" => "amazonaws.com.cn",
        "aws-eusc" => "amazonaws.eu",
        "aws-iso" => "c2s.ic.gov",
        "aws-iso-b" => "sc2s.sgov.gov",
        "aws-iso-e" => "cloud.adc-e.uk",
        "aws-iso-f" => "csp.hci.ic.gov",
        _ => return None,
    };
    let words: Vec<&str> = region.as_str().split('-').collect();
    let (geography, direction, number) = match *words.as_slice() {
        [geography, direction, number] => (geography, direction, number),
        // `us-gov-west-1`: only partitions of their own have a fourth word.
        [geography, part, direction, number] if region.partition() != "aws" && part.len() <= 4 => {
            (geography, direction, number)
        }
        _ => return None,
    };
    let known = (geography.len() == 2 || geography == "eusc")
        && COMPASS.contains(&direction)
        && (1..=2).contains(&number.len())
        && !number.starts_with('0');
    known.then(|| format!("sts.{region}.{suffix}"))
}

/// AWS STS API Reference, `Credentials`; in practice upper case.
fn is_key_id(text: &str) -> bool {
    let letters = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    (16..=128).contains(&text.len()) && text.bytes().all(letters)
}

fn is_token(text: &str) -> bool {
    (1..=PROOF_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
pub(crate) mod tests;
