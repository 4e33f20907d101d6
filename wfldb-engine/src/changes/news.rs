//! Who is told after a commit: views that follow the log, and whoever waits for a bucket's next change.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use wfldb_core::id::{BucketId, Seq};

/// A bucket that a commit changed, and its newest `seq`.
pub(crate) type Changed = (BucketId, Seq);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Called after a commit; `false`: never again.
type Listener = Box<dyn Fn() -> bool + Send + Sync>;

/// What becomes known by commits. Told after a batch is durable.
#[derive(Default)]
pub(crate) struct News {
    listeners: Mutex<Vec<Listener>>,
    buckets: Mutex<HashMap<BucketId, watch::Sender<Seq>>>,
    /// How many buckets somebody waits for, so that a commit nobody waits for takes no lock.
    awaited: AtomicUsize,
}

impl News {
    /// Has `listener` called after each commit from now on.
    pub(crate) fn tell(&self, listener: Listener) {
        lock(&self.listeners).push(listener);
    }

    /// Tells of a batch that is durable and can be seen in snapshots.
    pub(crate) fn publish(&self, changed: &[Changed]) {
        lock(&self.listeners).retain(|listener| listener());
        if self.awaited.load(Ordering::SeqCst) == 0 {
            return;
        }
        let buckets = lock(&self.buckets);
        for (bucket, seq) in changed {
            if let Some(news) = buckets.get(bucket) {
                // Later plans of a group come later in the list.
                news.send_replace(*seq);
            }
        }
    }

    /// Whoever waits waits no longer: the store closes.
    pub(crate) fn close(&self) {
        lock(&self.listeners).clear();
        lock(&self.buckets).clear();
        self.awaited.store(0, Ordering::SeqCst);
    }

    /// What comes of a bucket after this call.
    pub(crate) fn of_bucket(self: &Arc<Self>, bucket: BucketId) -> ChangesToCome {
        let mut buckets = lock(&self.buckets);
        let news = buckets
            .entry(bucket)
            .or_insert_with(|| watch::Sender::new(Seq::default()));
        let receiver = news.subscribe();
        self.awaited.store(buckets.len(), Ordering::SeqCst);
        drop(buckets);
        ChangesToCome {
            news: Arc::clone(self),
            bucket,
            receiver,
        }
    }
}

/// The changes of a bucket that are still to come.
pub struct ChangesToCome {
    news: Arc<News>,
    bucket: BucketId,
    receiver: watch::Receiver<Seq>,
}

impl std::fmt::Debug for ChangesToCome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangesToCome").finish_non_exhaustive()
    }
}

impl ChangesToCome {
    /// The bucket, which another one of the same name does not replace.
    #[must_use]
    pub fn bucket(&self) -> BucketId {
        self.bucket
    }

    /// Returns once the bucket was changed since the last return, or since this was made. `false`: the store closes.
    pub async fn changed(&mut self) -> bool {
        self.receiver.changed().await.is_ok()
    }

    /// [`ChangesToCome::changed`] for a thread that may block. `false` also when time is up.
    pub fn wait(&mut self, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut changed = pin!(self.changed());
        loop {
            if let Poll::Ready(changed) = changed.as_mut().poll(&mut context) {
                return changed;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            std::thread::park_timeout(left);
        }
    }
}

impl Drop for ChangesToCome {
    fn drop(&mut self) {
        let mut buckets = lock(&self.news.buckets);
        // Receivers are made and dropped below the lock, so this one is the last where there is one.
        let last = |news: &watch::Sender<Seq>| news.receiver_count() <= 1;
        if buckets.get(&self.bucket).is_some_and(last) {
            buckets.remove(&self.bucket);
        }
        self.news.awaited.store(buckets.len(), Ordering::SeqCst);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKET: BucketId = BucketId::from_bytes([7; 16]);

    /// Defects they catch: news that is lost between the subscription and the wait; a bucket that stays awaited when
    /// nobody waits any more; a waiter that sleeps on when the store closes.
    #[test]
    fn what_comes_after_the_subscription_is_not_missed() {
        let news = Arc::new(News::default());
        let mut one = news.of_bucket(BUCKET);
        let mut other = news.of_bucket(BUCKET);
        news.publish(&[(BUCKET, Seq::new(4))]);
        assert!(one.wait(Duration::ZERO) && other.wait(Duration::ZERO));
        assert!(!one.wait(Duration::from_millis(1)), "told once");
        news.publish(&[(BucketId::from_bytes([8; 16]), Seq::new(5))]);
        assert!(!one.wait(Duration::from_millis(1)), "another bucket's");
    }

    #[test]
    fn only_what_somebody_waits_for_is_kept() {
        let news = Arc::new(News::default());
        let (one, other) = (news.of_bucket(BUCKET), news.of_bucket(BUCKET));
        drop(one);
        assert_eq!(news.awaited.load(Ordering::SeqCst), 1);
        drop(other);
        assert_eq!(news.awaited.load(Ordering::SeqCst), 0);
        assert!(lock(&news.buckets).is_empty());
    }

    #[test]
    fn a_waiter_is_woken_from_another_thread_and_by_the_end() {
        let news = Arc::new(News::default());
        for end in [false, true] {
            let mut waits = news.of_bucket(BUCKET);
            let teller = Arc::clone(&news);
            let thread = std::thread::spawn(move || {
                if end {
                    teller.close();
                } else {
                    teller.publish(&[(BUCKET, Seq::new(1))]);
                }
            });
            assert_eq!(waits.wait(Duration::from_mins(1)), !end);
            thread.join().unwrap();
        }
    }
}
