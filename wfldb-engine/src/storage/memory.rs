//! A deterministic storage in memory, for model tests and simulation. It can be told to fail or to stall.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bytes::Bytes;

use super::{Batch, Rows, Snapshot, Space, Storage, StorageError, StorageFigures};

type Map = BTreeMap<(Space, Bytes), Bytes>;

/// What the storage does to the next commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Commits succeed.
    #[default]
    None,
    /// The commit fails and nothing of it is kept; so does every later one.
    FailAbsent,
    /// The commit fails although it was kept, as after a lost answer of a disk; every later one fails.
    FailPresent,
    /// Commits wait until the fault is taken away.
    Stall,
}

#[derive(Debug, Default)]
struct State {
    // Copied on write: a snapshot is one `Arc` clone.
    rows: Arc<Map>,
    fault: Fault,
    /// A fault that comes after so many more commits.
    later: Option<(u64, Fault)>,
    poisoned: bool,
    commits: u64,
}

/// All keyspaces in one ordered map. Clones share the same data, so a clone is what a reopen finds.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    state: Arc<(Mutex<State>, Condvar)>,
}

impl MemoryStorage {
    /// An empty storage.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what happens to the next commits.
    pub fn inject(&self, fault: Fault) {
        let (state, changed) = &*self.state;
        state.lock().unwrap_or_else(PoisonError::into_inner).fault = fault;
        changed.notify_all();
    }

    /// Sets what happens to commits once so many more have succeeded.
    pub fn inject_after(&self, commits: u64, fault: Fault) {
        let mut state = self.lock();
        state.later = Some((state.commits + commits, fault));
    }

    /// The data as a new process finds it: same rows, no fault, not poisoned.
    #[must_use]
    pub fn reopened(&self) -> Self {
        let rows = Arc::clone(&self.lock().rows);
        let state = State {
            rows,
            ..State::default()
        };
        Self {
            state: Arc::new((Mutex::new(state), Condvar::new())),
        }
    }

    /// Every row, for comparing states byte by byte.
    #[must_use]
    pub fn dump(&self) -> Vec<(Space, Bytes, Bytes)> {
        let rows = Arc::clone(&self.lock().rows);
        rows.iter()
            .map(|((space, key), value)| (*space, key.clone(), value.clone()))
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct MemorySnapshot(Arc<Map>);

impl Snapshot for MemorySnapshot {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Ok(self.0.get(&(space, Bytes::copy_from_slice(key))).cloned())
    }

    fn range<'a>(&'a self, space: Space, from: &[u8], to: &[u8], reverse: bool) -> Rows<'a> {
        let low = (space, Bytes::copy_from_slice(from));
        let to = Bytes::copy_from_slice(to);
        let rows = self
            .0
            .range(low..)
            .take_while(move |((s, key), _)| *s == space && (to.is_empty() || *key < to))
            .map(|((_, key), value)| Ok((key.clone(), value.clone())));
        if reverse {
            let mut all: Vec<_> = rows.collect();
            all.reverse();
            Box::new(all.into_iter())
        } else {
            Box::new(rows)
        }
    }
}

impl Storage for MemoryStorage {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(MemorySnapshot(Arc::clone(&self.lock().rows)))
    }

    fn commit(&self, batch: Batch) -> Result<(), StorageError> {
        let (lock, changed) = &*self.state;
        let mut state = lock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, fault)) = state.later.filter(|(commits, _)| state.commits >= *commits) {
            state.fault = fault;
        }
        while state.fault == Fault::Stall {
            state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.poisoned || state.fault == Fault::FailAbsent {
            state.poisoned = true;
            return Err(StorageError::Commit("injected fault".to_owned()));
        }
        let rows = Arc::make_mut(&mut state.rows);
        for (space, key, value) in batch.writes {
            match value {
                Some(value) => rows.insert((space, key), value),
                None => rows.remove(&(space, key)),
            };
        }
        state.commits += 1;
        if state.fault == Fault::FailPresent {
            state.poisoned = true;
            return Err(StorageError::Commit("injected fault after the write".to_owned()));
        }
        Ok(())
    }

    fn write_buffer_bytes(&self) -> u64 {
        0
    }

    fn figures(&self) -> StorageFigures {
        StorageFigures::default()
    }
}
