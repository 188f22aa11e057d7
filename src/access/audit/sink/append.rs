//! Lines to a file, one write a line; what a full disk left of one does not spoil the next.

use std::io::{self, ErrorKind, Write};

/// Appends lines.
#[derive(Debug)]
pub(super) struct Lines<W> {
    to: W,
    /// The last line was cut short, so the next one begins with an end.
    torn: bool,
    buffer: Vec<u8>,
}

impl<W: Write> Lines<W> {
    pub(super) fn new(to: W, torn: bool) -> Self {
        Self {
            to,
            torn,
            buffer: Vec::new(),
        }
    }

    pub(super) fn get(&self) -> &W {
        &self.to
    }

    /// One call of write, unless the kernel takes only a part; answers how many bytes it was.
    pub(super) fn put(&mut self, line: &str) -> io::Result<usize> {
        self.buffer.clear();
        if self.torn {
            self.buffer.push(b'\n');
        }
        self.buffer.extend_from_slice(line.as_bytes());
        self.buffer.push(b'\n');
        let mut rest = self.buffer.as_slice();
        while !rest.is_empty() {
            match self.to.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    rest = rest.get(taken..).unwrap_or_default();
                    self.torn = !rest.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.buffer.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with so much room.
    struct Disk {
        room: usize,
        holds: Vec<u8>,
        writes: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.writes += 1;
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.holds.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_a_full_disk_cut_ends_before_the_next() {
        let disk = Disk {
            room: 12,
            holds: Vec::new(),
            writes: 0,
        };
        let mut lines = Lines::new(disk, false);
        assert_eq!(lines.put("first").unwrap(), 6);
        assert_eq!(lines.get().writes, 1);
        assert_eq!(
            lines.put("second line").unwrap_err().kind(),
            ErrorKind::StorageFull
        );
        assert!(lines.put("third").is_err());
        lines.to.room = 100;
        assert_eq!(lines.put("fourth").unwrap(), 8);
        assert_eq!(lines.put("fifth").unwrap(), 6);
        assert_eq!(lines.to.holds, b"first\nsecond\nfourth\nfifth\n");
    }
}
