//! The authenticators, built from what was configured.

use crate::access::identity::aws_iam::{self, AwsIam};
use crate::access::identity::oidc::Oidc;
use crate::access::identity::scram::VerifiersError;
use crate::access::identity::{Identity, Local, ScramUsers};
use crate::config::CallersSetting;
use crate::domain::secret::Secret;
use crate::platform::clock::Clock;
use crate::platform::http::Http;
use crate::platform::task::Background;
use crate::platform::tls::{TlsError, peer};
use aws_lc_rs::rand;

/// What the authenticators work with.
pub struct Means {
    pub clock: Clock,
    pub background: Background,
    /// The secret that replicas share: what they ask unknown users is then the same at all of them.
    pub seed: Option<Secret>,
}

/// Why an authenticator could not be built.
#[derive(Debug, thiserror::Error)]
pub enum CallersError {
    #[error("the authorities to trust for issuers and STS cannot be used")]
    Http(#[source] TlsError),
    #[error("`aws_iam` cannot be used")]
    AwsIam(#[from] aws_iam::SettingsError),
    #[error("`scram` cannot be used")]
    Scram(#[from] VerifiersError),
    #[error("no random bytes can be had")]
    Random,
    #[error("the peers' secret cannot be used")]
    Secret(#[from] rustls::Error),
}

pub fn identity(local: Local, settings: &CallersSetting, means: Means) -> Result<Identity, CallersError> {
    let Means {
        clock,
        background,
        seed,
    } = means;
    let needs_http = settings.aws_iam.is_some() || !settings.oidc.is_empty();
    let http = needs_http
        .then(|| Http::new(settings.http_ca_file.as_deref()).map_err(CallersError::Http))
        .transpose()?;
    let mut identity = Identity {
        local,
        aws_iam: None,
        oidc: None,
        issuers: settings.oidc.iter().map(|(_, issuer)| issuer.clone()).collect(),
        scram: None,
        mtls: settings.mtls,
    };
    if let Some(http) = http {
        if let Some(aws_iam) = settings.aws_iam.clone() {
            let (http, clock, background) = (http.clone(), clock.clone(), background.clone());
            identity.aws_iam = Some(AwsIam::new(aws_iam, http, clock, background)?);
        }
        let issuers: Vec<_> = settings
            .oidc
            .iter()
            .map(|(settings, _)| settings.clone())
            .collect();
        identity.oidc = (!issuers.is_empty()).then(|| Oidc::new(issuers, http, clock, background));
    }
    if let Some(file) = settings.scram_file.clone() {
        identity.scram = Some(ScramUsers::load(file, mock_seed(seed.as_ref())?)?);
    }
    Ok(identity)
}

fn mock_seed(shared: Option<&Secret>) -> Result<[u8; 32], CallersError> {
    match shared {
        Some(secret) => Ok(*peer::derive(secret.expose(), b"scram mock users")?),
        None => {
            let mut seed = [0; 32];
            rand::fill(&mut seed).map_err(|_| CallersError::Random)?;
            Ok(seed)
        }
    }
}
