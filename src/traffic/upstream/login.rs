//! The startup message, the authentication exchange and the server's greeting.

use super::dial::{Link, ServerStream};
use crate::domain::cancel_key::CancelKey;
use crate::domain::credential::{Credential, ProofFault};
use crate::domain::secret::Secret;
use crate::platform::tls::stream::ClientStream;
use crate::platform::wire::auth::{self, Authentication};
use crate::platform::wire::error::ServerError;
use crate::platform::wire::frame::{AUTH_MESSAGE_BYTES_MAX, Frame, FrameError, FrameReader};
use crate::platform::wire::greeting::{parse_backend_key, tag};
use crate::platform::wire::startup::StartupMessage;
use bytes::BytesMut;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::message::frontend;
use std::io;
use std::net::SocketAddr;
use tokio::io::AsyncWriteExt;

/// Largest greeting that is kept until the login is complete: a few dozen parameters take 2 kB.
const GREETING_BYTES_MAX: usize = 256 * 1024;

/// How libpq 18 shows tokens (RFC 7628).
const OAUTHBEARER: &str = "OAUTHBEARER";
/// Requests of an authentication exchange: SASL takes three, everything else one.
const REQUESTS_MAX: u8 = 8;
/// Iterations of the key derivation that a server may ask for. They are computed on the thread of other
/// sessions: so many take tens of milliseconds. PostgreSQL's default is 4,096.
const SCRAM_ITERATIONS_MAX: u32 = 100_000;

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The server's own word, in an ErrorResponse.
    #[error("the server refused the login")]
    Refused(#[source] Box<ServerError>),
    /// The server asks for something that the credential cannot answer.
    #[error("the server asks for {asked} where an IAM token was expected")]
    TokenNotAsked { asked: &'static str },
    /// The same of a proof.
    #[error("the server asks for {asked} where a proof was to be shown")]
    ProofNotAsked { asked: &'static str },
    #[error("no proof could be made")]
    NoProof(#[source] ProofFault),
    #[error("the server asks for an authentication method ({0}) that dbproxy does not support")]
    UnknownMethod(String),
    #[error("the server asks for {0} iterations of SCRAM-SHA-256, allowed are {SCRAM_ITERATIONS_MAX}")]
    ScramIterations(String),
    #[error("SCRAM authentication failed")]
    Scram(#[source] io::Error),
    #[error("the server's messages before its first ReadyForQuery are malformed: {0}")]
    Malformed(&'static str),
    #[error("the server broke the connection")]
    Server(#[source] FrameError),
    #[error("the client left during the authentication")]
    Client(#[source] FrameError),
    #[error("expected a password message, got message type {0:?}")]
    ClientMessage(char),
    /// See the hint: the client's TLS ends at dbproxy, so channel binding cannot reach the server.
    #[error("the client insists on channel binding")]
    ChannelBinding,
    #[error("the server did not complete the login in time")]
    Timeout,
}

/// A server connection that is ready for the first query.
#[derive(Debug)]
pub struct Login {
    pub stream: ServerStream,
    pub address: SocketAddr,
    pub greeting: Greeting,
    /// Bytes that came behind the ReadyForQuery.
    pub leftover: BytesMut,
}

/// What the server said until its first ReadyForQuery, as it said it.
#[derive(Debug)]
pub struct Greeting {
    /// Whole messages before BackendKeyData and after it; the key itself is the session's to write.
    pub before_key: BytesMut,
    pub after_key: BytesMut,
    pub key: Option<CancelKey>,
    pub ready_status: u8,
}

/// Logs in on `link`. With [`Credential::Passthrough`] the exchange is relayed to `client`.
pub async fn log_in(
    link: Link,
    startup: &StartupMessage,
    user: &str,
    credential: &Credential,
    client: &mut FrameReader<ClientStream>,
) -> Result<Login, LoginError> {
    let mut packet = BytesMut::new();
    startup.encode(&mut packet);
    let mut exchange = Exchange {
        server: FrameReader::new(link.stream),
        client,
        user,
        credential,
        greeting: Greeting {
            before_key: BytesMut::new(),
            after_key: BytesMut::new(),
            key: None,
            ready_status: 0,
        },
    };
    exchange.send(&packet).await?;
    exchange.authenticate().await?;
    exchange.greet().await?;
    let (stream, leftover) = exchange.server.into_parts();
    Ok(Login {
        stream,
        address: link.address,
        greeting: exchange.greeting,
        leftover,
    })
}

struct Exchange<'a> {
    server: FrameReader<ServerStream>,
    client: &'a mut FrameReader<ClientStream>,
    user: &'a str,
    credential: &'a Credential,
    greeting: Greeting,
}

impl Exchange<'_> {
    /// Until AuthenticationOk.
    async fn authenticate(&mut self) -> Result<(), LoginError> {
        let mut requests = 0u8;
        loop {
            let frame = self.receive().await?;
            match frame.tag {
                tag::AUTHENTICATION => match parse_authentication(&frame)? {
                    Authentication::Ok => {
                        self.keep(&frame)?;
                        return Ok(());
                    }
                    _ if requests == REQUESTS_MAX => {
                        return Err(LoginError::Malformed("the exchange does not end"));
                    }
                    // One login needs one; a server that wants more would use them elsewhere.
                    _ if requests > 0 && matches!(self.credential, Credential::Proof(_)) => {
                        return Err(LoginError::Malformed("a second proof is asked for"));
                    }
                    asked => {
                        requests = requests.saturating_add(1);
                        self.answer(asked, &frame).await?;
                    }
                },
                tag::ERROR_RESPONSE => return Err(refused(&frame)),
                tag::NOTICE_RESPONSE | tag::NEGOTIATE_PROTOCOL_VERSION => self.keep(&frame)?,
                _ => return Err(LoginError::Malformed("unexpected message before the login")),
            }
        }
    }

    /// From AuthenticationOk to ReadyForQuery.
    async fn greet(&mut self) -> Result<(), LoginError> {
        loop {
            let frame = self.receive().await?;
            match frame.tag {
                tag::BACKEND_KEY_DATA => {
                    let key = parse_backend_key(&frame.body);
                    self.greeting.key = Some(key.ok_or(LoginError::Malformed("cancel key"))?);
                }
                tag::READY_FOR_QUERY => {
                    let [status @ (b'I' | b'T' | b'E')] = frame.body[..] else {
                        return Err(LoginError::Malformed("ReadyForQuery"));
                    };
                    self.greeting.ready_status = status;
                    return self.keep(&frame);
                }
                tag::ERROR_RESPONSE => return Err(refused(&frame)),
                tag::PARAMETER_STATUS | tag::NOTICE_RESPONSE | tag::NEGOTIATE_PROTOCOL_VERSION => {
                    self.keep(&frame)?;
                }
                _ => return Err(LoginError::Malformed("unexpected message after the login")),
            }
        }
    }

    async fn answer(&mut self, asked: Authentication, frame: &Frame) -> Result<(), LoginError> {
        // Copied out so that the secret borrows nothing of `self`.
        match self.credential {
            Credential::Passthrough => self.relay_exchange(asked, frame).await,
            Credential::AuthToken(token) => match asked {
                // The stream is verified TLS by its type: a token never goes out in clear.
                Authentication::CleartextPassword => self.send(&auth::password_message(&token.secret)).await,
                Authentication::Sasl { .. } => Err(LoginError::TokenNotAsked {
                    asked: "a SCRAM password",
                }),
                Authentication::Md5Password { .. } => Err(LoginError::TokenNotAsked {
                    asked: "an md5 password",
                }),
                other => Err(unknown(&other)),
            },
            Credential::Proof(prover) => match asked {
                // Verified TLS here, too.
                Authentication::CleartextPassword => {
                    let proof = prover.prove().map_err(LoginError::NoProof)?;
                    self.send(&auth::password_message(&proof)).await
                }
                other => Err(LoginError::ProofNotAsked {
                    asked: instead_of_a_proof(&other),
                }),
            },
            Credential::Password(secret) => match asked {
                Authentication::CleartextPassword => self.send(&auth::password_message(secret)).await,
                Authentication::Md5Password { salt } => {
                    self.send(&auth::md5_message(self.user, secret, salt)).await
                }
                Authentication::Sasl { mechanisms } => self.scram(&mechanisms, secret).await,
                other => Err(unknown(&other)),
            },
        }
    }

    /// SCRAM-SHA-256 (RFC 5802) with a stored password; the server's proof is verified too.
    async fn scram(&mut self, mechanisms: &[String], secret: &Secret) -> Result<(), LoginError> {
        if !mechanisms.iter().any(|name| name == auth::SCRAM_SHA_256) {
            return Err(LoginError::UnknownMethod(mechanisms.join(", ")));
        }
        let mut scram = ScramSha256::new(secret.expose(), ChannelBinding::unsupported());
        let mut out = BytesMut::new();
        frontend::sasl_initial_response(auth::SCRAM_SHA_256, scram.message(), &mut out)
            .map_err(LoginError::Scram)?;
        self.send(&out).await?;

        let Authentication::SaslContinue(challenge) = self.receive_authentication().await? else {
            return Err(LoginError::Malformed("SASL challenge expected"));
        };
        judge_iterations(&challenge)?;
        scram.update(&challenge).map_err(LoginError::Scram)?;
        out.clear();
        frontend::sasl_response(scram.message(), &mut out).map_err(LoginError::Scram)?;
        self.send(&out).await?;

        let Authentication::SaslFinal(proof) = self.receive_authentication().await? else {
            return Err(LoginError::Malformed("SASL outcome expected"));
        };
        scram.finish(&proof).map_err(LoginError::Scram)
    }

    /// Shows the server's request to the client and brings its answer back.
    async fn relay_exchange(&mut self, asked: Authentication, frame: &Frame) -> Result<(), LoginError> {
        let mut offered_binding = false;
        let mut out = self.greeting.before_key.split();
        match &asked {
            Authentication::Sasl { mechanisms } => {
                // Channel binding is about the TLS connection, and the client's ends here.
                let (plus, without): (Vec<_>, Vec<_>) = mechanisms
                    .iter()
                    .cloned()
                    .partition(|name| name == auth::SCRAM_SHA_256_PLUS);
                offered_binding = !plus.is_empty();
                auth::encode_sasl(&without, &mut out);
            }
            Authentication::Other(_) => return Err(unknown(&asked)),
            _ => auth::encode_frame(frame.tag, &frame.body, &mut out),
        }
        let client = |error: io::Error| LoginError::Client(FrameError::Io(error));
        self.client.stream_mut().write_all(&out).await.map_err(client)?;
        self.client.stream_mut().flush().await.map_err(client)?;
        if matches!(asked, Authentication::SaslFinal(_)) {
            return Ok(());
        }
        let answer = self
            .client
            .read(AUTH_MESSAGE_BYTES_MAX)
            .await
            .map_err(LoginError::Client)?;
        if answer.tag != tag::PASSWORD_FAMILY {
            return Err(LoginError::ClientMessage(char::from(answer.tag)));
        }
        // `y` tells the server that somebody hid its offer, and it would refuse with an error
        // that names no remedy.
        if offered_binding && auth::channel_binding_flag(&answer.body) == Some(b'y') {
            return Err(LoginError::ChannelBinding);
        }
        let mut packet = BytesMut::new();
        auth::encode_frame(answer.tag, &answer.body, &mut packet);
        self.send(&packet).await
    }

    async fn receive_authentication(&mut self) -> Result<Authentication, LoginError> {
        let frame = self.receive().await?;
        match frame.tag {
            tag::AUTHENTICATION => parse_authentication(&frame),
            tag::ERROR_RESPONSE => Err(refused(&frame)),
            _ => Err(LoginError::Malformed("authentication message expected")),
        }
    }

    async fn receive(&mut self) -> Result<Frame, LoginError> {
        self.server
            .read(AUTH_MESSAGE_BYTES_MAX)
            .await
            .map_err(LoginError::Server)
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), LoginError> {
        let lost = |error: io::Error| LoginError::Server(FrameError::Io(error));
        let stream = self.server.stream_mut();
        stream.write_all(bytes).await.map_err(lost)?;
        stream.flush().await.map_err(lost)
    }

    fn keep(&mut self, frame: &Frame) -> Result<(), LoginError> {
        let greeting = &mut self.greeting;
        let kept = greeting.before_key.len().saturating_add(greeting.after_key.len());
        if kept.saturating_add(frame.body.len()) > GREETING_BYTES_MAX {
            return Err(LoginError::Malformed("too much before the first ReadyForQuery"));
        }
        let part = match greeting.key {
            None => &mut greeting.before_key,
            Some(_) => &mut greeting.after_key,
        };
        auth::encode_frame(frame.tag, &frame.body, part);
        Ok(())
    }
}

/// The challenge is `r=<nonce>,s=<salt>,i=<iterations>` (RFC 5802 §7).
fn judge_iterations(challenge: &[u8]) -> Result<(), LoginError> {
    let challenge = String::from_utf8_lossy(challenge);
    let given = challenge.split(',').find_map(|part| part.strip_prefix("i="));
    match given.map(str::parse::<u32>) {
        Some(Ok(1..=SCRAM_ITERATIONS_MAX)) => Ok(()),
        Some(_) => {
            let shown = given.unwrap_or_default().chars().take(20).collect();
            Err(LoginError::ScramIterations(shown))
        }
        None => Err(LoginError::Malformed("SASL challenge without its iterations")),
    }
}

fn parse_authentication(frame: &Frame) -> Result<Authentication, LoginError> {
    auth::parse(&frame.body).ok_or(LoginError::Malformed("authentication request"))
}

fn refused(frame: &Frame) -> LoginError {
    LoginError::Refused(Box::new(ServerError::parse(&frame.body)))
}

fn instead_of_a_proof(asked: &Authentication) -> &'static str {
    let offers = |mechanisms: &[String], wanted: &str| mechanisms.iter().any(|name| name.starts_with(wanted));
    match asked {
        Authentication::Sasl { mechanisms } if offers(mechanisms, OAUTHBEARER) => "a token by OAUTHBEARER",
        Authentication::Sasl { mechanisms } if offers(mechanisms, auth::SCRAM_SHA_256) => "a SCRAM password",
        Authentication::Md5Password { .. } => "an md5 password",
        _ => "another authentication method",
    }
}

fn unknown(asked: &Authentication) -> LoginError {
    LoginError::UnknownMethod(match asked {
        Authentication::Other(code) => format!("code {code}"),
        other => format!("{other:?}").chars().take(40).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_cannot_have_us_compute_for_minutes() {
        assert!(judge_iterations(b"r=abc,s=c2FsdA==,i=4096").is_ok());
        for asked in ["0", "100001", "4294967295", "99999999999", "-1", "x"] {
            let challenge = format!("r=abc,s=c2FsdA==,i={asked}");
            let error = judge_iterations(challenge.as_bytes()).unwrap_err();
            assert!(matches!(error, LoginError::ScramIterations(_)), "{error}");
        }
        assert!(judge_iterations(b"r=abc,s=c2FsdA==").is_err());
    }
}
