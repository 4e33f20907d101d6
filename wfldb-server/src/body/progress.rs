//! How an answer gets on: whether it waits for its peer, and since when.
//!
//! Over HTTP/2 a peer can take the head of an answer, give no window for its body, and keep the connection alive. Nothing
//! below notices that: no byte waits in the socket, and the body is not even asked for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An answer of which no further piece (1 MiB at most) was taken for this long is given up: 16 KiB/s.
const STALLED: Duration = Duration::from_secs(64);
/// The same for a feed once the server stops. A feed has no end of its own that would be worth waiting for, and its
/// reader goes on from where it was told that it stands.
const STALLED_AT_THE_END: Duration = Duration::from_secs(2);

/// How one answer gets on.
#[derive(Debug, Default)]
pub(crate) struct Progress(Mutex<Standing>);

#[derive(Debug, Default)]
struct Standing {
    /// Since when it waits for its peer. `None`: it is we who have nothing to send yet.
    waits_since: Option<Instant>,
    is_feed: bool,
}

impl Progress {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The head is on its way, or the piece before was taken: the next one is there for the taking.
    pub(crate) fn offered(&self) {
        self.standing().waits_since = Some(Instant::now());
    }

    /// The peer asks for a piece that is not there yet.
    pub(super) fn awaited(&self) {
        self.standing().waits_since = None;
    }

    /// It is an answer without an end of its own.
    pub(crate) fn is_of_a_feed(&self) {
        self.standing().is_feed = true;
    }

    /// Whether the peer has kept it waiting for too long. `stopping`: since when the server is.
    pub(crate) fn is_stalled(&self, now: Instant, stopping: Option<Instant>) -> bool {
        let standing = self.standing();
        let Some(since) = standing.waits_since else {
            return false;
        };
        let patience_ends = match stopping {
            Some(stopping) if standing.is_feed => since.max(stopping) + STALLED_AT_THE_END,
            _ => since + STALLED,
        };
        now >= patience_ends
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
        assert!(!progress.is_stalled(late(), None));
        progress.offered();
        assert!(progress.is_stalled(late(), None) && !progress.is_stalled(Instant::now(), None));
        progress.awaited();
        assert!(!progress.is_stalled(late(), None));
    }

    /// Defects it catches: a feed that nobody reads and that holds up a stop; a download that is cut by one; a feed that
    /// is cut at once, since it was waiting when the stop came.
    #[test]
    fn a_stop_waits_less_for_a_feed() {
        let (feed, download) = (Progress::default(), Progress::default());
        feed.is_of_a_feed();
        feed.offered();
        download.offered();
        let stopping = Instant::now() + STALLED / 2;
        let soon = stopping + STALLED_AT_THE_END;
        assert!(!feed.is_stalled(soon, None) && !feed.is_stalled(stopping, Some(stopping)));
        assert!(feed.is_stalled(soon, Some(stopping)) && !download.is_stalled(soon, Some(stopping)));
        feed.awaited();
        assert!(!feed.is_stalled(soon, Some(stopping)));
    }
}
