//! One reader at a time, and none that is waited for without end.

use crate::platform::task::{aside, within};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// How long a reading may take, with the wait for its turn: the disk of a network can be gone for hours.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whoever has it may put into force what was read. Without it, what one read first another could put into force last.
#[derive(Debug, Clone, Default)]
pub struct Turn(Arc<Mutex<()>>);

/// That it is somebody's turn.
pub type Held = OwnedMutexGuard<()>;

impl Turn {
    /// Reads when it is time. The turn is over when the reading really is, so that readings that hang do not heap up;
    /// what comes too late counts for nothing.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Option<(Held, T)> {
        let reading = async {
            let held = self.0.clone().lock_owned().await;
            aside(move || (held, read())).await
        };
        within(PATIENCE, reading).await.flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn one_reads_after_the_other() {
        let turn = Turn::default();
        let (held, first) = turn.read(|| 1).await.unwrap();
        let second = tokio::spawn({
            let turn = turn.clone();
            async move { turn.read(|| 2).await.map(|(_, read)| read) }
        });
        tokio::task::yield_now().await;
        assert_eq!((first, second.is_finished()), (1, false));
        drop(held);
        assert_eq!(second.await.unwrap(), Some(2));
    }

    /// The clock stands still but for those who wait.
    #[tokio::test(start_paused = true)]
    async fn a_reading_that_hangs_is_given_up_and_keeps_its_turn() {
        let (turn, (release, hangs)) = (Turn::default(), mpsc::channel::<()>());
        let hung = tokio::time::timeout(Duration::from_secs(1), turn.read(move || hangs.recv()));
        // Work aside stops the clock that the test moves itself.
        let (hung, ()) = tokio::join!(hung, tokio::time::advance(Duration::from_secs(2)));
        assert!(hung.is_err());
        let begun = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let next = tokio::spawn({
            let (turn, begun) = (turn.clone(), begun.clone());
            let read = move || begun.store(true, std::sync::atomic::Ordering::SeqCst);
            async move { turn.read(read).await.is_some() }
        });
        tokio::task::yield_now().await;
        tokio::time::advance(PATIENCE).await;
        assert!(!next.await.unwrap(), "it waited for its turn, and not for ever");
        assert!(!begun.load(std::sync::atomic::Ordering::SeqCst));
        drop(release);
        assert!(turn.read(|| ()).await.is_some());
    }
}
