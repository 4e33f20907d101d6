//! The server's time: the system's clock with a floor.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use wfldb_core::time::UnixMillis;

/// Where the wall's time comes from: the system, or a test that steps it.
#[derive(Clone)]
pub struct Wall(Arc<dyn Fn() -> UnixMillis + Send + Sync>);

impl Wall {
    /// Another source of time than the system's clock.
    pub fn new(now: impl Fn() -> UnixMillis + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }
}

impl Default for Wall {
    fn default() -> Self {
        Self::new(|| {
            // A time before 1970 counts as 1970.
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
        })
    }
}

impl fmt::Debug for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wall")
    }
}

/// The wall's time, never below a floor.
///
/// The floor is the replay mark that the last process left: time below it would accept requests again that were
/// carried out before.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    wall: Wall,
    floor_ms: AtomicU64,
}

impl Clock {
    pub(crate) fn new(wall: Wall) -> Self {
        Self {
            wall,
            floor_ms: AtomicU64::new(0),
        }
    }

    pub(crate) fn now(&self) -> UnixMillis {
        let Wall(wall) = &self.wall;
        wall().max(UnixMillis::new(self.floor_ms.load(Ordering::Relaxed)))
    }

    pub(crate) fn never_below(&self, floor: UnixMillis) {
        self.floor_ms.fetch_max(floor.get(), Ordering::Relaxed);
    }
}
