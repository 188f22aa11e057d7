//! The doors of a cluster: with the credentials and over the verified TLS that sessions use, as the provisioner or,
//! to see whether that can be, as one of those it made.
//! What is done behind them is in [`cluster`]; [`iam`] is the other plane.

pub mod bootstrap;
pub mod cluster;
pub mod iam;

use crate::access::credential::Credentials;
use crate::access::policy::{Action, Circumstances as Around, Permit, Policy, Question};
use crate::config::Settings;
use crate::domain::caller::Caller;
use crate::domain::credential::{Credential, Freshness};
use crate::domain::declared::Declared;
use crate::domain::name::{DatabaseName, DbUser};
use crate::domain::reason::CloseReason;
use crate::domain::target::{Target, Users};
use crate::error::{Chain, ClientFacing, Refusal, SqlState};
use crate::platform::clock::Clock;
use crate::platform::task::{Background, within};
use crate::platform::telemetry::metrics::Metrics;
use crate::platform::wire::error::ServerError;
use crate::provision::doors::{APPLICATION, Doors, MAINTENANCE, OpenError};
use crate::provision::name::Database;
use crate::traffic::upstream::refusal::{
    Circumstances, Signer, dial_refusal, is_credential_refused, is_token_refused, login_refusal,
};
use crate::traffic::upstream::{Connector, LoginError, dial};
use std::error::Error;
use std::sync::Arc;
use tokio::time::Instant;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::{Client, Config, NoTls};

/// Opens connections to one target as one db user.
pub struct ClusterDoors {
    target: Arc<Target>,
    user: DbUser,
    credentials: Credentials,
    connector: Arc<Connector>,
    background: Background,
}

impl ClusterDoors {
    /// `target` is one of `settings`. It need not list the user: proxied callers should not be able to be the provisioner.
    pub async fn new(
        settings: &Settings,
        background: &Background,
        target: &Target,
        user: DbUser,
    ) -> Result<Self, super::StartError> {
        let metrics = Metrics::new();
        let credentials = super::credentials(settings, background, &metrics).await;
        Self::with(credentials, settings.dial, background, target, user)
    }

    /// The same in a dbproxy that runs already.
    pub fn with(
        credentials: Credentials,
        dial: dial::Config,
        background: &Background,
        target: &Target,
        user: DbUser,
    ) -> Result<Self, super::StartError> {
        let mut target = target.clone();
        target.users = Users::Listed(vec![user.clone()]);
        // Those that clients may name; a run also makes new ones.
        target.databases = Vec::new();
        // Nor is it the manifest that says who may try.
        target.declared = Declared::default();
        Ok(Self {
            connector: Connector::new(dial, [&target], Metrics::new())
                .map(Arc::new)
                .map_err(super::StartError::Roots)?,
            credentials,
            target: Arc::new(target),
            user,
            background: background.clone(),
        })
    }

    /// The same doors for somebody else.
    pub fn for_user(&self, user: DbUser) -> Self {
        let mut target = (*self.target).clone();
        target.users = Users::Listed(vec![user.clone()]);
        Self {
            target: Arc::new(target),
            user,
            credentials: self.credentials.clone(),
            connector: self.connector.clone(),
            background: self.background.clone(),
        }
    }

    /// By the built-in rule: policy sets are about callers of the proxy. Whether whoever runs the command may be the
    /// provisioner, AWS decides and the database.
    fn permit(&self, database: DatabaseName) -> Result<Permit, Failure> {
        let question = Question {
            caller: Caller::local(None),
            action: Action::Connect,
            target: self.target.clone(),
            db_user: self.user.clone(),
            database,
            role: None,
            around: Around {
                source: None,
                tls: false,
                now: Clock::system().now(),
                application: APPLICATION.to_owned(),
                listener: "command line".to_owned(),
            },
        };
        let denied = Policy::built_in().decide(question);
        denied.map_err(|error| (Box::new(error.refusal()), error.into()))
    }

    async fn enter(&self, database: &str) -> Result<Client, Failure> {
        let named = DatabaseName::new(database).map_err(|error| {
            let reason = CloseReason::ServerRefused;
            let refusal = Refusal::new(reason, SqlState::INVALID_CATALOG_NAME, error.to_string());
            (Box::new(refusal), error.into())
        })?;
        let permit = self.permit(named)?;
        let mut again = true;
        loop {
            let obtained = self.credentials.obtain(&permit).await;
            let (credential, freshness) =
                obtained.map_err(|error| (Box::new(error.refusal()), error.into()))?;
            match self.log_in(&permit, &credential).await? {
                Ok(client) => return Ok(client),
                // Once: with one that is not from the cache.
                Err(error)
                    if again
                        && freshness == Freshness::Cached
                        && is_credential_refused(&error)
                        && self.credentials.refused(&permit, &credential).await =>
                {
                    again = false;
                }
                Err(error) => return Err(self.refused(&permit, &credential, error).await),
            }
        }
    }

