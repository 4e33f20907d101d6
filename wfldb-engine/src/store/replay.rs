//! The replay mark T: a durable time at or above the timestamp of every request that was answered.
//!
//! After a start, requests stamped at or before T are refused, so a request that the last process accepted cannot
//! be accepted again although its nonce was only in memory.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use wfldb_core::limits::SKEW_MS_MAX;
use wfldb_core::time::UnixMillis;

use super::slots::Slots;

/// How far the mark moves ahead of what it must cover, so that few requests wait for it.
const STEP_MS: u64 = 1000;

/// The durable mark.
#[derive(Debug)]
pub struct ReplayMark {
    /// `None`: in memory only.
    slots: Mutex<Option<Slots>>,
    at_start: UnixMillis,
    durable_ms: AtomicU64,
}

impl ReplayMark {
    /// Makes the mark of a new store: nothing was accepted yet.
    pub(crate) fn create(path: &Path) -> io::Result<()> {
        let (mut slots, _) = Slots::open(path)?;
        slots.write(&0u64.to_be_bytes())?;
        slots.sync()
    }

    /// Opens the mark. A lost or damaged one fails closed: T is then above everything that can have been accepted
    /// until `now`, whatever window the last process allowed.
    pub(crate) fn open(path: &Path, now: UnixMillis) -> io::Result<Self> {
        let (mut slots, content) = Slots::open(path)?;
        let content = content.as_deref().map(<[u8; 8]>::try_from);
        let found = if let Some(Ok(millis)) = content {
            u64::from_be_bytes(millis)
        } else {
            let found = now.plus_ms(SKEW_MS_MAX).get();
            tracing::warn!("the replay mark is lost; requests are refused for the next five minutes");
            slots.write(&found.to_be_bytes())?;
            slots.sync()?;
            found
        };
        Ok(Self {
            slots: Mutex::new(Some(slots)),
            at_start: UnixMillis::new(found),
            durable_ms: AtomicU64::new(found),
        })
    }

    pub(crate) fn in_memory() -> Self {
        Self {
            slots: Mutex::new(None),
            at_start: UnixMillis::new(0),
            durable_ms: AtomicU64::new(0),
        }
    }

    /// T as the last process left it: requests stamped at or before it are refused.
    #[must_use]
    pub fn at_start(&self) -> UnixMillis {
        self.at_start
    }

    /// T now.
    #[must_use]
    pub fn current(&self) -> UnixMillis {
        UnixMillis::new(self.durable_ms.load(Ordering::Acquire))
    }

    /// Returns when T is at or above `timestamp` on stable storage. Blocks for a sync when it has to move.
    ///
    /// # Errors
    /// When the mark cannot be written or synced: the request must not be answered.
    pub fn reserve(&self, timestamp: UnixMillis) -> io::Result<()> {
        if timestamp.get() <= self.durable_ms.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever held the lock may have moved it far enough.
        if timestamp.get() <= self.durable_ms.load(Ordering::Acquire) {
            return Ok(());
        }
        self.store(slots.as_mut(), timestamp.plus_ms(STEP_MS))
    }

    /// Sets T to exactly `timestamp`, the newest that was accepted: at a clean stop, so that the next start waits
    /// for nothing. Never below what it was at the start.
    ///
    /// # Errors
    /// When the mark cannot be written or synced; it then stays where it was.
    pub fn exact(&self, timestamp: UnixMillis) -> io::Result<()> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        self.store(slots.as_mut(), timestamp.max(self.at_start))
    }

    fn store(&self, slots: Option<&mut Slots>, mark: UnixMillis) -> io::Result<()> {
        if let Some(slots) = slots {
            slots.write(&mark.get().to_be_bytes())?;
            // DURABILITY: visible to callers only once it is on stable storage.
            slots.sync()?;
        }
        self.durable_ms.store(mark.get(), Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_covers_every_reservation_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("REPLAY");
        let now = UnixMillis::new(1_000_000);
        ReplayMark::create(&path).unwrap();
        let mark = ReplayMark::open(&path, now).unwrap();
        assert_eq!(mark.at_start(), UnixMillis::new(0));
        for t in [5_000, 5_500, 7_000] {
            mark.reserve(UnixMillis::new(t)).unwrap();
            let restarted = ReplayMark::open(&path, now).unwrap();
            assert!(restarted.at_start() >= UnixMillis::new(t));
        }
        mark.exact(UnixMillis::new(7_000)).unwrap();
        assert_eq!(
            ReplayMark::open(&path, now).unwrap().at_start(),
            UnixMillis::new(7_000)
        );
    }

    /// A defect it catches: reading a lost mark as 0, after which captured requests are accepted again.
    #[test]
    fn a_lost_mark_fails_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("REPLAY");
        let now = UnixMillis::new(1_000_000);
        let lost = ReplayMark::open(&path, now).unwrap().at_start();
        assert_eq!(lost, now.plus_ms(SKEW_MS_MAX));
        // The next start, soon after, does not push it on.
        assert_eq!(ReplayMark::open(&path, now.plus_ms(1)).unwrap().at_start(), lost);
    }
}
