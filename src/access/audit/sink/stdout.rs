//! Lines to stdout, past the buffer of the standard library, which would keep what was not written.

use super::SinkError;
use super::append::Lines;
use super::writer::Sink;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

#[derive(Debug)]
pub(super) struct Stdout(Lines<File>);

impl Stdout {
    pub(super) fn open() -> Result<Self, SinkError> {
        let copy = io::stdout().as_fd().try_clone_to_owned().map_err(failed)?;
        Ok(Self(Lines::new(File::from(copy), false)))
    }
}

impl Sink for Stdout {
    fn write(&mut self, line: &str) -> Result<(), SinkError> {
        self.0.put(line).map(drop).map_err(failed)
    }
}

fn failed(source: io::Error) -> SinkError {
    SinkError::Write {
        sink: "stdout".to_owned(),
        source,
    }
}
