//! Holding the mirror still: for a moment its thread waits at a rest point, where every file is what one state of the store
//! says. What differs then differs for no other reason.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::error::EngineError;
use crate::mirror::cursor::Cursor;
use crate::mirror::state::State;
use crate::mirror::{Shared, lock};

/// The mirror's thread waits no longer than this, whoever holds it.
const HELD_MAX: Duration = Duration::from_secs(2);
/// Between two looks whether the mirror ends.
const TICK: Duration = Duration::from_millis(100);

/// The mirror's thread waits while this is there.
pub(in crate::mirror) struct Held {
    pub(super) cursor: Cursor,
    over: Arc<AtomicBool>,
    _release: mpsc::Sender<()>,
}

/// Whoever waits for the mirror to stand still.
pub(in crate::mirror) type Ask = mpsc::Sender<(State, Held)>;

/// Whether the files move while they are looked at.
#[derive(Clone, Copy)]
pub(super) enum Standing<'a> {
    /// The mirror writes: what differs may be on its way.
    Moving,
    /// Nobody writes.
    Still,
    /// The mirror waits.
    Held(&'a Held),
}

impl Standing<'_> {
    /// Whether what was read until now is of one state.
    pub(super) fn holds(self) -> bool {
        match self {
            Self::Moving => false,
            Self::Still => true,
            Self::Held(held) => !held.over.load(Ordering::SeqCst),
        }
    }

    pub(super) fn is_held(self) -> bool {
        matches!(self, Self::Held(_))
    }

    /// The position that the mirror wrote into its files.
    pub(super) fn written(self) -> Option<u64> {
        match self {
            Self::Moving | Self::Still => None,
            Self::Held(held) => Some(held.cursor.position),
        }
    }
}

impl Shared {
    /// Whether somebody waits for the mirror to stand still.
    pub(in crate::mirror) fn is_asked(&self) -> bool {
        !lock(&self.asks).is_empty()
    }

    /// Stands still for whoever asked, at `state`, which the files are. On the mirror's thread.
    pub(in crate::mirror) fn stand(&self, state: State, cursor: Cursor) {
        let Some(ask) = lock(&self.asks).pop_front() else {
            return;
        };
        let over = Arc::<AtomicBool>::default();
        let (release, released) = mpsc::channel();
        let held = Held {
            cursor,
            over: Arc::clone(&over),
            _release: release,
        };
        // Where nobody waits any more it is dropped, and released.
        let _ = ask.send((state, held));
        if released.recv_timeout(HELD_MAX) == Err(RecvTimeoutError::Timeout) {
            // Before anything is written: what is read from now on counts for nothing.
            over.store(true, Ordering::SeqCst);
        }
    }

    /// Waits until the mirror stands still.
    pub(super) fn hold(&self, at_most: Duration) -> Result<(State, Held), EngineError> {
        let deadline = Instant::now() + at_most;
        let (ask, asked) = mpsc::channel();
        lock(&self.asks).push_back(ask);
        self.bell.ring();
        loop {
            match asked.recv_timeout(TICK) {
                Ok(held) => return Ok(held),
                Err(_) if self.bell.has_ended() => return Err(EngineError::Closing),
                // What is asked stays, and ends as it is taken up, since nobody waits for it.
                Err(_) if Instant::now() >= deadline => return Err(EngineError::MirrorBehind),
                Err(RecvTimeoutError::Timeout) => {}
                // It was taken up and given up, which a thread does only as it ends.
                Err(RecvTimeoutError::Disconnected) => return Err(EngineError::Closing),
            }
        }
    }
}
