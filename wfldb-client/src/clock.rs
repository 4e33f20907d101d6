//! The server's clock as this client knows it: the local clock and an offset learned from the server's answers.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use wfldb_core::time::UnixMillis;

/// SECURITY: an answer without authentication may move our time stamps, and a signature with a far future stamp
/// would be worth keeping for someone who reads the wire. Nobody's clock is off by more than this by accident.
const OFFSET_MS_MAX: i64 = 24 * 60 * 60 * 1000;

/// Local time plus what the server said about it.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    offset_ms: AtomicI64,
}

impl Clock {
    /// The server's time as far as we know.
    pub(crate) fn now(&self) -> UnixMillis {
        UnixMillis::new(local_ms().saturating_add_signed(self.offset_ms.load(Ordering::Relaxed)))
    }

    /// Learns from `x-wfldb-time`. False when the difference is too large to believe.
    pub(crate) fn learn(&self, server: UnixMillis) -> bool {
        let Some(offset) = offset_ms(local_ms(), server.get()) else {
            return false;
        };
        self.offset_ms.store(offset, Ordering::Relaxed);
        true
    }
}

fn local_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn offset_ms(local: u64, server: u64) -> Option<i64> {
    let offset = i64::try_from(i128::from(server) - i128::from(local)).ok()?;
    (offset.abs() <= OFFSET_MS_MAX).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_learned_within_a_day_and_refused_beyond() {
        assert_eq!(offset_ms(1_000_000, 1_002_500), Some(2500));
        assert_eq!(offset_ms(1_002_500, 1_000_000), Some(-2500));
        assert_eq!(offset_ms(0, 24 * 3_600_000), Some(OFFSET_MS_MAX));
        assert_eq!(offset_ms(0, 24 * 3_600_000 + 1), None);
        assert_eq!(offset_ms(u64::MAX, 0), None);
        assert_eq!(offset_ms(0, u64::MAX), None);
    }
}
