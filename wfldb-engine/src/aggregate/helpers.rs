//! Threads beside those that are asked: so many for the whole store, that scans never take more processors than there are.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use wfldb_core::limits::AGGREGATE_THREADS_MAX;

/// How many more threads may be begun.
#[derive(Debug)]
pub(crate) struct Helpers {
    free: AtomicUsize,
}

impl Default for Helpers {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self {
            free: AtomicUsize::new(processors - 1),
        }
    }
}

impl Helpers {
    /// As many as are free, so that nobody waits; given back when dropped.
    pub(super) fn take(&self) -> Taken<'_> {
        let most = AGGREGATE_THREADS_MAX - 1;
        let rest = |free: usize| Some(free - free.min(most));
        let before = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest);
        Taken {
            helpers: self,
            count: before.map_or(0, |free| free.min(most)),
        }
    }
}

pub(super) struct Taken<'a> {
    helpers: &'a Helpers,
    pub(super) count: usize,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.helpers.free.fetch_add(self.count, Ordering::Relaxed);
    }
}
