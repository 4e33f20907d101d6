//! History beside the mirror: a thread that makes commits of what the mirror's thread tells it, which never waits.
//!
//! What is told is put together until a commit is due. Where something was not told (a process ended in between, or it
//! came to more than is kept in mind), the next commit is the whole state of the store, read from the store itself.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wfldb_core::audit::TreeHash;
use wfldb_core::id::LogPosition;
use wfldb_core::mirror::{Authors, GitId};

use super::pending::Pending;
use super::{GitBatch, GitError, GitHistory, program};
use crate::audit::StoredCheckpoint;
use crate::engine::Inner;
use crate::error::EngineError;
use crate::mirror::history::{MirrorBatch, MirrorHistory};
use crate::mirror::state::State;
use crate::mirror::tempo::{Pace, Tempo, step_back};
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
    /// The last change that a whole commit saw in the store.
    seen: AtomicU64,
}

#[derive(Default)]
struct Told {
    pending: Pending,
    orders: VecDeque<Order>,
    ended: bool,
}

/// What is done at once, between two commits.
enum Order {
    /// A commit of what was told, or, where another store's is brought in, one in any case.
    Commit(Option<GitId>, mpsc::Sender<Result<Option<GitId>, GitError>>),
    /// Something else that nothing of the history may be written beside.
    Undisturbed(Box<dyn FnOnce() + Send>),
}

/// A hand on the keeper, for what cannot wait for the next commit.
#[derive(Clone)]
pub(crate) struct GitOrders {
    shared: Arc<Shared>,
}

impl GitOrders {
    /// Has everything that was told recorded, and a commit made in any case where another store's is brought in. The
    /// newest commit.
    ///
    /// # Errors
    /// Those of [`GitHistory::record`]; `Over`.
    pub(crate) fn commit(&self, merged: Option<GitId>) -> Result<Option<GitId>, GitError> {
        let (done, wait) = mpsc::channel();
        self.order(Order::Commit(merged, done))?;
        wait.recv().map_err(|_| GitError::Over)?
    }

    /// Does something while nothing is recorded.
    ///
    /// # Errors
    /// `Over`.
    pub(crate) fn undisturbed<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, GitError> {
        let (done, wait) = mpsc::channel();
        self.order(Order::Undisturbed(Box::new(move || {
            // Nobody may be waiting any more.
            let _ = done.send(work());
        })))?;
        wait.recv().map_err(|_| GitError::Over)
    }

    fn order(&self, order: Order) -> Result<(), GitError> {
        let mut told = self.shared.told();
        if told.ended {
            return Err(GitError::Over);
        }
        told.orders.push_back(order);
        drop(told);
        self.shared.bell.notify_all();
        Ok(())
    }
}

/// Why there is a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Due,
    /// Somebody waits for it.
    Ordered,
    /// The last one.
    Ended,
}

/// What comes next.
enum Next {
    Commit(Pending),
    Order(Order),
    /// A last commit, if there is something to record.
    End(Pending),
}

