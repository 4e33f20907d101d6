//! The free-space floor: below it nothing is stored, so that a full disk never meets a half-written journal.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::fs::statvfs;
use wfldb_core::id::ByteLen;

/// A look at the file system is used for this long.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Watches the free bytes of the file system that holds the store.
#[derive(Debug)]
pub(crate) struct SpaceGuard {
    dir: PathBuf,
    min_free: ByteLen,
    last: Mutex<Option<(Instant, bool)>>,
}

impl SpaceGuard {
    pub(crate) fn new(dir: PathBuf, min_free: ByteLen) -> Self {
        Self {
            dir,
            min_free,
            last: Mutex::new(None),
        }
    }

    /// Whether the floor is reached. A file system that does not answer counts as full.
    pub(crate) fn is_low(&self) -> bool {
        let mut last = self
            .last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((at, low)) = *last
            && at.elapsed() < LOOK_AGAIN
        {
            return low;
        }
        let low = statvfs(&self.dir).map_or(true, |found| {
            found.f_bavail.saturating_mul(found.f_frsize) < self.min_free.get()
        });
        *last = Some((Instant::now(), low));
        low
    }
}
