//! What a token says, and whether it is acceptable.

use super::error::OidcError;
use super::terms::{Proof, Settings};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// By how much the issuer's clock may be ahead. It buys an expired token nothing.
const SKEW: Duration = Duration::from_secs(60);
/// Longest `sub`, `jti` and e-mail address.
const NAME_BYTES_MAX: usize = 255;
const GROUPS_MAX: usize = 200;
const GROUP_BYTES_MAX: usize = 128;
/// Below this name AWS says what it knows about a principal.
const AWS: &str = "https://sts.amazonaws.com/";
const AWS_CLAIMS_MAX: usize = 64;
const AWS_CLAIM_BYTES_MAX: usize = 2_048;

/// Without `Debug`: what a token says is not for logs.
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    pub(super) fn new(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    pub(super) fn issuer(&self) -> Result<&str, OidcError> {
        let issuer = self.0.get("iss").and_then(Value::as_str);
        issuer.ok_or(OidcError::Claim("iss"))
    }

    pub(super) fn is_for(&self, settings: &Settings) -> bool {
        let audience = settings.audience.as_str();
        match self.0.get("aud") {
            Some(Value::String(only)) => only == audience,
            Some(Value::Array(several)) => {
                let is_text = several.iter().all(Value::is_string);
                let is_alone = several.len() == 1 || !settings.single_audience;
                is_text && is_alone && several.iter().any(|entry| entry == audience)
            }
            _ => false,
        }
    }

    /// `jti`, where tokens are accepted once.
    pub(super) fn id(&self) -> Result<&str, OidcError> {
        self.name("jti")?.ok_or(OidcError::Claim("jti"))
    }

    /// Issuer and audience are checked already: by them the settings were found.
    pub(super) fn proof(&self, settings: &Settings, now: SystemTime) -> Result<Proof, OidcError> {
        Ok(Proof {
            expires: self.expires(settings.max_lifetime, now)?,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            subject: self.name("sub")?.ok_or(OidcError::Claim("sub"))?.to_owned(),
            email: self.email()?,
            groups: self.groups(&settings.groups_claim)?,
            mfa: self.has_second_factor(),
            claims: self.said_by_aws()?,
        })
    }

    fn expires(&self, max_lifetime: Duration, now: SystemTime) -> Result<SystemTime, OidcError> {
        let expires = self.time("exp")?.ok_or(OidcError::Claim("exp"))?;
        let issued = self.time("iat")?.ok_or(OidcError::Claim("iat"))?;
        if now >= expires {
            return Err(OidcError::Expired);
        }
        for begin in [Some(issued), self.time("nbf")?].into_iter().flatten() {
            if begin.duration_since(now).is_ok_and(|wait| wait > SKEW) {
                return Err(OidcError::NotYet);
            }
        }
        match expires.duration_since(issued) {
            Ok(lifetime) if lifetime <= max_lifetime => Ok(expires),
            _ => Err(OidcError::Claim("exp")),
        }
    }

    /// Seconds since 1970, which may have a fraction.
    fn time(&self, name: &'static str) -> Result<Option<SystemTime>, OidcError> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let fraction = || Duration::try_from_secs_f64(value.as_f64()?).ok();
        let time = value
            .as_u64()
            .map(Duration::from_secs)
            .or_else(fraction)
            .and_then(|since| UNIX_EPOCH.checked_add(since));
        time.map(Some).ok_or(OidcError::Claim(name))
    }

    fn name(&self, name: &'static str) -> Result<Option<&str>, OidcError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if is_plain(text, NAME_BYTES_MAX) => Ok(Some(text)),
            Some(_) => Err(OidcError::Claim(name)),
        }
    }

    fn email(&self) -> Result<Option<String>, OidcError> {
        let is_verified = match self.0.get("email_verified") {
            None | Some(Value::Null | Value::Bool(true)) => true,
            // Some issuers write it as a text.
            Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
            Some(_) => false,
        };
        if !is_verified || self.0.get("email").is_none_or(Value::is_null) {
            return Ok(None);
        }
        Ok(self.name("email")?.map(str::to_owned))
    }

    fn has_second_factor(&self) -> bool {
        let methods = self.0.get("amr").and_then(Value::as_array);
        methods.is_some_and(|methods| methods.iter().any(|method| method == "mfa"))
    }

    fn groups(&self, claim: &str) -> Result<Vec<String>, OidcError> {
        let refused = || OidcError::Claim("groups");
        // Left out of the token because they are too many. Without them a policy that forbids something to
        // a group would not see its member.
        let elsewhere = self.0.get("_claim_names").and_then(|names| names.get(claim));
        if elsewhere.is_some() {
            return Err(refused());
        }
        let groups = match self.0.get(claim) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            // Some issuers write the only group without a list.
            Some(only @ Value::String(_)) => std::slice::from_ref(only),
            Some(Value::Array(several)) if several.len() <= GROUPS_MAX => several,
            Some(_) => return Err(refused()),
        };
        let plain = |group: &Value| {
            let group = group.as_str().filter(|text| is_plain(text, GROUP_BYTES_MAX));
            group.map(str::to_owned).ok_or_else(refused)
        };
        groups.iter().map(plain).collect()
    }

    /// Lists and maps among them, such as tags, are left out.
    fn said_by_aws(&self) -> Result<BTreeMap<String, String>, OidcError> {
        let Some(Value::Object(said)) = self.0.get(AWS) else {
            return Ok(BTreeMap::new());
        };
        if said.len() > AWS_CLAIMS_MAX {
            return Err(OidcError::Claim(AWS));
        }
        let texts = said
            .iter()
            .filter_map(|(name, value)| Some((name, value.as_str()?)));
        texts
            .map(|(name, text)| {
                let is_fine = is_plain(name, NAME_BYTES_MAX)
                    && text.len() <= AWS_CLAIM_BYTES_MAX
                    && !text.chars().any(char::is_control);
                is_fine
                    .then(|| (name.clone(), text.to_owned()))
                    .ok_or(OidcError::Claim(AWS))
            })
            .collect()
    }
}

/// Fit for logs and policies.
fn is_plain(text: &str, max: usize) -> bool {
    !text.is_empty() && text.len() <= max && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