impl Shared {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of now, for a whole commit.
    fn state(&self, inner: &Arc<Inner>) -> Result<State, EngineError> {
        // ORDER: whoever reads a later state than this one knows that there may be one.
        self.seen.store(u64::MAX, Ordering::SeqCst);
        let state = State::of(inner);
        self.seen.store(state.mark()?.position.get(), Ordering::SeqCst);
        Ok(state)
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
            seen: AtomicU64::new(0),
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

impl GitKeeper {
    /// A hand on it.
    pub(crate) fn orders(&self) -> GitOrders {
        GitOrders {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl MirrorHistory for GitKeeper {
    fn record(&mut self, batch: &MirrorBatch) -> std::io::Result<()> {
        self.shared.told().pending.add(batch);
        self.shared.bell.notify_all();
        Ok(())
    }

    fn seen(&self) -> LogPosition {
        LogPosition::new(self.shared.seen.load(Ordering::SeqCst))
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
        step_back();
        let (mut due, mut failures) = (Instant::now(), 0_u32);
        loop {
            let (mut pending, ended) = match self.next(due) {
                Next::Order(order) => {
                    self.carry_out(order);
                    continue;
                }
                Next::Commit(pending) => (pending, false),
                Next::End(pending) => (pending, true),
            };
            if pending.is_empty() {
                return;
            }
            let began = Instant::now();
            let why = if ended { Why::Ended } else { Why::Due };
            match self.commit(&mut pending, None, why) {
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
                    self.take_back(pending);
                }
            }
            if ended {
                return;
            }
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Undisturbed(work) => work(),
            Order::Commit(merged, done) => {
                // Nobody may be waiting any more.
                let _ = done.send(self.commit_now(merged));
            }
        }
    }

    fn commit_now(&mut self, merged: Option<GitId>) -> Result<Option<GitId>, GitError> {
        let is_begun = self.history()?.last()?.is_some();
        let mut pending = std::mem::take(&mut self.shared.told().pending);
        let is_wanted = !pending.is_empty() || merged.is_some() || !is_begun;
        if is_wanted && let Err(error) = self.commit(&mut pending, merged, Why::Ordered) {
            self.take_back(pending);
            return Err(error);
        }
        Ok(self.history()?.last()?.map(|head| head.id))
    }

    /// What was told and is in no commit.
    fn take_back(&self, mut pending: Pending) {
        let mut told = self.shared.told();
        let newer = std::mem::take(&mut told.pending);
        pending.append(newer);
        told.pending = pending;
    }

    /// Waits for something to be told, and until a commit is due; or for an order.
    fn next(&self, due: Instant) -> Next {
        let mut told = self.shared.told();
        loop {
            if let Some(order) = told.orders.pop_front() {
                return Next::Order(order);
            }
            if told.ended {
                return Next::End(std::mem::take(&mut told.pending));
            }
            let left = due.saturating_duration_since(Instant::now());
            let wait = if told.pending.is_empty() { BETWEEN } else { left };
            if wait.is_zero() {
                return Next::Commit(std::mem::take(&mut told.pending));
            }
            let woken = self.shared.bell.wait_timeout(told, wait);
            told = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn history(&mut self) -> Result<&mut GitHistory, GitError> {
        Ok(match &mut self.history {
            Some(history) => history,
            none => {
                let key = self.inner.signer.key(self.inner.dir())?.clone();
                none.insert(GitHistory::open(&self.dir, self.inner.realm.clone(), key)?)
            }
        })
    }

    fn commit(&mut self, pending: &mut Pending, merged: Option<GitId>, why: Why) -> Result<(), GitError> {
        let (inner, dir) = (Arc::clone(&self.inner), self.dir.clone());
        let shared = Arc::clone(&self.shared);
        let history = self.history()?;
        let recorded = history.last()?.map(|head| head.commit.sequences.1);
        if pending.is_empty() {
            let position = State::of(&inner).mark()?.position;
            pending.stay_at(recorded.unwrap_or_else(|| position.get()));
        }
        if merged.is_none() && pending.is_recorded(recorded) {
            return Ok(());
        }
        if !pending.follows(recorded) {
            if why == Why::Ended {
                // The next process does it; this one is not held up.
                return Ok(());
            }
            pending.make_whole(recorded);
        }
        let checkpoint = checkpoint(&inner)?;
        let mut pace = Pace::of_changes(if why == Why::Due {
            Tempo::Steady
        } else {
            Tempo::Hurried
        });
        let (dir, whole) = (dir.as_path(), pending.is_whole());
        history.record(GitBatch {
            whole,
            sequences: pending.sequences(recorded),
            authors: pending.authors().iter().map(String::as_str).collect::<Authors>(),
            merged,
            checkpoint,
            time: inner.now(),
            changes: if whole {
                Box::new(|sink| super::whole::files(&shared.state(&inner)?, dir, sink))
            } else {
                // Who reads a commit that brings another store's in takes what it has for what both agreed on.
                Box::new(|sink| {
                    pending.files(dir, merged.is_some(), &mut |change| {
                        pace.next();
                        sink(change)
                    })
                })
            },
        })?;
        Ok(())
    }
}

fn checkpoint(inner: &Inner) -> Result<Option<(u64, TreeHash)>, GitError> {
    let row = inner.storage.snapshot().get(Space::Meta, key::CHECKPOINT);
    let row = row.map_err(EngineError::from)?;
    let stored = row.map(|row| StoredCheckpoint::decode(&row)).transpose();
    let stored = stored.map_err(EngineError::from)?;
    Ok(stored.map(|stored| (stored.checkpoint.size(), stored.checkpoint.root())))
}
