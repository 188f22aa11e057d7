//! How a client that is turned away learns why.

use crate::access::audit::Record;
use crate::domain::reason::CloseReason;
use crate::domain::session_id::SessionId;
use crate::error::Refusal;
use crate::platform::tls::server::RefusedCertificate;
use crate::platform::tls::stream::ClientStream;
use crate::platform::wire::error::encode_refusal;
use bytes::BytesMut;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

/// How long a client may take to take its last words.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client that was told the end may take to close its own side.
const LINGER: Duration = Duration::from_secs(1);
/// How much of what it still sends is read away meanwhile.
const LINGER_BYTES: usize = 256 * 1024;

/// A connection that will not become a session.
#[derive(Debug)]
pub enum Refused {
    /// Nobody to answer, or nobody who would understand: the socket is closed.
    Silently(CloseReason),
    /// Its certificate was refused; TLS has told it so.
    InTls(Box<Record>, RefusedCertificate),
    /// The client reads an ErrorResponse.
    Told(Box<Turned>),
}

/// The client, and what it is told.
#[derive(Debug)]
pub struct Turned {
    pub stream: ClientStream,
    pub refusal: Refusal,
    pub session: SessionId,
    pub record: Option<Record>,
}

impl Refused {
    pub fn told(stream: ClientStream, record: Record, refusal: Refusal) -> Self {
        Self::Told(Box::new(Turned {
            stream,
            refusal,
            session: record.session(),
            record: Some(record),
        }))
    }

    /// Answers the client and ends the attempt.
    pub async fn tell(self, deadline: Instant) -> CloseReason {
        match self {
            Self::Silently(reason) => reason,
            Self::InTls(record, certificate) => {
                record.refused_in_tls(certificate).await;
                CloseReason::ClientTls
            }
            Self::Told(turned) => {
                let Turned {
                    stream,
                    refusal,
                    session,
                    record,
                } = *turned;
                let reason = refusal.reason;
                if let Some(record) = record {
                    record.refused(&refusal).await;
                }
                let grace = Instant::now()
                    .checked_add(LINGER)
                    .map_or(deadline, |g| g.max(deadline));
                let mut message = BytesMut::new();
                encode_refusal(&refusal, session, &mut message);
                let _ = tokio::time::timeout_at(grace, say_and_close(stream, &message)).await;
                reason
            }
        }
    }
}

/// Writes the last message and closes so that it arrives: closing a socket with unread input makes
/// the kernel send a reset, which can overtake what was written.
pub async fn say_and_close(mut stream: ClientStream, message: &[u8]) {
    let said = timeout(PATIENCE, async {
        stream.write_all(message).await?;
        stream.shutdown().await
    });
    // A client that takes nothing must not keep its place for that.
    if !matches!(said.await, Ok(Ok(()))) {
        return;
    }
    let _ = timeout(LINGER, async {
        let (mut sink, mut total) = ([0; 1024], 0usize);
        while let Ok(n) = stream.read(&mut sink).await {
            total = total.saturating_add(n);
            if n == 0 || total > LINGER_BYTES {
                break;
            }
        }
    })
    .await;
}
