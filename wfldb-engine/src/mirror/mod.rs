//! The mirror: a directory of plain files in step with the store, which `cat`, `grep`, `rsync` and `git` understand. It is a
//! view (docs/decisions/0015-mirror.md): one thread follows the change log with a cursor of its own and rewrites what
//! changed. It takes no lock that a commit takes, and it is never the source of truth.

mod check;
mod cursor;
mod dir;
mod edited;
mod error;
mod files;
mod git;
mod history;
mod log;
mod log_tree;
mod manifests;
mod point;
mod published;
mod rebuild;
mod rest;
mod root;
mod rounds;
mod source;
mod state;
mod sync;
mod tempo;
mod tree;
mod walk;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use wfldb_core::id::LogPosition;

use self::check::{Ask, Watch};
pub use self::check::{MirrorChecks, MirrorFault, MirrorFinding, MirrorHead, MirrorReport, MirrorWatch};
pub use self::edited::{EditedObject, SaidOfObject, Written};
pub use self::error::MirrorError;
use self::git::{GitKeeper, GitOrders};
pub use self::history::{FileChange, MirrorBatch, MirrorHistory};
use self::point::Points;
pub use self::rebuild::Rebuilt;
use self::rounds::Rounds;
pub use self::source::{MirrorSource, MirroredBucket, MirroredFile, MirroredObject, SourceError};
use self::state::State;
pub use self::state::{MirrorContent, MirrorFile, MirrorPlace, SHARD_ABOVE_KEYS};
pub use self::sync::{MirrorSyncs, SyncConflict, SyncError, SyncNamed, SyncOptions, SyncReport};
pub use self::walk::MirrorView;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::space::SpaceGuard;

/// How a mirror is kept.
#[derive(Debug)]
pub struct MirrorOptions {
    /// Its directory; `None`: `mirror` in the store's.
    pub dir: Option<PathBuf>,
    /// What keeps its history, in the place of git.
    pub history: Option<Box<dyn MirrorHistory>>,
    /// Whether git keeps its history, where there is a `git` program.
    pub git: bool,
}

impl Default for MirrorOptions {
    fn default() -> Self {
        Self {
            dir: None,
            history: None,
            git: true,
        }
    }
}

/// What a mirror is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MirrorState {
    /// It follows.
    #[default]
    Following,
    /// A bucket is being written whole.
    Making,
    /// Its file system, or that of the store, has as little room as the store keeps free; or the store takes no writes.
    Waiting,
    /// A round failed; it is tried again.
    Failing,
}

/// How far a mirror is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MirrorStatus {
    /// What it is at.
    pub state: MirrorState,
    /// Every change up to here is in the files, which readers see at once, but for buckets that are being made.
    pub shown: LogPosition,
    /// Every change up to here is in the files and their manifests, and on stable storage.
    pub position: LogPosition,
    /// How many changes are not in the files.
    pub behind: u64,
    /// How long ago the first of those was committed.
    pub lag: Duration,
    /// Leaves of the audit log that its copy in `log/` has, signed and on stable storage; 0 until the first look at it.
    pub log: u64,
    /// Files of keys and buckets that were written since the start.
    pub files: u64,
    /// Rest points since the start.
    pub rests: u64,
    /// Rounds that failed since the start.
    pub failures: u64,
    /// Objects that cannot be read and were left as they are, since the start.
    pub left_out: u64,
}

/// What the handle and the thread share.
pub(crate) struct Shared {
    engine: Engine,
    dir: PathBuf,
    space: SpaceGuard,
    bell: Arc<Bell>,
    status: Mutex<MirrorStatus>,
    published: Condvar,
    /// How many wait for the mirror to have caught up.
    waiting: AtomicUsize,
    points: Points,
    /// Whoever waits for the mirror to stand still.
    asks: Mutex<VecDeque<Ask>>,
    /// What is known of the files from one look to the next.
    watch: Mutex<Watch>,
    /// One verification goes on at a time.
    verifying: Mutex<()>,
}

/// What wakes and ends the thread. It holds nothing of the store: whoever commits rings it.
#[derive(Debug, Default)]
struct Bell {
    thread: OnceLock<Thread>,
    ended: Arc<AtomicBool>,
}

