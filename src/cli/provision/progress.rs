//! How a run goes on: a line a step, on a terminal in one place.

use crate::cli::output::{self, printable};
use crate::provision::apply::Progress;

pub struct Ticker {
    in_place: bool,
    /// Steps of a part of the plan that has been run before.
    done: usize,
    of: usize,
}

impl Ticker {
    pub fn new(of: usize) -> Self {
        Self {
            in_place: output::is_terminal(),
            done: 0,
            of,
        }
    }

    pub fn tell(&mut self, progress: Progress<'_>) {
        let number = |number: usize| format!("[{}/{}]", self.done.saturating_add(number), self.of);
        match progress {
            Progress::Began { number: at, step, .. } => {
                let text = format!("{} {}", number(at), printable(&step.title));
                match self.in_place {
                    true => output::in_place(&text),
                    false => output::note(&text),
                }
            }
            Progress::Already { number: at, .. } => {
                self.note(&format!("{} somebody else has done this meanwhile", number(at)));
            }
            Progress::Waiting { number: at, blockers } => {
                let pids: Vec<String> = blockers.iter().map(ToString::to_string).collect();
                let pids = pids.join(", ");
                self.note(&format!(
                    "{} waits for a lock of server process {pids}",
                    number(at)
                ));
            }
            Progress::Committed { .. } => {}
        }
    }

    /// Before the next part.
    pub fn go_on(&mut self, steps: usize) {
        self.done = self.done.saturating_add(steps);
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
