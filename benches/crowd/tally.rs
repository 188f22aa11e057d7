//! What became of the clients, and how long it took.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

/// Why a client did not get what it came for.
#[derive(Debug)]
pub enum Failure {
    /// An ErrorResponse: the SQLSTATE and the sentence.
    Refused(String, String),
    WrongAnswer,
    /// The rest of these are without a word.
    Closed,
    Reset,
    Timeout,
    NotAccepted,
    Tls,
    /// This program ran out of something.
    Own(String),
}

impl Failure {
    pub fn refused(body: &[u8]) -> Self {
        let field = |wanted: u8| {
            let fields = body
                .split(|byte| *byte == 0)
                .filter_map(|field| field.split_first());
            let found = fields
                .filter(|(kind, _)| **kind == wanted)
                .map(|(_, text)| text)
                .next();
            String::from_utf8_lossy(found.unwrap_or_default()).into_owned()
        };
        Self::Refused(field(b'C'), field(b'M'))
    }

    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    pub fn own(error: io::Error) -> Self {
        Self::Own(error.to_string())
    }

    fn label(&self) -> String {
        match self {
            Self::Refused(state, text) => format!("refused {state} {text}"),
            Self::WrongAnswer => "wrong answer".to_owned(),
            Self::Closed => "lost: closed".to_owned(),
            Self::Reset => "lost: reset".to_owned(),
            Self::Timeout => "lost: timeout".to_owned(),
            Self::NotAccepted => "lost: not accepted".to_owned(),
            Self::Tls => "lost: TLS".to_owned(),
            Self::Own(error) => format!("own: {error}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Reset,
            io::ErrorKind::ConnectionRefused => Self::NotAccepted,
            io::ErrorKind::InvalidData => Self::Tls,
            _ => Self::own(error),
        }
    }
}

#[derive(Default)]
pub struct Tally {
    outcomes: BTreeMap<String, u64>,
    /// Of those who were served, in microseconds.
    took: Vec<u64>,
}

impl Tally {
    pub fn count(&mut self, outcome: &Result<(), Failure>, took: Duration) {
        let label = match outcome {
            Ok(()) => {
                self.took.push(u64::try_from(took.as_micros()).unwrap());
                "served".to_owned()
            }
            Err(failure) => failure.label(),
        };
        *self.outcomes.entry(label).or_default() += 1;
    }

    pub fn report(mut self) -> Value {
        self.took.sort_unstable();
        let at = |share: usize| {
            self.took
                .get((self.took.len() * share / 1_000).min(self.took.len().max(1) - 1))
        };
        json!({
            "outcomes": self.outcomes,
            "p50_us": at(500), "p99_us": at(990), "p999_us": at(999), "max_us": self.took.last(),
        })
    }
}
