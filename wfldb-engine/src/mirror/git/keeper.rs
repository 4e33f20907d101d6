//! History beside the mirror: a thread that makes commits of what the mirror's thread tells it, which never waits.
//!
//! What is told is put together until a commit is due. Where something was not told (a process ended in between, or it
//! came to more than is kept in mind), the next commit is the whole state of the store, read from the store itself.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wfldb_core::audit::TreeHash;
use wfldb_core::mirror::Authors;

use super::pending::Pending;
use super::{GitBatch, GitError, GitHistory, program};
use crate::audit::StoredCheckpoint;
use crate::engine::Inner;
use crate::mirror::history::{MirrorBatch, MirrorHistory};
use crate::row::key;
use crate::storage::Space;

/// Between the beginnings of two commits at least.
const BETWEEN: Duration = Duration::from_secs(5);
/// A commit takes one part of so many of the time: trees are written whole, and that is most of the work.
const PART: u32 = 5;
/// After the first failure in a row; each further one doubles it.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
const DOUBLED_AT_MOST: u32 = 8;

/// A history of a mirror that is kept until this goes.
pub(crate) struct GitKeeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    told: Mutex<Told>,
    bell: Condvar,
}

#[derive(Default)]
struct Told {
    pending: Pending,
    ended: bool,
}

impl Shared {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GitKeeper {
    /// Begins to keep the history of the mirror in `dir`, which need not be there yet.
    ///
    /// # Errors
    /// `Unavailable` without a `git` program; `Io` when there can be no thread.
    pub(crate) fn start(inner: &Arc<Inner>, dir: &Path) -> Result<Self, GitError> {
        program::find()?;
        let shared = Arc::new(Shared {
            told: Mutex::default(),
            bell: Condvar::new(),
        });
        let work = Work {
            inner: Arc::clone(inner),
            dir: dir.to_owned(),
            shared: Arc::clone(&shared),
            history: None,
        };
        let thread = std::thread::Builder::new()
            .name("wfldb-git".to_owned())
            .spawn(move || work.run())
            .map_err(GitError::io(dir))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }
}

impl MirrorHistory for GitKeeper {
    fn record(&mut self, batch: &MirrorBatch) -> std::io::Result<()> {
        self.shared.told().pending.add(batch);
        self.shared.bell.notify_all();
        Ok(())
    }
}

impl Drop for GitKeeper {
    /// Waits for the commit of what was told.
    fn drop(&mut self) {
        self.shared.told().ended = true;
        self.shared.bell.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Work {
    inner: Arc<Inner>,
    dir: PathBuf,
    shared: Arc<Shared>,
    history: Option<GitHistory>,
}

impl Work {
    fn run(mut self) {
        let (mut due, mut failures) = (Instant::now(), 0_u32);
        loop {
            let (mut pending, ended) = self.next(due);
            if pending.is_empty() {
                return;
            }
            let began = Instant::now();
            let result = self.commit(&mut pending, ended);
            match result {
                Ok(()) => {
                    if failures > 0 {
                        tracing::info!("the mirror's history is kept again");
                    }
                    failures = 0;
                    due = began + BETWEEN.max(began.elapsed() * PART);
                }
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(%error, "the mirror's history cannot be written; it is tried again");
                    }
                    due = Instant::now() + AFTER_FAILURE * (1 << failures.min(DOUBLED_AT_MOST));
                    failures += 1;
                    let mut told = self.shared.told();
                    let newer = std::mem::take(&mut told.pending);
                    pending.append(newer);
                    told.pending = pending;
                }
            }
            if ended {
                return;
            }
        }
    }

    /// Waits for something to be told, and until a commit is due; nothing: it is over.
    fn next(&self, due: Instant) -> (Pending, bool) {
        let mut told = self.shared.told();
        while !told.ended {
            let left = due.saturating_duration_since(Instant::now());
            let wait = if told.pending.is_empty() { BETWEEN } else { left };
            if wait.is_zero() {
                break;
            }
            let woken = self.shared.bell.wait_timeout(told, wait);
            told = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        (std::mem::take(&mut told.pending), told.ended)
    }

    fn commit(&mut self, pending: &mut Pending, ended: bool) -> Result<(), GitError> {
        let inner = Arc::clone(&self.inner);
        let history = match &mut self.history {
            Some(history) => history,
            none => {
                let key = inner.signer.key(inner.dir())?.clone();
                none.insert(GitHistory::open(&self.dir, inner.realm.clone(), key)?)
            }
        };
        let recorded = history.last()?.map(|head| head.commit.sequences.1);
        if !pending.follows(recorded) {
            if ended {
                // The next process does it; this one is not held up.
                return Ok(());
            }
            pending.make_whole(recorded);
        }
        let checkpoint = checkpoint(&inner)?;
        let (dir, whole) = (self.dir.as_path(), pending.is_whole());
        history.record(GitBatch {
            whole,
            sequences: pending.sequences(recorded),
            authors: pending.authors().iter().map(String::as_str).collect::<Authors>(),
            checkpoint,
            time: inner.now(),
            changes: if whole {
                Box::new(|sink| super::whole::files(&inner, dir, sink))
            } else {
                Box::new(|sink| pending.files(dir, sink))
            },
        })?;
        Ok(())
    }
}

fn checkpoint(inner: &Inner) -> Result<Option<(u64, TreeHash)>, GitError> {
    let row = inner.storage.snapshot().get(Space::Meta, key::CHECKPOINT);
    let row = row.map_err(crate::error::EngineError::from)?;
    let stored = row.map(|row| StoredCheckpoint::decode(&row)).transpose();
    let stored = stored.map_err(crate::error::EngineError::from)?;
    Ok(stored.map(|stored| (stored.checkpoint.size(), stored.checkpoint.root())))
}
