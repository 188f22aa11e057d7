//! RDS IAM auth tokens: a presigned SigV4 URL without its scheme
//! (RDS User Guide, "Connecting to your DB instance using IAM authentication").

use crate::domain::credential::AuthToken;
use crate::domain::endpoint::Region;
use crate::domain::name::DbUser;
use crate::domain::secret::Secret;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

/// What RDS accepts at most; asking for more is rejected.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(900);

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenScope {
    /// Lower case: the service verifies over the lower-cased name.
    pub host: String,
    pub port: u16,
    pub region: Region,
    pub user: DbUser,
}

/// Why a token could not be signed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("sign auth token: {0}")]
pub struct SignError(String);

/// Signs a token. Local, no AWS call. It expires with the credentials or after 15 minutes,
/// whichever comes first.
pub fn auth_token(
    credentials: &Credentials,
    scope: &TokenScope,
    now: SystemTime,
) -> Result<AuthToken, SignError> {
    let failed = |error: &dyn std::error::Error| SignError(crate::error::Chain(error).to_string());
    let host = scope.host.to_ascii_lowercase();
    let mut url = format!(
        "https://{host}:{}/?Action=connect&DBUser={}",
        scope.port,
        percent_encoded(scope.user.as_str())
    );
    let mut settings = SigningSettings::default();
    settings.expires_in = Some(TOKEN_LIFETIME);
    settings.signature_location = SignatureLocation::QueryParams;
    settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region.as_str())
        .name("rds-db")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let request = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::Bytes(&[]))
        .map_err(|error| failed(&error))?;
    let (instructions, _) = sign(request, &parameters)
        .map_err(|error| failed(&error))?
        .into_parts();
    for (name, value) in instructions.params() {
        // Writing to a String does not fail.
        let _ = write!(url, "&{name}={}", percent_encoded(value));
    }
    let lifetime_end = now.checked_add(TOKEN_LIFETIME).unwrap_or(now);
    Ok(AuthToken {
        secret: Secret::from(url.split_off("https://".len())),
        expires_at: credentials
            .expiry()
            .map_or(lifetime_end, |end| end.min(lifetime_end)),
        signed_at: now,
        key_id: credentials.access_key_id().to_owned(),
    })
}

/// RFC 3986 §2.3: everything but the unreserved characters.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_rds::auth_token::{AuthTokenGenerator, Config};

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// 2026-11-22T00:00:00Z
    fn signing_time() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_305_600)
    }

    fn token(host: &str, user: &str, region: &str, session: Option<&str>) -> String {
        let credentials = Credentials::new("AKIDEXAMPLE", SECRET, session.map(str::to_owned), None, "test");
        let scope = TokenScope {
            host: host.to_owned(),
            port: 5432,
            region: Region::new(region).unwrap(),
            user: DbUser::new(user).unwrap(),
        };
        let token = auth_token(&credentials, &scope, signing_time()).unwrap();
        String::from_utf8(token.secret.expose().to_vec()).unwrap()
    }

    /// Made with botocore's generate_db_auth_token for the same inputs.
    #[test]
    fn tokens_have_the_signatures_of_an_independent_implementation() {
        let writer = "mydb.cluster-abcdefghijkl.us-east-1.rds.amazonaws.com";
        let mixed = "MyDB.abcdefghijkl.us-east-1.rds.amazonaws.com";
        let instance = "mydb.abcdefghijkl.us-east-1.rds.amazonaws.com";
        let china = "mydb.abcdefghijkl.rds.cn-north-1.amazonaws.com.cn";
        let session = Some("FwoGZXIvYXdz/SESSION+TOKEN==");
        for (host, user, region, session, signature) in [
            (
                writer,
                "app_rw",
                "us-east-1",
                None,
                "307e01c0099097acda2388bc5340476da483108c3e95155070e0011a0706ee90",
            ),
            (
                writer,
                "app_rw",
                "us-east-1",
                session,
                "fae2cf8eb5d23e335178062e24b190f0da1f5bc5d0438c625d0b736e242f7073",
            ),
            (
                mixed,
                "app_rw",
                "us-east-1",
                None,
                "dcff73bb617b7e299c54661c92f4caf2342045820c277cf39e706fe5897a24d4",
            ),
            (
                instance,
                "jane.doe@corp/ops+1 ~_-é",
                "us-east-1",
                None,
                "50634e38f3f25b19495365299338dfe8497d865d3f310dfb1bf8c7f1ca01cc3a",
            ),
            (
                china,
                "app",
                "cn-north-1",
                None,
                "1037b4390c55509dffa7b1bcc02ce85c7d363058157f0c503a46d6cb298d127f",
            ),
        ] {
            let token = token(host, user, region, session);
            assert!(
                token.contains(&format!("&X-Amz-Signature={signature}")),
                "{token}"
            );
            assert!(token.starts_with(&format!("{}:5432/?Action=connect&DBUser=", host.to_lowercase())));
        }
    }

    #[test]
    fn tokens_equal_those_of_the_aws_sdk_where_it_is_right() {
        let host = "mydb.abcdefghijkl.eu-west-1.rds.amazonaws.com";
        let credentials = Credentials::new("AKIDEXAMPLE", SECRET, None, None, "test");
        let time = aws_smithy_async_time();
        let sdk = aws_config::SdkConfig::builder()
            .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(
                credentials,
            ))
            .time_source(time)
            .build();
        let config = Config::builder()
            .hostname(host)
            .port(5432)
            .username("app_rw")
            .region(aws_config::Region::new("eu-west-1"))
            .build()
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let theirs = runtime
            .block_on(AuthTokenGenerator::new(config).auth_token(&sdk))
            .unwrap();
        assert_eq!(token(host, "app_rw", "eu-west-1", None), theirs.as_str());
    }

    fn aws_smithy_async_time() -> impl aws_smithy_async::time::TimeSource + 'static {
        aws_smithy_async::time::StaticTimeSource::new(signing_time())
    }

    #[test]
    fn a_token_dies_with_its_credentials() {
        let soon = signing_time() + Duration::from_secs(240);
        let credentials = Credentials::new("A", SECRET, Some("t".into()), Some(soon), "test");
        let scope = TokenScope {
            host: "h.abc.us-east-1.rds.amazonaws.com".into(),
            port: 5432,
            region: Region::new("us-east-1").unwrap(),
            user: DbUser::new("app").unwrap(),
        };
        let token = auth_token(&credentials, &scope, signing_time()).unwrap();
        assert_eq!(token.expires_at, soon);
    }
}
