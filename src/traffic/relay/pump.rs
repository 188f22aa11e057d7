//! One direction of a relay.

use bytes::{Buf, BytesMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Chunks that one direction moves before the other gets its turn.
const CHUNKS_PER_TURN: u8 = 8;

/// What the writing side hears when the reading side has sent its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    /// The end, too.
    PassOn,
    /// All bytes; the end comes from whoever has more to say.
    Deliver,
}

/// How a direction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The reading side sent its end, and the writing side has heard what [`AtEnd`] says.
    Finished,
    ReadFailed,
    WriteFailed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// The end was read; what is pending must go out before the other side hears of it.
    EndRead,
    Ended(End),
}

/// Reads one side, writes the other.
#[derive(Debug)]
pub struct Pump {
    /// What was read and not yet taken by the writing side; never more than one scratch buffer.
    pending: BytesMut,
    stage: Stage,
    at_end: AtEnd,
    bytes: u64,
    unflushed: bool,
}

impl Pump {
    /// `pending` was read before the relay began.
    pub fn starting_with(pending: BytesMut, at_end: AtEnd) -> Self {
        Self {
            bytes: pending.len() as u64,
            pending: match pending.is_empty() {
                // Without the allocation that it may have.
                true => BytesMut::new(),
                false => pending,
            },
            stage: Stage::Open,
            at_end,
            unflushed: true,
        }
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes that the writing side has taken so far.
    pub fn bytes_written(&self) -> u64 {
        self.bytes.saturating_sub(self.pending.len() as u64)
    }

    /// The reading side has sent its end.
    pub fn has_read_end(&self) -> bool {
        matches!(self.stage, Stage::EndRead | Stage::Ended(End::Finished))
    }

    /// The reading side has sent its end, or its connection has failed: it is not there any more.
    pub fn source_is_gone(&self) -> bool {
        self.has_read_end() || self.stage == Stage::Ended(End::ReadFailed)
    }

    /// Everything read has been taken by the writing side.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// And none of it waits in the writing side's TLS for room in the socket.
    pub fn is_delivered(&self) -> bool {
        self.pending.is_empty() && !self.unflushed
    }

    /// Moves bytes until a side would block, or its share of this turn is used up: a direction that is
    /// always ready must not keep the other from its turn. `seen` is shown every chunk once.
    pub fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        scratch: &mut [u8],
        mut seen: impl FnMut(&[u8]),
    ) -> Poll<End>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut chunks = 0u8;
        loop {
            match self.stage {
                Stage::Ended(end) => return Poll::Ready(end),
                Stage::Open if chunks == CHUNKS_PER_TURN => {
                    self.flush(cx, to);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Stage::EndRead => {
                    let heard = self.write_pending(cx, to).is_ready()
                        && match self.at_end {
                            AtEnd::PassOn => Pin::new(&mut *to).poll_shutdown(cx).is_ready(),
                            AtEnd::Deliver => {
                                self.flush(cx, to);
                                !self.unflushed || self.stage != Stage::EndRead
                            }
                        };
                    if !heard {
                        return Poll::Pending;
                    }
                    if self.stage == Stage::EndRead {
                        self.stage = Stage::Ended(End::Finished);
                    }
                }
                Stage::Open => {
                    ready!(self.write_pending(cx, to));
                    chunks = chunks.saturating_add(1);
                    if self.stage == Stage::Open {
                        ready!(self.read_once(cx, from, to, scratch, &mut seen));
                    }
                }
            }
        }
    }

    /// Reads one chunk and offers it to the writing side at once.
    fn read_once<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        scratch: &mut [u8],
        seen: &mut impl FnMut(&[u8]),
    ) -> Poll<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut buffer = ReadBuf::new(scratch);
        match Pin::new(from).poll_read(cx, &mut buffer) {
            Poll::Pending => {
                self.flush(cx, to);
                return Poll::Pending;
            }
            Poll::Ready(Err(_)) => self.stage = Stage::Ended(End::ReadFailed),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => self.stage = Stage::EndRead,
            Poll::Ready(Ok(())) => {
                let chunk = buffer.filled();
                seen(chunk);
                self.bytes = self.bytes.saturating_add(chunk.len() as u64);
                self.unflushed = true;
                match Pin::new(to).poll_write(cx, chunk) {
                    Poll::Ready(Ok(taken)) if taken == chunk.len() => {}
                    Poll::Ready(Ok(taken)) => self.keep(chunk.get(taken..)),
                    Poll::Pending => self.keep(Some(chunk)),
                    Poll::Ready(Err(_)) => self.stage = Stage::Ended(End::WriteFailed),
                }
            }
        }
        Poll::Ready(())
    }

    fn keep(&mut self, rest: Option<&[u8]>) {
        self.pending.extend_from_slice(rest.unwrap_or_default());
    }

    /// Ready when nothing is pending any more (or writing failed).
    fn write_pending<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, to: &mut W) -> Poll<()> {
        if self.pending.is_empty() {
            return Poll::Ready(());
        }
        while !self.pending.is_empty() {
            match ready!(Pin::new(&mut *to).poll_write(cx, &self.pending)) {
                Ok(taken) if taken > 0 => self.pending.advance(taken),
                _ => {
                    self.pending.clear();
                    self.stage = Stage::Ended(End::WriteFailed);
                }
            }
        }
        // Give the memory back: most sessions never need it again.
        self.pending = BytesMut::new();
        Poll::Ready(())
    }

    /// TLS may hold back bytes that the socket did not take.
    fn flush<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, to: &mut W) {
        if self.unflushed {
            match Pin::new(to).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(_)) => self.stage = Stage::Ended(End::WriteFailed),
            }
        }
    }
}
