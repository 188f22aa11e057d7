//! The authentication exchange with a client: what it is asked for, and what its answer proves.
//!
//! AuthenticationOk is not sent here: the client gets it with the server's greeting, when it really is in.

use super::Failure;
use crate::access::identity::{Authenticator, Identity, ProofError, ScramUsers};
use crate::domain::caller::{Caller, Principal, ProofKind};
use crate::platform::tls::stream::ClientStream;
use crate::platform::wire::auth;
use crate::platform::wire::frame::{AUTH_MESSAGE_BYTES_MAX, FrameError, FrameReader};
use crate::platform::wire::greeting::tag;
use crate::platform::wire::scram;
use aws_lc_rs::rand;
use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use zeroize::Zeroizing;

const OAUTHBEARER: &str = "OAUTHBEARER";
/// What a client that must give up says (RFC 7628 §3.2.3).
const DUMMY_RESPONSE: &[u8] = &[1];

/// One client and what it may prove itself with.
pub struct Exchange<'a> {
    pub identity: &'a Identity,
    pub authenticators: &'a [Authenticator],
    /// As the client sent it.
    pub user: String,
    /// Whether the client's address has failed too often by now.
    pub is_locked: &'a (dyn Fn() -> bool + Sync),
    pub client: &'a mut FrameReader<ClientStream>,
}

impl Exchange<'_> {
    pub async fn run(mut self) -> Result<Caller, Failure> {
        let identity = self.identity;
        let accepts = |one| self.authenticators.contains(&one);
        let scram = identity.scram.as_ref().filter(|_| accepts(Authenticator::Scram));
        let takes_passwords = self.authenticators.iter().any(|one| one.takes_passwords());
        match scram {
            // A name that has a password of its own is asked for that one. Where only such names are accepted, all
            // are, so that nobody learns which there are.
            Some(users) if users.knows(users.named(&self.user)) || !takes_passwords => {
                self.scram(users).await
            }
            _ if takes_passwords => self.password().await,
            _ if accepts(Authenticator::OauthBearer) => self.bearer().await,
            _ => Err(ProofError::Nothing.into()),
        }
    }

    async fn password(&mut self) -> Result<Caller, Failure> {
        let mut out = BytesMut::new();
        auth::encode_password_request(&mut out);
        self.send(&out).await?;
        let answer = self.answer().await?;
        let password = auth::parse_password(&answer).ok_or(ProofError::Malformed("password message"))?;
        let proven = self.identity.by_password(password, self.authenticators).await;
        Ok(proven?)
    }

    /// SCRAM-SHA-256 (RFC 5802, 7677), as PostgreSQL does it: the name is that of the startup message.
    async fn scram(&mut self, users: &ScramUsers) -> Result<Caller, Failure> {
        let leaf = self.client.stream().server_leaf();
        let binding = leaf.and_then(scram::end_point);
        let offered = scram::mechanisms(binding.is_some());
        let offered: Vec<String> = offered.iter().map(|name| (*name).to_owned()).collect();
        let mut out = BytesMut::new();
        auth::encode_sasl(&offered, &mut out);
        self.send(&out).await?;

        let answer = self.answer().await?;
        let (mechanism, first) =
            auth::parse_sasl_initial(&answer).ok_or(ProofError::Malformed("SASL response"))?;
        let mut nonce = [0; scram::NONCE_BYTES];
        rand::fill(&mut nonce).map_err(|_| ProofError::Malformed("no random bytes can be had"))?;
        let name = users.named(&self.user).to_owned();
        let verifier = users.verifier(&name);
        let (challenge, exchange) =
            scram::Exchange::begin(&verifier, mechanism, first, binding.as_deref(), nonce)
                .map_err(ProofError::Scram)?;
        out.clear();
        auth::encode_sasl_data(false, &challenge, &mut out);
        self.send(&out).await?;

        let answer = self.answer().await?;
        let outcome = exchange.finish(&answer).map_err(ProofError::Scram)?;
        out.clear();
        auth::encode_sasl_data(true, &outcome, &mut out);
        self.send(&out).await?;
        Ok(Caller::new(Principal::Password { name }, ProofKind::Scram))
    }

    /// OAUTHBEARER (RFC 7628), as libpq 18 speaks it.
    async fn bearer(&mut self) -> Result<Caller, Failure> {
        let mut out = BytesMut::new();
        auth::encode_sasl(&[OAUTHBEARER.to_owned()], &mut out);
        self.send(&out).await?;
        let answer = self.answer().await?;
        let first = auth::parse_sasl_initial(&answer).filter(|(mechanism, _)| *mechanism == OAUTHBEARER);
        let token = first
            .and_then(|(_, data)| auth::parse_bearer(data))
            .ok_or(ProofError::Malformed("OAUTHBEARER response"))?;
        let error = match token {
            [] => ProofError::NoToken,
            token => match self.identity.by_token(token).await {
                Ok(caller) => return Ok(caller),
                Err(error) => error,
            },
        };
        // The client may ask whom to ask for a token; it answers, and then reads why it was refused.
        let issuer = self.identity.issuers.first().map(|issuer| issuer.issuer.as_str());
        let status = serde_json::json!({
            "status": "invalid_token",
            "scope": "openid",
            "openid-configuration": issuer.map(|issuer| {
                format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
            }),
        });
        out.clear();
        auth::encode_sasl_data(false, status.to_string().as_bytes(), &mut out);
        self.send(&out).await?;
        match &self.answer().await?[..] {
            DUMMY_RESPONSE => Err(error.into()),
            _ => Err(ProofError::Malformed("OAUTHBEARER response").into()),
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let lost = |error: std::io::Error| Failure::Client(FrameError::Io(error));
        let stream = self.client.stream_mut();
        stream.write_all(bytes).await.map_err(lost)?;
        stream.flush().await.map_err(lost)
    }

    /// Wiped when dropped: it may be a proof.
    async fn answer(&mut self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let frame = self.client.read(AUTH_MESSAGE_BYTES_MAX).await;
        let frame = frame.map_err(Failure::Client)?;
        if frame.tag != tag::PASSWORD_FAMILY {
            return Err(ProofError::Malformed("a password message was expected").into());
        }
        let mut body = frame.body;
        let copy = Zeroizing::new(body.to_vec());
        body.fill(0);
        // Others of its address may have failed meanwhile: a crowd of connections has no more tries than one.
        if (self.is_locked)() {
            return Err(ProofError::Locked.into());
        }
        Ok(copy)
    }
}
