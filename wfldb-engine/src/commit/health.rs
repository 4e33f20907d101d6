//! Whether writes can succeed: the poison latch, the stall watchdog, the read-only reason.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Without a successful commit for this long while one is wanted, the store is not ready.
///
/// One second below the ten that are promised, so that a probe each second sees it in time.
pub(crate) const STALL: Duration = Duration::from_secs(9);
/// A probe of readiness asks for a heartbeat when the last commit is older than this.
pub(crate) const HEARTBEAT_AFTER: Duration = Duration::from_secs(3);

/// Why writes do not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unready {
    /// Damage was found at open; reads go on.
    ReadOnly(String),
    /// A commit failed; reads go on, a reopen is needed.
    Poisoned,
    /// No commit succeeded for ten seconds.
    Stalled,
    /// The free-space floor is reached.
    LowSpace,
}

impl std::fmt::Display for Unready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ReadOnly(reason) => write!(f, "read-only: {reason}"),
            Self::Poisoned => f.write_str("a commit failed; restart the store"),
            Self::Stalled => f.write_str("no commit succeeded for ten seconds"),
            Self::LowSpace => f.write_str("the free-space floor is reached"),
        }
    }
}

/// Shared by the committer, which reports, and by whoever asks.
#[derive(Debug)]
pub(crate) struct CommitHealth {
    origin: Instant,
    poisoned: AtomicBool,
    /// Milliseconds since `origin` of the last success.
    last_success_ms: AtomicU64,
    /// Milliseconds since `origin` + 1 since when a commit is wanted without success; 0: none is.
    wanted_since_ms: AtomicU64,
}

impl CommitHealth {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            poisoned: AtomicBool::new(false),
            last_success_ms: AtomicU64::new(0),
            wanted_since_ms: AtomicU64::new(0),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A plan waits. Keeps the oldest such moment until a commit succeeds.
    pub(crate) fn wanted(&self) {
        let now = self.now_ms() + 1;
        let _ = self
            .wanted_since_ms
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// A commit succeeded; `more` plans still wait.
    pub(crate) fn succeeded(&self, more: bool) {
        let now = self.now_ms();
        self.last_success_ms.store(now, Ordering::Relaxed);
        self.wanted_since_ms
            .store(if more { now + 1 } else { 0 }, Ordering::Relaxed);
    }

    /// A commit failed: from here on every write is refused.
    pub(crate) fn poison(&self) {
        self.poisoned.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::SeqCst)
    }

    pub(crate) fn is_stalled(&self) -> bool {
        let since = self.wanted_since_ms.load(Ordering::Relaxed);
        since != 0 && self.now_ms().saturating_sub(since - 1) >= u64::try_from(STALL.as_millis()).unwrap_or(0)
    }

    pub(crate) fn wants_heartbeat(&self) -> bool {
        let idle = self
            .now_ms()
            .saturating_sub(self.last_success_ms.load(Ordering::Relaxed));
        self.wanted_since_ms.load(Ordering::Relaxed) == 0
            && idle >= u64::try_from(HEARTBEAT_AFTER.as_millis()).unwrap_or(0)
    }
}
