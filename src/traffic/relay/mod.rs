//! Copies both ways until one side ends, without looking into messages beyond their heads.
//!
//! Each direction has its own [`pump`]: one that cannot write never stops the other from reading.
//! Bytes are read into a buffer that all sessions of a thread share; only what the other side does
//! not take at once is kept, so an idle session holds no buffer and a busy one a bounded one.

mod control;
mod pump;
mod vigil;

pub use control::{Control, Wish};
pub use vigil::HalfClosed;

use crate::domain::reason::CloseReason;
use crate::platform::wire::walker::Traffic;
use bytes::BytesMut;
use control::Listening;
use pump::{AtEnd, End, Pump};
use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use vigil::{Sign, Vigil};

/// One TLS record and some: what is read at a time.
const SCRATCH_BYTES: usize = 32 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

/// Bytes that were read beyond the login, to be relayed first.
#[derive(Debug, Default)]
pub struct Leftovers {
    pub from_client: BytesMut,
    pub from_server: BytesMut,
}

/// How a relay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    pub reason: CloseReason,
    pub to_server: u64,
    pub to_client: u64,
    /// The client stands between two messages, so it can be told why.
    pub client_can_be_told: bool,
    /// The server stands between two messages of the client, so a goodbye cannot be taken for the rest of one.
    pub server_can_be_told: bool,
    /// The last message of the server was an ErrorResponse: the client knows why from itself.
    pub server_has_told: bool,
    /// The server still works on something, as far as its messages tell; one that has closed does not.
    pub server_busy: bool,
    /// There is more for it to do behind that, sent ahead.
    pub server_has_more: bool,
}

/// One session's relay.
#[derive(Debug)]
pub struct Relay<'a, C, S> {
    client: &'a mut C,
    server: &'a mut S,
    up: Pump,
    down: Pump,
    traffic: Traffic,
    listening: Listening,
    vigil: Vigil,
}

impl<'a, C, S> Relay<'a, C, S>
where
    C: AsyncRead + AsyncWrite + HalfClosed + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// `ready_status` is the status byte of the ReadyForQuery that ended the login.
    pub fn new(
        client: &'a mut C,
        server: &'a mut S,
        leftovers: Leftovers,
        ready_status: u8,
        control: Arc<Control>,
    ) -> Self {
        let mut traffic = Traffic::after_ready(ready_status);
        // The greeting first: it ends with the ReadyForQuery of the login, which answers nothing of the client's.
        traffic.server_bytes(&leftovers.from_server);
        traffic.client_bytes(&leftovers.from_client);
        Self {
            client,
            server,
            up: Pump::starting_with(leftovers.from_client, AtEnd::PassOn),
            // The client may have to be told why the server has ended.
            down: Pump::starting_with(leftovers.from_server, AtEnd::Deliver),
            traffic,
            listening: Listening::to(control),
            vigil: Vigil::default(),
        }
    }

    /// Runs until the session ends.
    pub async fn run(mut self) -> Ending {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        SCRATCH.with_borrow_mut(|scratch| {
            let traffic = &mut self.traffic;
            let up = self.up.poll(cx, self.client, self.server, scratch, |bytes| {
                traffic.client_bytes(bytes);
            });
            let down = self.down.poll(cx, self.server, self.client, scratch, |bytes| {
                traffic.server_bytes(bytes);
            });
            let ended = self.reason(up, down);
            match ended.or_else(|| self.client_gone(cx)).or_else(|| self.wish(cx)) {
                Some(reason) => Poll::Ready(self.ending(reason)),
                None => Poll::Pending,
            }
        })
    }

    /// A client that has sent its end, while the server neither finishes nor has anything to say, is
    /// gone: PostgreSQL itself would only notice when it next writes.
    fn client_gone(&mut self, cx: &mut Context<'_>) -> Option<CloseReason> {
        let sign = if self.up.has_read_end() {
            Sign::EndRead
        } else if !self.up.is_empty() {
            // Its end may be hidden behind bytes that the server does not take.
            Sign::Blocked
        } else {
            Sign::None
        };
        let moved = self.up.bytes_written().saturating_add(self.down.bytes_written());
        // Bytes that wait for the client prove that its end of the connection still stands: one that was
        // closed would have answered them with a reset.
        let client_is_owed = !self.down.is_delivered();
        if !self.vigil.is_over(cx, sign, moved, client_is_owed, &*self.client) {
            return None;
        }
        Some(match self.traffic.is_busy() {
            true => CloseReason::ClientLost,
            false => CloseReason::ClientClosed,
        })
    }

    /// What the state of both directions means for the session, if it is over.
    fn reason(&self, up: Poll<End>, down: Poll<End>) -> Option<CloseReason> {
        match (up, down) {
            // It has said goodbye, and closed without one of TLS.
            (Poll::Ready(End::ReadFailed), _)
                if self.traffic.client_has_terminated() && !self.traffic.is_busy() =>
            {
                Some(CloseReason::ClientClosed)
            }
            // The client is gone: nobody is left to read what the server still says.
            (_, Poll::Ready(End::WriteFailed)) | (Poll::Ready(End::ReadFailed), _) => {
                Some(CloseReason::ClientLost)
            }
            // A server that answers Terminate may close before the client does, and without a TLS goodbye.
            (_, Poll::Ready(_)) if self.traffic.client_has_terminated() => Some(CloseReason::ClientClosed),
            (_, Poll::Ready(End::ReadFailed)) => Some(CloseReason::ServerLost),
            // All the server had to say has reached the client.
            (up, Poll::Ready(End::Finished)) => Some(match up {
                Poll::Ready(End::Finished) if self.traffic.client_left_it() => CloseReason::ClientClosed,
                _ => CloseReason::ServerClosed,
            }),
            // A server that takes no more may still have something to say; a client that sends no
            // more may still be reading.
            (_, Poll::Pending) => None,
        }
    }

    fn wish(&mut self, cx: &mut Context<'_>) -> Option<CloseReason> {
        match self.listening.poll(cx) {
            Wish::Run => None,
            Wish::EndWhenIdle(_) if !(self.traffic.is_idle() && self.down.is_delivered()) => None,
            Wish::EndWhenIdle(reason) | Wish::EndNow(reason) => Some(reason),
        }
    }

    fn ending(&self, reason: CloseReason) -> Ending {
        Ending {
            reason,
            to_server: self.up.bytes(),
            to_client: self.down.bytes(),
            client_can_be_told: self.traffic.at_server_boundary() && self.down.is_empty(),
            server_can_be_told: self.traffic.at_client_boundary() && self.up.is_empty(),
            server_has_told: self.traffic.server_has_told(),
            server_busy: self.traffic.is_busy() && !self.down.source_is_gone(),
            server_has_more: self.traffic.owed() > 1 || !self.up.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests;
