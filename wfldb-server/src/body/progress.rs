//! How an answer gets on: whether it waits for its peer, and since when.
//!
//! Over HTTP/2 a peer can take the head of an answer, give no window for its body, and keep the connection alive. Nothing
//! below notices that: no byte waits in the socket, and the body is not even asked for.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An answer of which no further piece (1 MiB at most) was taken for this long is given up: 16 KiB/s.
const STALLED: Duration = Duration::from_secs(64);

/// One answer's: since when it waits for its peer. `None`: it is we who have nothing to send yet.
#[derive(Debug, Default)]
pub(crate) struct Progress(Mutex<Option<Instant>>);

impl Progress {
    fn set(&self, waits_since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = waits_since;
    }

    /// The head is on its way, or the piece before was taken: the next one is there for the taking.
    pub(crate) fn offered(&self) {
        self.set(Some(Instant::now()));
    }

    /// The peer asks for a piece that is not there yet.
    pub(super) fn awaited(&self) {
        self.set(None);
    }

    /// Whether the peer has kept it waiting for too long.
    pub(crate) fn is_stalled(&self, now: Instant) -> bool {
        let waits_since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waits_since.is_some_and(|since| now.saturating_duration_since(since) >= STALLED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Defects it catches: a peer that is blamed for our own slowness, or forgiven its own.
    #[test]
    fn only_a_wait_for_the_peer_is_a_stall() {
        let progress = Progress::default();
        let late = || Instant::now() + STALLED;
        assert!(!progress.is_stalled(late()));
        progress.offered();
        assert!(progress.is_stalled(late()) && !progress.is_stalled(Instant::now()));
        progress.awaited();
        assert!(!progress.is_stalled(late()));
    }
}
