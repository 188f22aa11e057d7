//! New connections, many: each logs in, asks for a row and leaves.

use crate::client::{Client, Way};
use crate::tally::{Failure, Tally};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// More than this many at a time are not begun: the rate is far from being sustained.
const UNDER_WAY_MAX: usize = 8_000;

async fn come_and_go(way: &Way, hold: Duration) -> Result<(), Failure> {
    let mut client = Client::log_in(way).await?;
    client.ask().await?;
    tokio::time::sleep(hold).await;
    client.leave().await;
    Ok(())
}

/// Closed loop: each of the clients connects again when it has left.
pub async fn closed(way: &Arc<Way>, clients: usize, length: Duration, hold: Duration) -> Value {
    let tally = Arc::new(Mutex::new(Tally::default()));
    let begun = Instant::now();
    let mut loops = JoinSet::new();
    for _ in 0..clients {
        let (way, tally) = (way.clone(), tally.clone());
        loops.spawn(async move {
            while begun.elapsed() < length {
                let began = Instant::now();
                let outcome = come_and_go(&way, hold).await;
                tally.lock().unwrap().count(&outcome, began.elapsed());
            }
        });
    }
    loops.join_all().await;
    report(&tally, begun)
}

/// Open loop: the clients of a time that is due begin, however many are still waiting. Waiting counts
/// from the moment that a client was due.
pub async fn at_rate(way: &Arc<Way>, per_second: f64, length: Duration) -> Value {
    let tally = Arc::new(Mutex::new(Tally::default()));
    let mut under_way = JoinSet::new();
    let (begun, mut started, mut most, mut skipped) = (Instant::now(), 0_u32, 0, 0_u64);
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    loop {
        tick.tick().await;
        while under_way.try_join_next().is_some() {}
        let now = begun.elapsed().min(length);
        while f64::from(started) < now.as_secs_f64() * per_second {
            let due = begun + Duration::from_secs_f64(f64::from(started) / per_second);
            started += 1;
            if under_way.len() >= UNDER_WAY_MAX {
                skipped += 1;
                continue;
            }
            let (way, tally) = (way.clone(), tally.clone());
            under_way.spawn(async move {
                let outcome = come_and_go(&way, Duration::ZERO).await;
                tally.lock().unwrap().count(&outcome, due.elapsed());
            });
        }
        most = most.max(under_way.len());
        if now == length {
            break;
        }
    }
    let left = under_way.len();
    under_way.join_all().await;
    let mut report = report(&tally, begun);
    report["due"] = json!(started);
    report["skipped"] = json!(skipped);
    report["most_under_way"] = json!(most);
    report["under_way_at_end"] = json!(left);
    report
}

fn report(tally: &Mutex<Tally>, begun: Instant) -> Value {
    let seconds = begun.elapsed().as_secs_f64();
    let tally = std::mem::take(&mut *tally.lock().unwrap());
    let mut report = tally.report();
    report["seconds"] = json!(seconds);
    report
}
