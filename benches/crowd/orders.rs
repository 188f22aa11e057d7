//! What `benches/load.py` can have done by clients.

use crate::client::{Client, Way};
use crate::storm;
use crate::tally::{Failure, Tally};
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

/// Logins under way at a time while a crowd gathers.
const AT_A_TIME: usize = 64;

/// Answers each of these with a line of JSON:
///
/// ```text
/// open N                          N more clients that log in and stay
/// ask                             each of them asks for a row
/// one                             a new client logs in, asks twice, leaves; the second row's time
/// leave                           all leave
/// closed CLIENTS SECONDS HOLD     new connections, one after the other for each client
/// rate PER-SECOND SECONDS         new connections when they are due, whatever became of the others
/// ```
pub async fn run(
    target: &str,
    sources: &str,
    authority: Option<&str>,
    mut commands: UnboundedReceiver<String>,
) {
    let way = Arc::new(Way::new(target, sources, authority));
    let mut present = Vec::new();
    while let Some(line) = commands.recv().await {
        let words: Vec<_> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["open", number] => open(&way, number.parse().unwrap(), &mut present).await,
            ["ask"] => ask(&mut present).await,
            ["one"] => one(&way).await,
            ["leave"] => leave(&mut present).await,
            ["closed", clients, seconds, hold] => {
                let hold = Duration::from_millis(hold.parse().unwrap());
                storm::closed(&way, clients.parse().unwrap(), length(seconds), hold).await
            }
            ["rate", per_second, seconds] => {
                storm::at_rate(&way, per_second.parse().unwrap(), length(seconds)).await
            }
            _ => json!({"error": line}),
        };
        println!("{answer}");
    }
}

fn length(seconds: &str) -> Duration {
    Duration::from_secs_f64(seconds.parse().unwrap())
}

async fn open(way: &Arc<Way>, number: usize, present: &mut Vec<Client>) -> Value {
    let mut tally = Tally::default();
    let mut logins = JoinSet::new();
    let mut begun = 0;
    loop {
        while begun < number && logins.len() < AT_A_TIME {
            let way = way.clone();
            logins.spawn(timed(async move { Client::log_in(&way).await }));
            begun += 1;
        }
        let Some(Ok((login, took))) = logins.join_next().await else {
            break;
        };
        let outcome = login.map(|client| present.push(client));
        tally.count(&outcome, took);
    }
    with_present(tally.report(), present)
}

async fn ask(present: &mut Vec<Client>) -> Value {
    let mut tally = Tally::default();
    for mut client in std::mem::take(present) {
        let (outcome, took) = timed(client.ask()).await;
        if outcome.is_ok() {
            present.push(client);
        }
        tally.count(&outcome, took);
    }
    with_present(tally.report(), present)
}

async fn one(way: &Way) -> Value {
    let (login, login_took) = timed(Client::log_in(way)).await;
    let outcome = async {
        let mut client = login?;
        client.ask().await?;
        let (answer, took) = timed(client.ask()).await;
        client.leave().await;
        answer.map(|()| took)
    };
    match outcome.await {
        Ok::<_, Failure>(took) => {
            json!({"login_us": micros(login_took), "query_us": micros(took)})
        }
        Err(failure) => json!({"error": format!("{failure:?}")}),
    }
}

async fn leave(present: &mut Vec<Client>) -> Value {
    for client in std::mem::take(present) {
        client.leave().await;
    }
    with_present(json!({}), present)
}

fn with_present(mut report: Value, present: &[Client]) -> Value {
    report["present"] = json!(present.len());
    report
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap()
}

async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    let result = work.await;
    (result, began.elapsed())
}
