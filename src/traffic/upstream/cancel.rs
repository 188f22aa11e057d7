//! A CancelRequest to the server that a session uses, over TLS like the session itself.

use super::dial::{Connector, DialError};
use crate::domain::cancel_key::CancelKey;
use crate::domain::target::Target;
use crate::platform::wire::greeting::encode_cancel_request;
use bytes::BytesMut;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// A server acts on a cancel within milliseconds; longer means that it is gone.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a session's queries run, and the server's own key for them.
#[derive(Debug)]
pub struct CancelRoute {
    pub target: Arc<Target>,
    pub address: SocketAddr,
    pub key: CancelKey,
}

/// Why a cancel did not reach its server.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    #[error("the server could not be reached for the cancel")]
    Dial(#[from] DialError),
    #[error("the cancel could not be sent")]
    Send(#[from] std::io::Error),
    #[error("the server did not take the cancel in time")]
    Timeout,
}

impl Connector {
    /// Sends the request and waits until the server has taken it, which it says by closing.
    pub async fn cancel(&self, route: &CancelRoute) -> Result<(), CancelError> {
        let deadline = Instant::now()
            .checked_add(CANCEL_TIMEOUT)
            .unwrap_or_else(Instant::now);
        let mut stream = self.redial(&route.target, route.address, deadline).await?;
        let mut request = BytesMut::new();
        encode_cancel_request(&route.key, &mut request);
        timeout_at(deadline, async {
            stream.write_all(&request).await?;
            stream.flush().await?;
            // The server answers nothing and closes, with or without a TLS goodbye.
            let _ = stream.read(&mut [0; 1]).await;
            Ok(())
        })
        .await
        .map_err(|_| CancelError::Timeout)?
    }
}
