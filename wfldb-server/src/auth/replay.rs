//! Each request is carried out once, across restarts too: the memory of nonces, and the durable mark behind it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use wfldb_core::replay::ReplayMemory;
use wfldb_core::request::{FreshError, FreshRequest, VerifiedRequest, Window};
use wfldb_core::time::UnixMillis;
use wfldb_engine::ReplayMark;

/// Nonces that are remembered: 60,000 a second for the default window.
const NONCES_MAX: usize = 4_000_000;
/// Nonces of one key and of all that it passed its packet on to: half of all.
const NONCES_OF_ONE_KEY: usize = NONCES_MAX / 2;
/// How far ahead of now the mark is kept while requests come, so that none waits for its sync.
const AHEAD_MS: u64 = 700;

/// The replay memory and its durable mark.
#[derive(Debug)]
pub(crate) struct Replay {
    memory: Mutex<ReplayMemory>,
    mark: Arc<ReplayMark>,
    window: Window,
    /// The newest timestamp that was accepted.
    accepted_ms: AtomicU64,
    /// A request came since the mark was last moved ahead.
    active: AtomicBool,
}

impl Replay {
    pub(crate) fn new(mark: Arc<ReplayMark>, window: Window) -> Self {
        Self {
            memory: Mutex::new(ReplayMemory::with_window(NONCES_MAX, NONCES_OF_ONE_KEY, window)),
            mark,
            window,
            accepted_ms: AtomicU64::new(0),
            active: AtomicBool::new(false),
        }
    }

    pub(crate) fn window(&self) -> Window {
        self.window
    }

    /// The mark that the last process left: requests stamped at or before it are refused.
    pub(crate) fn at_start(&self) -> UnixMillis {
        self.mark.at_start()
    }

    /// Spends the request's nonce. Nothing may be told about the request before the mark covers its timestamp.
    pub(crate) fn spend(
        &self,
        request: VerifiedRequest,
        now: UnixMillis,
    ) -> Result<FreshRequest, FreshError> {
        let timestamp = request.timestamp();
        let fresh = {
            let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            request.fresh(&mut memory, now)?
        };
        self.accepted_ms.fetch_max(timestamp.get(), Ordering::Relaxed);
        self.active.store(true, Ordering::Relaxed);
        Ok(fresh)
    }

    /// Lets go of nonces that left the window although no requests come.
    pub(crate) fn forget_by(&self, now: UnixMillis) {
        self.memory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .forget_by(now);
    }

    /// Whether the durable mark is at or above `timestamp`.
    pub(crate) fn covers(&self, timestamp: UnixMillis) -> bool {
        timestamp <= self.mark.current()
    }

    /// Returns when the durable mark is at or above `timestamp`. Blocks for a sync when it has to move: after the nonce
    /// was spent, so that replays do not move it.
    pub(crate) fn cover(&self, timestamp: UnixMillis) -> io::Result<()> {
        self.mark.reserve(timestamp)
    }

    /// Moves the mark ahead of now, if requests came since the last call. Blocks for a sync.
    pub(crate) fn move_ahead(&self, now: UnixMillis) -> io::Result<()> {
        if self.active.swap(false, Ordering::Relaxed) {
            self.mark.reserve(now.plus_ms(AHEAD_MS))
        } else {
            Ok(())
        }
    }

    /// At a clean stop, with no request running: the mark becomes the newest timestamp that was accepted.
    pub(crate) fn settle(&self) -> io::Result<()> {
        self.mark
            .exact(UnixMillis::new(self.accepted_ms.load(Ordering::Relaxed)))
    }
}
