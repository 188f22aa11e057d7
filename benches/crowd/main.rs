//! Both ends of a crowd: a PostgreSQL server so light that ten thousand sessions fit beside what is
//! measured, and the clients that are counted. `benches/load.py` runs it and says what to do on its
//! standard input, a line a command; every answer is a line of JSON.
//!
//! ```text
//! crowd server CERTIFICATE KEY
//! crowd clients TARGET SOURCES [AUTHORITY]     commands: see `orders`
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a tool for measurements: what cannot be done should fail loudly"
)]

mod client;
mod orders;
mod server;
mod storm;
mod tally;

use std::io::{self, BufRead};
use tokio::sync::mpsc;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    // One thread: the crowd must not take both cores from what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    match words[..] {
        ["server", certificate, key] => runtime.block_on(server::run(certificate, key, commands())),
        ["clients", target, sources] => runtime.block_on(orders::run(target, sources, None, commands())),
        ["clients", target, sources, authority] => {
            runtime.block_on(orders::run(target, sources, Some(authority), commands()));
        }
        // `cargo bench` runs every benchmark, this one for nothing.
        _ => println!("crowd is a part of benches/load.py"),
    }
}

/// The lines of standard input; its end is the end of the program.
fn commands() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            if line.is_ok_and(|line| sender.send(line).is_ok()) {
                continue;
            }
            break;
        }
    });
    receiver
}
