//! Dial and login: from a credential to a session that is ready for queries. Nothing here runs
//! without a permit, and no byte reaches a server before it.

use super::Shared;
use super::authorize::Permitted;
use super::callers::Seat;
use super::credential::{Credentialed, ObtainError, obtain};
use super::refuse::Refused;
use super::startup::{Place, Started, shutting_down};
use crate::access::policy::Permit;
use crate::domain::credential::{Credential, Freshness};
use crate::domain::reason::CloseReason;
use crate::error::{Refusal, SqlState};
use crate::platform::tls::stream::ClientStream;
use crate::platform::wire::frame::{FrameError, FrameReader};
use crate::platform::wire::startup::StartupMessage;
use crate::traffic::upstream::login::log_in;
use crate::traffic::upstream::refusal::{
    Circumstances, Signer, dial_refusal, is_credential_refused, is_token_refused, login_refusal,
};
use crate::traffic::upstream::{DialError, Login, LoginError};
use bytes::BytesMut;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Asking AWS about a refused token must not make the client wait long for its answer.
const DIAGNOSIS_TIMEOUT: Duration = Duration::from_secs(3);

/// For how long a waiting client is not looked at, as a session's is not when nothing moves.
const CLIENT_PATIENCE: Duration = Duration::from_millis(500);
/// How often it is looked at then.
const CLIENT_LOOK: Duration = Duration::from_millis(250);

/// Both connections stand, the login is complete, the client has not been told yet.
#[derive(Debug)]
pub struct Connected {
    pub started: StartedRest,
    pub permit: Permit,
    pub client: ClientStream,
    /// Bytes the client sent behind its last authentication message.
    pub from_client: BytesMut,
    pub login: Login,
}

/// What is left of [`Started`] after its stream and startup message were used.
#[derive(Debug)]
pub struct StartedRest {
    pub record: crate::access::audit::Record,
    pub place: Place,
    pub seat: Seat,
    pub began: Instant,
}

/// Why no session came about.
enum ConnectError {
    Obtain(ObtainError),
    Dial(DialError),
    Login(LoginError, Credential),
    Budget,
    Shutdown,
}

pub async fn connect(
    shared: &Shared,
    credentialed: Credentialed,
    deadline: Instant,
) -> Result<Box<Connected>, Refused> {
    let Credentialed {
        permitted: Permitted {
            started,
            permit,
            seat,
        },
        credential,
        freshness,
    } = credentialed;
    let Started {
        client,
        startup,
        record,
        place,
        began,
        ..
    } = started;
    let mut attempt = Attempt {
        shared,
        permit: &permit,
        startup: &startup,
        client,
        deadline,
    };
    let outcome = tokio::select! {
        outcome = attempt.run(credential, freshness) => outcome,
        () = shared.shutdown.end.cancelled() => Err(ConnectError::Shutdown),
    };
    match outcome {
        Ok(login) => {
            let (client, from_client) = attempt.client.into_parts();
            let started = StartedRest {
                record,
                place,
                seat,
                began,
            };
            Ok(Box::new(Connected {
                started,
                permit,
                client,
                from_client,
                login,
            }))
        }
        Err(error) => {
            let refusal = attempt.refusal(&error).await;
            let (client, _) = attempt.client.into_parts();
            Err(Refused::told(client, record, refusal))
        }
    }
}

/// Resolves when the client has hung up. A client that waits for its login sends nothing, so there is
/// nothing to read meanwhile; looking is enough. Not at once: one that sends its query ahead and shuts its
/// sending side looks the same, and is served if its login takes no longer.
async fn client_gone(client: &ClientStream) {
    sleep(CLIENT_PATIENCE).await;
    while !client.peer_has_ended() {
        sleep(CLIENT_LOOK).await;
    }
}

struct Attempt<'a> {
    shared: &'a Shared,
    permit: &'a Permit,
    startup: &'a StartupMessage,
    client: FrameReader<ClientStream>,
    deadline: Instant,
}

