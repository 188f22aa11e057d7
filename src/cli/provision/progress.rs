//! How a run goes on: a line a step, on a terminal in one place.

use crate::cli::output::{self, printable};
use crate::error::Chain;
use crate::provision::apply::Progress;
use crate::provision::name::RoleName;
use crate::provision::sessions::{EndError, Ended};

pub struct Ticker {
    in_place: bool,
    /// Sessions of db users whose roles were dropped.
    pub ended: u64,
}

impl Ticker {
    pub fn new() -> Self {
        Self {
            in_place: output::is_terminal(),
            ended: 0,
        }
    }

    pub fn tell(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Began { number, of, step } => {
                self.began("", number, of, &step.title);
            }
            Progress::Already { number, .. } => {
                self.note(&format!("step {number}: somebody else has done this meanwhile"));
            }
            Progress::Waiting { number, blockers } => {
                let pids: Vec<String> = blockers.iter().map(ToString::to_string).collect();
                let pids = pids.join(", ");
                self.note(&format!(
                    "step {number} waits for a lock of server process {pids}"
                ));
            }
            Progress::Ended { user, ended } => self.ended(user, ended),
            Progress::Committed { .. } => {}
        }
    }

    /// A step; `plane` says of what where it is not the database.
    pub fn began(&self, plane: &str, number: usize, of: usize, title: &str) {
        let text = format!("[{plane}{number}/{of}] {}", printable(title));
        match self.in_place {
            true => output::in_place(&text),
            false => output::note(&text),
        }
    }

    fn ended(&mut self, user: &RoleName, ended: Result<Ended, &EndError>) {
        let user = printable(user.as_str());
        match ended {
            Ok(Ended { ended: 0, left: 0 }) => {}
            Ok(Ended { ended, left }) => {
                self.ended = self.ended.saturating_add(ended);
                self.note(&format!("\"{user}\": {}", sessions(ended, left)));
            }
            Err(error) => self.note(&format!(
                "sessions of \"{user}\" may be open still: {}",
                Chain(error)
            )),
        }
    }

    /// Before anything else is said.
    pub fn clear(&self) {
        if self.in_place {
            output::in_place("");
        }
    }

    fn note(&self, text: &str) {
        self.clear();
        output::note(text);
    }
}

/// `2 sessions ended`
pub fn sessions(ended: u64, left: u64) -> String {
    let ended = match ended {
        0 => "no session ended".to_owned(),
        1 => "1 session ended".to_owned(),
        many => format!("{many} sessions ended"),
    };
    match left {
        0 => ended,
        left => format!("{ended}, {left} told to end and not gone yet"),
    }
}
