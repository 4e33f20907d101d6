//! The server's time: the system's clock with a floor.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use wfldb_core::time::UnixMillis;

/// The system's clock, never below a floor.
///
/// The floor is the replay mark that the last process left: time below it would accept requests again that were
/// carried out before.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    floor_ms: AtomicU64,
}

impl Clock {
    pub(crate) fn now(&self) -> UnixMillis {
        // A time before 1970 counts as 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        UnixMillis::new(wall_ms.max(self.floor_ms.load(Ordering::Relaxed)))
    }

    pub(crate) fn never_below(&self, floor: UnixMillis) {
        self.floor_ms.fetch_max(floor.get(), Ordering::Relaxed);
    }
}
