use super::*;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

const START: SystemTime = SystemTime::UNIX_EPOCH;

/// A clock, a source that can be told to fail, and a cache of values that live 100 s less 10 s.
struct Bench {
    now: Arc<Mutex<SystemTime>>,
    fills: Arc<AtomicU32>,
    failing: Arc<AtomicBool>,
    cache: RefreshingCache<&'static str, (u32, SystemTime), String>,
}

impl Bench {
    fn new() -> Self {
        let now = Arc::new(Mutex::new(START));
        let clock = Clock::from_fn({
            let now = now.clone();
            move || *now.lock().unwrap()
        });
        let background = Background::new(tokio::runtime::Handle::current());
        let life = Life::new(Duration::from_secs(10), |(_, end): &(u32, SystemTime)| Some(*end));
        Self {
            now,
            fills: Arc::default(),
            failing: Arc::default(),
            cache: RefreshingCache::new(life, clock, background),
        }
    }

    fn at(&self, seconds: u64) {
        *self.now.lock().unwrap() = START + Duration::from_secs(seconds);
    }

    async fn get(&self) -> Result<(u32, Freshness), String> {
        let (now, fills, failing) = (self.now.clone(), self.fills.clone(), self.failing.clone());
        let fill = move || {
            let (now, fills, failing) = (now.clone(), fills.clone(), failing.clone());
            async move {
                let number = fills.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
                if failing.load(Ordering::SeqCst) {
                    return Err(format!("failure {number}"));
                }
                Ok((number, *now.lock().unwrap() + Duration::from_secs(100)))
            }
        };
        let ((number, _), freshness) = self.cache.get(&"key", fill).await?;
        Ok((number, freshness))
    }

    fn fills(&self) -> u32 {
        self.fills.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_hundred_at_once_cause_one_fill() {
    let bench = Arc::new(Bench::new());
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let bench = bench.clone();
            tokio::spawn(async move { bench.get().await.unwrap().0 })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 1);
    }
    assert_eq!(bench.fills(), 1);
}

#[tokio::test]
async fn a_value_is_not_used_within_the_margin_of_its_end() {
    let bench = Bench::new();
    assert_eq!(bench.get().await, Ok((1, Freshness::Fresh)));
    bench.at(60);
    assert_eq!(bench.get().await, Ok((1, Freshness::Cached)));
    bench.at(90);
    assert_eq!(bench.get().await, Ok((2, Freshness::Fresh)));
}

#[tokio::test(start_paused = true)]
async fn the_last_quarter_of_a_life_starts_one_refresh_in_the_background() {
    let bench = Bench::new();
    bench.get().await.unwrap();
    bench.at(70);
    for _ in 0..5 {
        assert_eq!(bench.get().await, Ok((1, Freshness::Cached)));
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(bench.get().await, Ok((2, Freshness::Cached)));
    assert_eq!(bench.fills(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_valid_value_survives_a_failed_refresh() {
    let bench = Bench::new();
    bench.get().await.unwrap();
    bench.failing.store(true, Ordering::SeqCst);
    bench.at(70);
    bench.get().await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(bench.get().await, Ok((1, Freshness::Cached)));
    assert_eq!(bench.fills(), 2, "the failed refresh is not repeated at once");
    tokio::time::sleep(Duration::from_secs(16)).await;
    bench.failing.store(false, Ordering::SeqCst);
    bench.get().await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(bench.get().await, Ok((3, Freshness::Cached)));
}

#[tokio::test]
async fn failures_are_remembered_briefly_and_longer_each_time() {
    let bench = Bench::new();
    bench.failing.store(true, Ordering::SeqCst);
    assert_eq!(bench.get().await, Err("failure 1".into()));
    assert_eq!(bench.get().await, Err("failure 1".into()));
    bench.at(1);
    assert_eq!(bench.get().await, Err("failure 2".into()));
    bench.at(2);
    assert_eq!(
        bench.get().await,
        Err("failure 2".into()),
        "the pause is two seconds now"
    );
    bench.at(3);
    bench.failing.store(false, Ordering::SeqCst);
    assert_eq!(bench.get().await, Ok((3, Freshness::Fresh)));
}

#[tokio::test]
async fn only_the_value_meant_is_forgotten() {
    let bench = Bench::new();
    bench.get().await.unwrap();
    bench.cache.forget_if(&"key", |(number, _)| *number == 7).await;
    assert_eq!(bench.get().await, Ok((1, Freshness::Cached)));
    bench.cache.forget_if(&"key", |(number, _)| *number == 1).await;
    assert_eq!(bench.get().await, Ok((2, Freshness::Fresh)));
}
