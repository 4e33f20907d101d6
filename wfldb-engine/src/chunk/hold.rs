//! Holding back removals: while a backup runs, every chunk file that was there at its beginning stays.
//!
//! What would be removed meanwhile waits: the thread that looks at released chunks, and the sweeper of deleted
//! buckets. Writers never wait here.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::ChunkStore;

/// How many holds there are.
#[derive(Debug, Default)]
pub(super) struct Holds {
    count: Mutex<usize>,
    ended: Condvar,
}

impl Holds {
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody holds. While what is returned is there, nobody can begin to: a removal is over, or has not
    /// begun, when a hold begins.
    pub(super) fn wait(&self) -> MutexGuard<'_, usize> {
        let count = self.lock();
        self.ended
            .wait_while(count, |count| *count > 0)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// While this is there, no chunk file is removed.
#[derive(Debug)]
pub(crate) struct Hold {
    store: Arc<ChunkStore>,
}

impl Hold {
    pub(crate) fn new(store: Arc<ChunkStore>) -> Self {
        *store.holds.lock() += 1;
        Self { store }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut count = self.store.holds.lock();
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.store.holds.ended.notify_all();
        }
    }
}
