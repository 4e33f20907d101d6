//! The indexes of a store: which buckets ask for one, what callers search, and the handle of the worker that keeps
//! them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;
use wfldb_core::auth::Authorized;
use wfldb_core::id::{BucketId, Seq};
use wfldb_core::name::BucketName;
use wfldb_core::text::TextConfig;
use wfldb_engine::{Engine, EngineError};

use crate::error::TextViewError;
use crate::index::Searchable;
use crate::worker;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// What an index is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TextState {
    /// It is made from the documents; it answers once that is done.
    #[default]
    Making,
    /// It answers, and follows the changes.
    Ready,
    /// It could not be read or written; it is tried again.
    Failing,
}

/// How far an index is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextProgress {
    /// What it is at.
    pub state: TextState,
    /// Every change up to this `seq` of the bucket can be found.
    pub seq: u64,
    /// How many changes are not in it yet.
    pub behind: u64,
    /// Documents in it.
    pub documents: u64,
    /// How often it was made anew since the start.
    pub made: u64,
    /// How often it failed since the start.
    pub failures: u64,
}

/// The index of one bucket, as callers see it.
pub(crate) struct View {
    pub(crate) bucket: BucketId,
    pub(crate) name: BucketName,
    pub(crate) config: TextConfig,
    searchable: RwLock<Option<Searchable>>,
    progress: watch::Sender<TextProgress>,
    /// The index is to be made anew.
    pub(crate) anew: AtomicBool,
}

impl View {
    pub(crate) fn new(bucket: BucketId, name: BucketName, config: TextConfig) -> Self {
        Self {
            bucket,
            name,
            config,
            searchable: RwLock::new(None),
            progress: watch::Sender::new(TextProgress::default()),
            anew: AtomicBool::new(false),
        }
    }

    /// What can be searched; `None` while it is made.
    pub(crate) fn searchable(&self) -> Option<Searchable> {
        read(&self.searchable).clone()
    }

    pub(crate) fn progress(&self) -> TextProgress {
        *self.progress.borrow()
    }

    /// ORDER: what can be searched is there before anybody is told how far it is.
    pub(crate) fn publish(&self, searchable: Option<Searchable>, change: impl FnOnce(&mut TextProgress)) {
        *write(&self.searchable) = searchable;
        self.progress.send_modify(change);
    }

    pub(crate) fn failed(&self) {
        self.progress.send_modify(|progress| {
            progress.failures += 1;
            progress.state = TextState::Failing;
        });
    }
}

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    /// The directory of all indexes.
    pub(crate) dir: PathBuf,
    views: RwLock<HashMap<BucketId, Arc<View>>>,
    /// The configurations of buckets are to be looked at again.
    pub(crate) look: AtomicBool,
    pub(crate) bell: Arc<Bell>,
    /// Nothing is written: the index stays as it is.
    #[cfg(test)]
    pub(crate) held: AtomicBool,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// What wakes and ends the worker. It holds nothing of the store: whoever commits rings it.
#[derive(Default)]
pub(crate) struct Bell {
    thread: OnceLock<Thread>,
    ended: AtomicBool,
}

impl Bell {
    pub(crate) fn ring(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

impl Shared {
    pub(crate) fn view(&self, bucket: BucketId) -> Option<Arc<View>> {
        read(&self.views).get(&bucket).cloned()
    }

    pub(crate) fn views(&self) -> Vec<Arc<View>> {
        read(&self.views).values().cloned().collect()
    }

    pub(crate) fn put(&self, view: Arc<View>) {
        write(&self.views).insert(view.bucket, view);
    }

    pub(crate) fn forget(&self, bucket: BucketId) {
        write(&self.views).remove(&bucket);
    }

    /// Wakes the worker.
    pub(crate) fn wake(&self) {
        self.bell.ring();
    }

    /// How far an index is, and how far it is behind.
    fn progress(&self, view: &View) -> TextProgress {
        let progress = view.progress();
        let newest = self.engine.newest_seq(view.bucket).map_or(progress.seq, Seq::get);
        TextProgress {
            behind: newest.saturating_sub(progress.seq),
            ..progress
        }
    }

    /// The index of the bucket that a proof for a query names.
    pub(crate) fn of(&self, proof: &Authorized) -> Result<Arc<View>, TextViewError> {
        let (bucket, config) = self.engine.queried_bucket(proof)?;
        let Some(config) = config.text else {
            return Err(TextViewError::NotIndexed);
        };
        if let Some(view) = self.view(bucket).filter(|view| view.config == config) {
            Ok(view)
        } else {
            // Configured a moment ago.
            self.look.store(true, Ordering::SeqCst);
            self.wake();
            Err(TextViewError::Building)
        }
    }
}

/// The full-text indexes of a store. Clones share them; the last one ends their worker.
///
/// It holds the store open, so it goes before the store is closed.
#[derive(Clone)]
pub struct TextViews {
    pub(crate) shared: Arc<Shared>,
    _worker: Arc<AtWork>,
}

impl std::fmt::Debug for TextViews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextViews").finish_non_exhaustive()
    }
}

