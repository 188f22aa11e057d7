//! Walks the chain from AWS credentials to a login, link by link, and says which one breaks.

use crate::access::credential::Credentials;
use crate::access::policy::Permit;
use crate::config::Settings;
use crate::domain::credential::Credential;
use crate::domain::target::CredentialKind;
use crate::error::{ClientFacing, Refusal};
use crate::platform::task::Background;
use crate::platform::telemetry::metrics::Metrics;
use crate::platform::tls::stream::ClientStream;
use crate::platform::wire::auth::encode_frame;
use crate::platform::wire::frame::{AUTH_MESSAGE_BYTES_MAX, FrameReader};
use crate::platform::wire::greeting::tag;
use crate::platform::wire::startup::StartupMessage;
use crate::traffic::upstream::dial::Link as Connection;
use crate::traffic::upstream::login::log_in;
use crate::traffic::upstream::refusal::{
    Circumstances, Signer, dial_refusal, is_token_refused, login_refusal,
};
use crate::traffic::upstream::{Connector, DialError, Login, LoginError};
use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

/// One link of the chain.
#[derive(Debug, Clone)]
pub struct Link {
    pub name: &'static str,
    pub finding: Finding,
}

#[derive(Debug, Clone)]
pub enum Finding {
    Good(String),
    Broken(Box<Refusal>),
    /// A link before it is broken, or it is not part of this target's chain.
    NotReached(&'static str),
}

/// The chain of one permit.
pub struct Doctor<'a> {
    permit: &'a Permit,
    credentials: Credentials,
    connector: Connector,
    links: Vec<Link>,
}

impl<'a> Doctor<'a> {
    pub async fn new(
        settings: &Settings,
        background: &Background,
        permit: &'a Permit,
    ) -> Result<Self, super::StartError> {
        let metrics = Metrics::new();
        Ok(Self {
            permit,
            credentials: super::credentials(settings, background, &metrics).await,
            connector: Connector::new(settings.dial, &settings.targets, metrics)
                .map_err(super::StartError::Roots)?,
            links: Vec::new(),
        })
    }

    /// Examines every link that can be reached.
    pub async fn walk(mut self) -> Vec<Link> {
        let credential = self.examine_credentials().await;
        let connection = self.examine_network().await;
        match (credential, connection) {
            (Some(credential), Some(connection)) => self.examine_login(credential, connection).await,
            _ => {
                self.note(
                    "login",
                    Finding::NotReached("needs a credential and a connection"),
                );
                self.note("rds_iam", Finding::NotReached("needs a login"));
            }
        }
        self.links
    }

    fn note(&mut self, name: &'static str, finding: Finding) {
        self.links.push(Link { name, finding });
    }

    fn broken(&mut self, name: &'static str, refusal: Refusal) {
        self.note(name, Finding::Broken(Box::new(refusal)));
    }

    async fn examine_credentials(&mut self) -> Option<Credential> {
        let target = self.permit.target();
        let kind = target.credential_for(self.permit.db_user());
        let (uses_aws, uses_role) = (kind.uses_aws(), kind.as_str() == "iam+assume_role");
        if uses_aws {
            let region = self.credentials.region_of(self.permit);
            match self.credentials.default_identity(&region).await {
                Ok(principal) => self.note("AWS credentials", Finding::Good(principal)),
                Err(error) => {
                    self.broken("AWS credentials", error.refusal());
                    self.note(what_is_shown(kind), Finding::NotReached("no AWS credentials"));
                    return None;
                }
            }
        }
        if uses_role {
            match self.credentials.signer(self.permit).await {
                Ok(principal) => self.note("AssumeRole", Finding::Good(principal)),
                Err(error) => {
                    self.broken("AssumeRole", error.refusal());
                    self.note("token", Finding::NotReached("no role"));
                    return None;
                }
            }
        }
        let name = what_is_shown(kind);
        match self.credentials.obtain(self.permit).await {
            Ok((Credential::Passthrough, _)) => {
                self.note(name, Finding::NotReached("passthrough: the client brings it"));
                None
            }
            Ok((credential, _)) => {
                let what = match kind {
                    CredentialKind::Iam { .. } => format!("for {} in {}", target.token, target.region),
                    CredentialKind::Broker(broker) => format!("for the broker \"{}\"", broker.audience),
                    _ => kind.as_str().to_owned(),
                };
                self.note(name, Finding::Good(what));
                Some(credential)
            }
            Err(error) => {
                self.broken(name, error.refusal());
                None
            }
        }
    }

