//! Notices that a client is gone although nothing is read from it or written to it: its end was read,
//! or hides behind bytes that the server does not take, and nothing moves any more.
//!
//! TCP does not tell a client that has only shut its sending side from one that is gone. The first
//! still gets what the server sends; as long as something moves, or waits for it, it counts as there.

use crate::platform::tls::stream::ClientStream;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// How long nothing may move. With the cancel that follows, below a second.
const PATIENCE: Duration = Duration::from_millis(500);

/// A stream that knows whether its peer has sent its end, read or not.
pub trait HalfClosed {
    fn peer_has_ended(&self) -> bool;
}

/// What the direction from client to server looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    None,
    /// The client's end was read.
    EndRead,
    /// Bytes of the client wait for the server, so its end may be unread.
    Blocked,
}

impl HalfClosed for ClientStream {
    fn peer_has_ended(&self) -> bool {
        Self::peer_has_ended(self)
    }
}

/// Runs only while there is a sign; a session that flows has no timer.
#[derive(Debug, Default)]
pub struct Vigil {
    /// Kept once it was needed: a server that takes bulk data blocks again and again.
    timer: Option<Pin<Box<Sleep>>>,
    watching: bool,
    moved: u64,
}

impl Vigil {
    /// Whether the client has sent its end, and nothing has moved for the whole of the patience.
    pub fn is_over(
        &mut self,
        cx: &mut Context<'_>,
        sign: Sign,
        moved: u64,
        client_is_owed: bool,
        client: &impl HalfClosed,
    ) -> bool {
        if sign == Sign::None {
            self.watching = false;
            return false;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        if !self.watching {
            self.watching = true;
            self.moved = moved;
            timer.as_mut().reset(soon());
        }
        while timer.as_mut().poll(cx).is_ready() {
            let still = moved == self.moved && !client_is_owed;
            if still && (sign == Sign::EndRead || client.peer_has_ended()) {
                return true;
            }
            self.moved = moved;
            timer.as_mut().reset(soon());
        }
        false
    }
}

fn soon() -> Instant {
    let now = Instant::now();
    now.checked_add(PATIENCE).unwrap_or(now)
}