    /// Outside: what is no matter of the login. Inside: what is.
    async fn log_in(
        &self,
        permit: &Permit,
        credential: &Credential,
    ) -> Result<Result<Client, LoginError>, Failure> {
        let secret = match credential {
            Credential::AuthToken(token) => token.secret.expose(),
            Credential::Password(secret) => secret.expose(),
            Credential::Passthrough | Credential::Proof(_) => return Err(not_ours()),
        };
        let limit = self.connector.login_timeout();
        let now = Instant::now();
        let dialled = self
            .connector
            .dial(permit, now.checked_add(limit).unwrap_or(now))
            .await;
        let link =
            dialled.map_err(|error| (Box::new(dial_refusal(&error, permit.target())), error.into()))?;
        let mut config = Config::new();
        config
            .user(permit.db_user().as_str())
            .password(secret)
            .dbname(permit.database().as_str())
            .application_name(APPLICATION)
            // It is inside TLS already.
            .ssl_mode(SslMode::Disable)
            .channel_binding(ChannelBinding::Disable);
        match within(limit, config.connect_raw(link.stream, NoTls)).await {
            None => Ok(Err(LoginError::Timeout)),
            Some(Ok((client, connection))) => {
                self.background.spawn("provision", async move {
                    // What ends it, the client's next statement says.
                    let _ = connection.await;
                });
                Ok(Ok(client))
            }
            Some(Err(error)) => match error.as_db_error() {
                Some(said) => Ok(Err(LoginError::Refused(Box::new(ServerError {
                    severity: said.severity().to_owned(),
                    code: said.code().code().to_owned(),
                    message: said.message().to_owned(),
                    detail: said.detail().map(str::to_owned),
                    hint: said.hint().map(str::to_owned),
                    further: Vec::new(),
                })))),
                None => Err(broken_off(error)),
            },
        }
    }

    async fn refused(&self, permit: &Permit, credential: &Credential, error: LoginError) -> Failure {
        let signer = match is_token_refused(&error) {
            false => Signer::NotAsked,
            true => match self.credentials.signer(permit).await {
                Ok(principal) => Signer::Known(principal),
                Err(fault) => Signer::Faulty(fault),
            },
        };
        let circumstances = Circumstances {
            permit,
            credential,
            signer,
            iam_works_here: false,
        };
        let mut refusal = login_refusal(&error, &circumstances);
        if refusal.sqlstate == SqlState::INSUFFICIENT_PRIVILEGE && refusal.hint.is_none() {
            refusal.hint = Some(format!(
                "The provisioner must be let in: GRANT CONNECT ON DATABASE \"{}\" TO \"{}\";",
                permit.database().as_str().replace('"', "\"\""),
                permit.db_user().as_str().replace('"', "\"\"")
            ));
        }
        (Box::new(refusal), error.into())
    }
}

/// What mends it, and the error itself.
type Failure = (Box<Refusal>, Box<dyn Error + Send + Sync>);

fn not_ours() -> Failure {
    let message = "the provisioner's credential must be dbproxy's own";
    let refusal = Refusal::new(
        CloseReason::CredentialUnavailable,
        SqlState::INVALID_AUTHORIZATION,
        message,
    );
    let hint = "Give this db user of the target IAM or a stored password; `passthrough` and brokers have none to show.";
    (Box::new(refusal.hint(hint)), message.into())
}

fn broken_off(error: tokio_postgres::Error) -> Failure {
    let refusal = Refusal::new(
        CloseReason::ServerProtocol,
        SqlState::CONNECTION_FAILURE,
        format!("the login broke off: {}", Chain(&error)),
    );
    let hint = "See the server's log, and what stands between it and dbproxy.";
    (Box::new(refusal.hint(hint)), error.into())
}

impl Doors for ClusterDoors {
    async fn open(&self, database: Option<&Database>) -> Result<Client, OpenError> {
        let name = database.map_or(MAINTENANCE, Database::as_str);
        let entered = self.enter(name).await;
        entered.map_err(|(refusal, source)| OpenError {
            database: name.to_owned(),
            refusal,
            source,
        })
    }
}