    async fn examine_network(&mut self) -> Option<Connection> {
        let began = Instant::now();
        let deadline = began.checked_add(self.connector.login_timeout()).unwrap_or(began);
        let target = self.permit.target();
        let dialled = self.connector.dial(self.permit, deadline).await;
        let broken = match &dialled {
            Ok(_) => 3,
            Err(DialError::Resolve(..)) => 0,
            Err(DialError::Connect(..) | DialError::Timeout(_) | DialError::NotPostgres(_)) => 1,
            Err(DialError::TlsRefused(_) | DialError::Handshake(..) | DialError::Settings(_)) => 2,
        };
        let good = [
            target.dial.host.clone(),
            target.dial.to_string(),
            format!("{} verified", target.tls_name),
        ];
        for (at, (name, good)) in ["DNS", "TCP", "TLS"].into_iter().zip(good).enumerate() {
            match &dialled {
                Err(error) if at == broken => self.broken(name, dial_refusal(error, target)),
                _ if at < broken => self.note(name, Finding::Good(good)),
                _ => self.note(name, Finding::NotReached("a link before it is broken")),
            }
        }
        dialled.ok()
    }

    async fn examine_login(&mut self, credential: Credential, connection: Connection) {
        match self.log_in(&credential, connection).await {
            Ok(login) => {
                let user = self.permit.db_user();
                self.note(
                    "login",
                    Finding::Good(format!("as {user} on {}", self.permit.database())),
                );
                let member = match credential {
                    Credential::Proof(_) => {
                        Finding::NotReached("the broker's affair: it logs in at the database")
                    }
                    _ => is_member_of_rds_iam(login).await,
                };
                self.note("rds_iam", member);
            }
            Err(error) => {
                let circumstances = Circumstances {
                    permit: self.permit,
                    credential: &credential,
                    signer: self.signer(&error).await,
                    iam_works_here: false,
                };
                self.broken("login", login_refusal(&error, &circumstances));
                self.note("rds_iam", Finding::NotReached("no login"));
            }
        }
    }

    async fn log_in(&self, credential: &Credential, connection: Connection) -> Result<Login, LoginError> {
        let (user, database) = (self.permit.db_user().as_str(), self.permit.database().as_str());
        let startup = StartupMessage::new([
            ("user", user),
            ("database", database),
            ("application_name", "dbproxy doctor"),
        ]);
        // Nobody: a credential of ours never needs the client's answer.
        let (nobody, _other_end) = UnixStream::pair().map_err(|error| LoginError::Client(error.into()))?;
        let mut client = FrameReader::new(ClientStream::Unix(nobody));
        let login = log_in(connection, &startup, user, credential, &mut client);
        timeout(self.connector.login_timeout(), login)
            .await
            .map_err(|_| LoginError::Timeout)?
    }

    async fn signer(&self, error: &LoginError) -> Signer {
        if !is_token_refused(error) {
            return Signer::NotAsked;
        }
        match self.credentials.signer(self.permit).await {
            Ok(principal) => Signer::Known(principal),
            Err(error) => Signer::Faulty(error),
        }
    }
}

fn what_is_shown(kind: &CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Iam { .. } => "token",
        CredentialKind::Broker(_) => "proof",
        _ => "password",
    }
}

const MEMBERSHIP: &[u8] = b"select count(*) from pg_catalog.pg_roles r where r.rolname = 'rds_iam' \
    and pg_catalog.pg_has_role(current_user, r.oid, 'member')\0";

/// Membership decides how the server authenticates: with it by IAM, without it by password.
async fn is_member_of_rds_iam(login: Login) -> Finding {
    let mut server = FrameReader::new(login.stream);
    let mut query = BytesMut::new();
    encode_frame(b'Q', MEMBERSHIP, &mut query);
    if server.stream_mut().write_all(&query).await.is_err() || server.stream_mut().flush().await.is_err() {
        return Finding::NotReached("the server closed the connection");
    }
    while let Ok(frame) = server.read(AUTH_MESSAGE_BYTES_MAX).await {
        match frame.tag {
            b'D' if frame.body.ends_with(b"0") => {
                return Finding::Good("not a member: logs in by password".to_owned());
            }
            b'D' => return Finding::Good("a member: logs in by IAM".to_owned()),
            tag::ERROR_RESPONSE | tag::READY_FOR_QUERY => break,
            _ => {}
        }
    }
    Finding::NotReached("the server did not say")
}
