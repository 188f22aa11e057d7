//! Whole messages of bounded size from a stream, for the phases before the relay.

use bytes::{Buf, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Largest message accepted in an authentication exchange: PostgreSQL's own limit for a password
/// message is 65,535; RDS tokens with session credentials reach a few thousand.
pub const AUTH_MESSAGE_BYTES_MAX: usize = 65_535;

/// Why no message could be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("the connection was closed")]
    Closed,
    #[error("the connection was closed inside a message")]
    Truncated,
    #[error("message {tag:?} of {length} bytes, allowed are {limit}")]
    TooLong { tag: char, length: u32, limit: usize },
    #[error("message {tag:?} with the impossible length {length}")]
    BadLength { tag: char, length: u32 },
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

/// One message: its type byte and its body without the length.
#[derive(Debug)]
pub struct Frame {
    pub tag: u8,
    pub body: BytesMut,
}

/// A stream with what was read from it beyond the last message.
#[derive(Debug)]
pub struct FrameReader<S> {
    stream: S,
    buffer: BytesMut,
}

impl<S: AsyncRead + Unpin> FrameReader<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
        }
    }

    /// Reads the next message. Cancel safe: bytes read so far stay in the buffer.
    pub async fn read(&mut self, limit: usize) -> Result<Frame, FrameError> {
        loop {
            if let Some(frame) = take_frame(&mut self.buffer, limit)? {
                return Ok(frame);
            }
            let was_empty = self.buffer.is_empty();
            let read = match self.stream.read_buf(&mut self.buffer).await {
                // An end without TLS's goodbye is an end.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
                read => read?,
            };
            if read == 0 {
                return Err(if was_empty {
                    FrameError::Closed
                } else {
                    FrameError::Truncated
                });
            }
        }
    }

    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The stream; bytes that came behind the last message are lost.
    pub fn into_stream(self) -> S {
        self.stream
    }

    /// The stream and the bytes that came behind the last message.
    pub fn into_parts(self) -> (S, BytesMut) {
        (self.stream, self.buffer)
    }
}

/// Cuts one message from the front of `buffer`, or `None` while it is incomplete. The length is
/// judged before the body arrives, so a peer cannot make the buffer grow beyond `limit`.
pub fn take_frame(buffer: &mut BytesMut, limit: usize) -> Result<Option<Frame>, FrameError> {
    let Some((&[tag, l0, l1, l2, l3], _)) = buffer.split_first_chunk::<5>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([l0, l1, l2, l3]);
    let shown = char::from(tag);
    let body = match usize::try_from(length).ok().and_then(|n| n.checked_sub(4)) {
        None => return Err(FrameError::BadLength { tag: shown, length }),
        Some(body) if body > limit => {
            return Err(FrameError::TooLong {
                tag: shown,
                length,
                limit,
            });
        }
        Some(body) => body,
    };
    if buffer.len() < body.saturating_add(5) {
        buffer.reserve(body.saturating_add(5).saturating_sub(buffer.len()));
        return Ok(None);
    }
    buffer.advance(5);
    Ok(Some(Frame {
        tag,
        body: buffer.split_to(body),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_are_cut_exactly_and_the_rest_is_kept() {
        let bytes: &[u8] = b"Z\0\0\0\x05IR\0\0\0\x08\0\0\0\0more";
        let mut reader = FrameReader::new(bytes);
        assert_eq!(reader.read(10).await.unwrap().tag, b'Z');
        assert_eq!(&reader.read(10).await.unwrap().body[..], [0; 4]);
        assert_eq!(&reader.into_parts().1[..], b"more");
    }

    #[tokio::test]
    async fn impossible_and_oversized_lengths_are_errors() {
        let mut short = FrameReader::new(&b"p\0\0\0\x03"[..]);
        assert!(matches!(
            short.read(10).await,
            Err(FrameError::BadLength { tag: 'p', length: 3 })
        ));
        let mut long = FrameReader::new(&b"p\x7f\xff\xff\xff"[..]);
        assert!(matches!(long.read(10).await, Err(FrameError::TooLong { .. })));
    }

    #[tokio::test]
    async fn the_end_inside_a_message_is_not_a_clean_end() {
        let mut inside = FrameReader::new(&b"Z\0\0"[..]);
        assert!(matches!(inside.read(10).await, Err(FrameError::Truncated)));
        let mut clean = FrameReader::new(&b""[..]);
        assert!(matches!(clean.read(10).await, Err(FrameError::Closed)));
    }
}