impl Bell {
    fn ring(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// As [`Mirror::caught_up`].
    fn caught_up(&self, at_most: Duration) -> bool {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.bell.ring();
        let is_there = self.wait_for_all(at_most);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        is_there
    }

    fn wait_for_all(&self, at_most: Duration) -> bool {
        let Ok(mark) = State::of(&self.engine.inner).mark() else {
            return false;
        };
        let deadline = Instant::now() + at_most;
        let mut status = lock(&self.status);
        loop {
            // What a thread says that has done nothing yet is of no store.
            let is_there = status.state == MirrorState::Following && status.rests > 0;
            let is_logged = status.log >= mark.leaves || !self.engine.inner.audit.is_signed();
            if is_there && is_logged && status.position >= mark.position {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.bell.has_ended() {
                return false;
            }
            let waited = self.published.wait_timeout(status, left);
            status = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn publish(&self, change: impl FnOnce(&mut MirrorStatus)) {
        change(&mut lock(&self.status));
        self.published.notify_all();
    }
}

/// A mirror that is kept until this goes. It holds the store open, so it goes before the store is closed.
pub struct Mirror {
    shared: Arc<Shared>,
    /// What keeps the history in git, if it is kept there.
    orders: Option<GitOrders>,
    /// Held by whoever brings the store together with others.
    syncing: Arc<Mutex<()>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirror")
            .field("dir", &self.shared.dir)
            .finish_non_exhaustive()
    }
}

impl Mirror {
    /// Begins to keep a mirror of the store.
    ///
    /// # Errors
    /// `NotEmpty` and `Foreign` when the directory is something else, in which nothing is touched; `ReadOnly` for a store
    /// that takes no writes. A file system that refuses is tried again by the thread.
    pub fn start(engine: &Engine, options: MirrorOptions) -> Result<Self, MirrorError> {
        Self::start_with(engine, options, Points::default())
    }

    fn start_with(engine: &Engine, options: MirrorOptions, points: Points) -> Result<Self, MirrorError> {
        if engine.inner.is_read_only() {
            return Err(EngineError::ReadOnly.into());
        }
        let dir = options.dir.unwrap_or_else(|| engine.inner.dir().join("mirror"));
        let bell = Arc::<Bell>::default();
        let mut orders = None;
        let by_git = || match GitKeeper::start(&engine.inner, &dir) {
            Ok(keeper) => {
                orders = Some(keeper.orders());
                Some(Box::new(keeper) as Box<dyn MirrorHistory>)
            }
            Err(error) => {
                tracing::warn!(%error, "the mirror has no history");
                None
            }
        };
        let history = options.history.or_else(|| options.git.then(by_git).flatten());
        let history = history.map(|history| (history, MirrorBatch::default()));
        let shared = Arc::new(Shared {
            engine: engine.clone(),
            space: SpaceGuard::new(dir.clone(), engine.inner.options.min_free),
            dir,
            bell: Arc::clone(&bell),
            status: Mutex::default(),
            published: Condvar::new(),
            waiting: AtomicUsize::new(0),
            points,
            asks: Mutex::default(),
            watch: Mutex::default(),
            verifying: Mutex::default(),
        });
        // Whether the directory may be used is asked once more when the work begins.
        match Rounds::open(
            &engine.inner,
            &shared.dir,
            None,
            Arc::clone(&bell.ended),
            shared.points.clone(),
        ) {
            Ok(_) | Err(MirrorError::Io(_)) => {}
            Err(error) => return Err(error),
        }
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("wfldb-mirror".to_owned())
            .spawn(move || worker::run(&worker, history))?;
        let _ = bell.thread.set(thread.thread().clone());
        let at_checkpoint = Arc::clone(&bell);
        engine.inner.audit.on_checkpoint(Box::new(move || {
            at_checkpoint.ring();
            !at_checkpoint.has_ended()
        }));
        engine.on_commit(move || {
            bell.ring();
            !bell.has_ended()
        });
        Ok(Self {
            shared,
            orders,
            syncing: Arc::default(),
            thread: Some(thread),
        })
    }

    /// How far it is. May read the storage.
    #[must_use]
    pub fn status(&self) -> MirrorStatus {
        let status = *lock(&self.shared.status);
        let inner = &self.shared.engine.inner;
        let state = State::of(inner);
        let newest = state.mark().map_or(status.shown, |mark| mark.position);
        let behind = newest.get().saturating_sub(status.shown.get());
        let first = (behind > 0).then(|| state.time_of(status.shown.next()).ok().flatten());
        let since = |first: wfldb_core::time::UnixMillis| inner.now().get().saturating_sub(first.get());
        MirrorStatus {
            behind,
            lag: Duration::from_millis(first.flatten().map_or(0, since)),
            ..status
        }
    }

    /// Waits until everything that was committed before the call is in the files and on stable storage, for so long at
    /// most. `false`: it was not.
    #[must_use]
    pub fn caught_up(&self, at_most: Duration) -> bool {
        self.shared.caught_up(at_most)
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.shared.bell.ended.store(true, Ordering::SeqCst);
        self.shared.bell.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
