//! How far a request's timestamp may be from the server's time.

use crate::limits::{SKEW_FUTURE_MS, SKEW_MS_MAX, SKEW_PAST_MS};
use crate::time::UnixMillis;

/// The window that a request's timestamp has to be in, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    past_ms: u64,
    future_ms: u64,
}

impl Window {
    /// A window; `None` when either side is over 300 s.
    pub fn new(past_ms: u64, future_ms: u64) -> Option<Self> {
        (past_ms <= SKEW_MS_MAX && future_ms <= SKEW_MS_MAX).then_some(Self { past_ms, future_ms })
    }

    /// How old a timestamp may be, in milliseconds.
    pub fn past_ms(&self) -> u64 {
        self.past_ms
    }

    /// How far ahead a timestamp may be, in milliseconds.
    pub fn future_ms(&self) -> u64 {
        self.future_ms
    }

    /// Whether the timestamp is in the window at `now`.
    pub fn contains(&self, timestamp: UnixMillis, now: UnixMillis) -> bool {
        now.minus_ms(self.past_ms) <= timestamp && timestamp <= now.plus_ms(self.future_ms)
    }
}

impl Default for Window {
    fn default() -> Self {
        Self {
            past_ms: SKEW_PAST_MS,
            future_ms: SKEW_FUTURE_MS,
        }
    }
}
