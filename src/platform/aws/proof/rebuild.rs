//! From a stranger's proof to a request that may be sent: every field is checked for its one allowed
//! shape, everything else of the request is ours.

use super::{
    CALL, EXPIRES, Fields, PREFIX, PROOF_BYTES_MAX, SKEW, is_audience, is_key_id, is_token, sts_host,
};
use crate::domain::endpoint::Region;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime};

const DATE_FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// Why a proof was refused. Sources are left out: their texts quote the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("the proof exceeds {PROOF_BYTES_MAX} bytes")]
    TooLong,
    #[error("this is no proof of an AWS identity, or of another version")]
    NotAProof,
    #[error("the proof is not base64url without padding")]
    Encoding,
    #[error("the proof is not the JSON object it should be")]
    Json,
    #[error("the proof's {0} is malformed")]
    Field(&'static str),
    #[error("the proof's region has no STS endpoint")]
    Region,
    #[error("the proof is too old")]
    Expired,
    #[error("the proof is dated in the future")]
    Future,
    #[error("the broker has no valid name")]
    Audience,
}

/// The request that asks STS about the prover.
#[derive(Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// Holds the signature and the session token: not to be logged.
    pub url: String,
    pub host: String,
    pub region: Region,
    /// To be sent in [`AUDIENCE_HEADER`](super::AUDIENCE_HEADER).
    pub audience: String,
    /// One use of a proof has one signature.
    pub signature: String,
    pub key_id: String,
    pub signed_at: SystemTime,
}

impl Rebuilt {
    /// The URL without scheme and host, from the `/` on.
    pub fn target(&self) -> &str {
        let target = self.url.strip_prefix("https://");
        target
            .and_then(|rest| rest.strip_prefix(&self.host))
            .unwrap_or_default()
    }
}

impl fmt::Debug for Rebuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rebuilt")
            .field("host", &self.host)
            .field("key_id", &self.key_id)
            .field("signed_at", &self.signed_at)
            .finish_non_exhaustive()
    }
}

/// Reads a proof that was made for `audience` no longer than `max_age` ago. Whether its signature is
/// right only STS can say.
pub fn rebuild(
    proof: &[u8],
    audience: &str,
    now: SystemTime,
    max_age: Duration,
) -> Result<Rebuilt, ProofError> {
    if !is_audience(audience) {
        return Err(ProofError::Audience);
    }
    let fields = decode(proof)?;
    let region = Region::new(&fields.region).filter(|region| region.as_str() == fields.region);
    let region = region.ok_or(ProofError::Region)?;
    let host = sts_host(&region).ok_or(ProofError::Region)?;
    let signed_at = signing_time(&fields.date).ok_or(ProofError::Field("date"))?;
    let key_id = key_id(&fields, &region).ok_or(ProofError::Field("credential"))?;
    if !fields.token.as_deref().is_none_or(is_token) {
        return Err(ProofError::Field("token"));
    }
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if fields.signature.len() != 64 || !fields.signature.bytes().all(hex) {
        return Err(ProofError::Field("signature"));
    }
    check_age(signed_at, now, max_age)?;
    Ok(Rebuilt {
        url: url(&host, &fields),
        host,
        region,
        audience: audience.to_owned(),
        key_id: key_id.to_owned(),
        signed_at,
        signature: fields.signature,
    })
}

fn decode(proof: &[u8]) -> Result<Fields, ProofError> {
    if proof.len() > PROOF_BYTES_MAX {
        return Err(ProofError::TooLong);
    }
    let encoded = proof
        .strip_prefix(PREFIX.as_bytes())
        .ok_or(ProofError::NotAProof)?;
    let json = URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_| ProofError::Encoding)?;
    // An array of the values in their order would be read as well.
    if !json.starts_with(b"{") {
        return Err(ProofError::Json);
    }
    serde_json::from_slice(&json).map_err(|_| ProofError::Json)
}

/// Read leniently, then compared with how it is written: one spelling a moment, no leap seconds.
fn signing_time(text: &str) -> Option<SystemTime> {
    let date = DateTime::strptime(DATE_FORMAT, text).ok()?;
    if date.strftime(DATE_FORMAT).to_string() != text {
        return None;
    }
    TimeZone::UTC.to_timestamp(date).ok().map(SystemTime::from)
}

/// The key id of a credential scope whose other parts are those of the proof.
fn key_id<'a>(fields: &'a Fields, region: &Region) -> Option<&'a str> {
    let (key_id, scope) = fields.credential.split_once('/')?;
    let (day, _) = fields.date.split_once('T')?;
    (is_key_id(key_id) && scope == format!("{day}/{region}/sts/aws4_request")).then_some(key_id)
}

fn check_age(signed_at: SystemTime, now: SystemTime, max_age: Duration) -> Result<(), ProofError> {
    match now.duration_since(signed_at) {
        Ok(age) if age > max_age => Err(ProofError::Expired),
        Err(ahead) if ahead.duration() > SKEW => Err(ProofError::Future),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn url(host: &str, fields: &Fields) -> String {
    let expires = EXPIRES.as_secs().to_string();
    let mut parameters = vec![
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Credential", &fields.credential),
        ("X-Amz-Date", &fields.date),
        ("X-Amz-Expires", &expires),
        ("X-Amz-SignedHeaders", "host;x-dbproxy-audience"),
    ];
    if let Some(token) = &fields.token {
        parameters.push(("X-Amz-Security-Token", token));
    }
    parameters.push(("X-Amz-Signature", &fields.signature));
    let mut url = format!("https://{host}{CALL}");
    for (name, value) in parameters {
        // Writing to a String does not fail.
        let _ = write!(url, "&{name}=");
        percent_encode(value, &mut url);
    }
    url
}

/// RFC 3986 §2.3: everything but the unreserved characters.
fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}