impl Attempt<'_> {
    /// One try, and a second one if the first was refused with a secret from the cache.
    async fn run(&mut self, credential: Credential, freshness: Freshness) -> Result<Login, ConnectError> {
        let error = match self.try_once(&credential).await {
            Err(ConnectError::Login(error, credential)) if is_credential_refused(&error) => {
                if freshness == Freshness::Fresh {
                    self.shared.credentials.refused_fresh(self.permit);
                    return Err(ConnectError::Login(error, credential));
                }
                error
            }
            outcome => return outcome,
        };
        if !self.shared.credentials.refused(self.permit, &credential).await {
            return Err(ConnectError::Login(error, credential));
        }
        self.shared.metrics.login_retried();
        tracing::debug!("login refused with a cached credential, trying a fresh one");
        let (fresh, _) = obtain(self.shared, self.permit, self.deadline)
            .await
            .map_err(ConnectError::Obtain)?;
        let outcome = self.try_once(&fresh).await;
        if matches!(&outcome, Err(ConnectError::Login(error, _)) if is_credential_refused(error)) {
            self.shared.credentials.refused_fresh(self.permit);
        }
        outcome
    }

    async fn try_once(&mut self, credential: &Credential) -> Result<Login, ConnectError> {
        let target = self.permit.target();
        let cluster = target.resource_id.as_deref().unwrap_or(&target.endpoint.host);
        let budget = self.shared.budgets.of(cluster);
        let connector = &self.shared.connector;
        let dialled = async {
            timeout_at(self.deadline, budget.turn())
                .await
                .map_err(|_| ConnectError::Budget)?;
            connector
                .dial(self.permit, self.deadline)
                .await
                .map_err(ConnectError::Dial)
        };
        // Whoever does not wait any more must not cost others a turn, nor the server a login.
        let link = tokio::select! {
            link = dialled => link?,
            () = client_gone(self.client.stream()) => {
                let gone = LoginError::Client(FrameError::Closed);
                return Err(ConnectError::Login(gone, credential.clone()));
            }
        };
        let began = Instant::now();
        let user = self.permit.db_user().as_str();
        let login = log_in(link, self.startup, user, credential, &mut self.client);
        let failed = |error| ConnectError::Login(error, credential.clone());
        let login = timeout_at(self.deadline, timeout(connector.login_timeout(), login))
            .await
            .map_err(|_| failed(LoginError::Timeout))?
            .map_err(|_| failed(LoginError::Timeout))?
            .map_err(failed)?;
        self.shared.metrics.logged_in(began.elapsed());
        if matches!(credential, Credential::AuthToken(_)) {
            connector.iam_worked(self.permit);
        }
        Ok(login)
    }

    async fn refusal(&self, error: &ConnectError) -> Refusal {
        match error {
            ConnectError::Obtain(error) => error.refusal(),
            ConnectError::Dial(error) => dial_refusal(error, self.permit.target()),
            ConnectError::Login(error, credential) => {
                let circumstances = Circumstances {
                    permit: self.permit,
                    credential,
                    signer: self.signer(error, credential).await,
                    iam_works_here: matches!(error, LoginError::TokenNotAsked { .. })
                        && self.shared.connector.iam_works_for_others(self.permit),
                };
                login_refusal(error, &circumstances)
            }
            ConnectError::Shutdown => shutting_down(),
            ConnectError::Budget => Refusal::new(
                CloseReason::TooManyConnections,
                SqlState::TOO_MANY_CONNECTIONS,
                "too many logins wait for this database",
            )
            .hint("dbproxy holds new logins below the rate at which RDS throttles; try again, or use a connection pool."),
        }
    }

    async fn signer(&self, error: &LoginError, credential: &Credential) -> Signer {
        if !(is_token_refused(error) && matches!(credential, Credential::AuthToken(_))) {
            return Signer::NotAsked;
        }
        let signer = tokio::select! {
            signer = timeout(DIAGNOSIS_TIMEOUT, self.shared.credentials.signer(self.permit)) => signer,
            () = self.shared.shutdown.end.cancelled() => return Signer::NotAsked,
        };
        match signer {
            Ok(Ok(principal)) => Signer::Known(principal),
            Ok(Err(error)) => Signer::Faulty(error),
            Err(_) => Signer::NotAsked,
        }
    }
}