struct AtWork(Arc<Shared>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.bell.ended.store(true, Ordering::SeqCst);
        self.0.wake();
        let thread = lock(&self.0.thread).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl TextViews {
    /// Begins to keep the indexes of a store, in its directory.
    ///
    /// # Errors
    /// When the worker's thread cannot be started.
    pub fn start(engine: &Engine) -> Result<Self, TextViewError> {
        let shared = Arc::new(Shared {
            engine: engine.clone(),
            dir: engine.view_dir("text"),
            views: RwLock::default(),
            look: AtomicBool::new(true),
            bell: Arc::default(),
            #[cfg(test)]
            held: AtomicBool::new(false),
            thread: Mutex::new(None),
        });
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("wfldb-text".to_owned())
            .spawn(move || worker::run(&worker))?;
        let _ = shared.bell.thread.set(thread.thread().clone());
        *lock(&shared.thread) = Some(thread);
        let bell = Arc::clone(&shared.bell);
        engine.on_commit(move || {
            bell.ring();
            !bell.has_ended()
        });
        Ok(Self {
            _worker: Arc::new(AtWork(Arc::clone(&shared))),
            shared,
        })
    }

    /// How far the index of the bucket is that `proof` (of a query) names. Blocks.
    ///
    /// # Errors
    /// `NotIndexed`, `Building` right after it was asked for, those of the engine.
    pub fn progress(&self, proof: &Authorized) -> Result<TextProgress, TextViewError> {
        Ok(self.shared.progress(&*self.shared.of(proof)?))
    }

    /// How far each index is, for figures.
    #[must_use]
    pub fn figures(&self) -> Vec<(BucketId, TextProgress)> {
        let views = self.shared.views();
        views
            .iter()
            .map(|view| (view.bucket, self.shared.progress(view)))
            .collect()
    }

    /// Has the configurations of buckets looked at at once, after one was changed.
    pub fn look(&self) {
        self.shared.look.store(true, Ordering::SeqCst);
        self.shared.wake();
    }

    /// Makes the index of the bucket that `proof` (of a query) names anew. It answers again once it is whole. Blocks.
    ///
    /// # Errors
    /// `NotIndexed`, `Building`, those of the engine.
    pub fn make_anew(&self, proof: &Authorized) -> Result<(), TextViewError> {
        let view = self.shared.of(proof)?;
        view.publish(None, |progress| progress.state = TextState::Making);
        view.anew.store(true, Ordering::SeqCst);
        self.shared.wake();
        Ok(())
    }

    /// What to wait with until the index of a bucket has come to a `seq`. Blocks, but not for that.
    ///
    /// # Errors
    /// As [`TextViews::progress`].
    pub fn until(&self, proof: &Authorized, seq: Seq) -> Result<Until, TextViewError> {
        let view = self.shared.of(proof)?;
        let progress = view.progress.subscribe();
        Ok(Until {
            progress,
            seq: seq.get(),
        })
    }
}

/// A place in a bucket's changes that its index is waited to come to.
#[derive(Debug)]
pub struct Until {
    progress: watch::Receiver<TextProgress>,
    seq: u64,
}

impl Until {
    /// Returns once the index is there. The caller bounds the time, and says `behind` when it is over.
    ///
    /// # Errors
    /// `Building` when the index goes meanwhile.
    pub async fn reached(&mut self) -> Result<(), TextViewError> {
        let seq = self.seq;
        let is_there = |progress: &TextProgress| progress.state == TextState::Ready && progress.seq >= seq;
        let waited = self.progress.wait_for(is_there).await;
        waited.map(|_| ()).map_err(|_| TextViewError::Building)
    }

    /// What there is to say when it takes too long.
    #[must_use]
    pub fn behind(&self) -> TextViewError {
        let progress = *self.progress.borrow();
        match progress.state {
            TextState::Ready => TextViewError::Behind(progress.seq),
            TextState::Making | TextState::Failing => TextViewError::Building,
        }
    }

    /// [`Until::reached`] for a thread that may block, for so long at most.
    ///
    /// # Errors
    /// `Behind` or `Building` when time is up.
    pub fn wait(&mut self, at_most: Duration) -> Result<(), TextViewError> {
        let reached = block_for(at_most, self.reached());
        reached.unwrap_or_else(|| Err(self.behind()))
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Drives a future on this thread; `None` when time is up.
fn block_for<T>(at_most: Duration, future: impl Future<Output = T>) -> Option<T> {
    let deadline = Instant::now() + at_most;
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        std::thread::park_timeout(left);
    }
}

/// Whether an error is of the store that ends, so that there is nothing left to do.
pub(crate) fn is_end(error: &TextViewError) -> bool {
    matches!(error, TextViewError::Engine(EngineError::Closing))
}
