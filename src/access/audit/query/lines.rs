//! Lines of bounded length.

use std::io::{self, BufRead, ErrorKind};

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    /// Passed over.
    TooLong,
}

/// Reads lines and holds one at a time.
#[derive(Debug)]
pub(super) struct Lines<R> {
    from: R,
    bytes_max: usize,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(from: R, bytes_max: usize) -> Self {
        Self {
            from,
            bytes_max,
            line: Vec::new(),
        }
    }

    /// `None` at the end. The last line needs no end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let mut is_too_long = false;
        let mut is_begun = false;
        loop {
            let found = match self.from.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                found => found?,
            };
            if found.is_empty() {
                break;
            }
            is_begun = true;
            let end = found.iter().position(|byte| *byte == b'\n');
            let piece = found.get(..end.unwrap_or(found.len())).unwrap_or_default();
            if self.line.len().saturating_add(piece.len()) > self.bytes_max {
                is_too_long = true;
            } else if !is_too_long {
                self.line.extend_from_slice(piece);
            }
            let used = piece.len().saturating_add(usize::from(end.is_some()));
            self.from.consume(used);
            if end.is_some() {
                break;
            }
        }
        Ok(match (is_begun, is_too_long) {
            (false, _) => None,
            (true, true) => Some(Line::TooLong),
            (true, false) => Some(Line::Whole(&self.line)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    #[test]
    fn lines_are_cut_at_their_ends_whatever_the_pieces() {
        for buffer in 1..20 {
            let text: &[u8] = b"one\n\n12345\n123456\nlast";
            let mut lines = Lines::new(BufReader::with_capacity(buffer, text), 5);
            assert_eq!(lines.next().unwrap(), Some(Line::Whole(b"one")));
            assert_eq!(lines.next().unwrap(), Some(Line::Whole(b"")));
            assert_eq!(lines.next().unwrap(), Some(Line::Whole(b"12345")));
            assert_eq!(lines.next().unwrap(), Some(Line::TooLong));
            assert_eq!(lines.next().unwrap(), Some(Line::Whole(b"last")));
            assert_eq!(lines.next().unwrap(), None);
        }
        assert_eq!(Lines::new(&b""[..], 5).next().unwrap(), None);
    }
}
