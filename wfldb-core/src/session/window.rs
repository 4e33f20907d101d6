//! The counters of a session: each is used once, in any order within a window. After RFC 6479.

use crate::limits::SESSION_WINDOW;
use crate::replay::ReplayError;

const WORD_BITS: u64 = 64;
/// One word more than the window has, so that the word which the newest counter begins holds none that is in it still.
const WORDS: usize = (SESSION_WINDOW / WORD_BITS) as usize + 1;

/// Which counters of a session were used. A pure state machine of about 1 KiB; whoever keeps it makes each call atomic.
///
/// ```
/// use wfldb_core::session::CounterWindow;
///
/// let mut counters = CounterWindow::default();
/// assert!(counters.take(2).is_ok());
/// assert!(counters.take(1).is_ok());
/// assert!(counters.take(2).is_err());
/// ```
pub struct CounterWindow {
    newest: u64,
    used: Box<[u64; WORDS]>,
}

impl std::fmt::Debug for CounterWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CounterWindow")
            .field("newest", &self.newest)
            .finish_non_exhaustive()
    }
}

impl Default for CounterWindow {
    fn default() -> Self {
        Self {
            newest: 0,
            used: Box::new([0; WORDS]),
        }
    }
}

impl CounterWindow {
    /// Takes a counter, once. Call it only with a counter whose tag verified: a larger one moves the window.
    ///
    /// # Errors
    /// [`ReplayError::Replayed`] when it was used, [`ReplayError::CounterTooOld`] when it is below the window or 0, so
    /// that nobody knows; nothing is changed then.
    pub fn take(&mut self, counter: u64) -> Result<(), ReplayError> {
        let is_newer = counter > self.newest;
        if counter == 0 || (!is_newer && self.newest - counter >= SESSION_WINDOW) {
            return Err(ReplayError::CounterTooOld);
        }
        if is_newer {
            // Words that the window moves into hold counters from its last turn.
            let (from, to) = (self.newest / WORD_BITS, counter / WORD_BITS);
            for word in (from + 1..=to).take(WORDS) {
                if let Some(bits) = self.used.get_mut(place(word)) {
                    *bits = 0;
                }
            }
            self.newest = counter;
        }
        let bit = 1_u64 << (counter % WORD_BITS);
        // There is a word at each place; without one nothing is accepted.
        let bits = self
            .used
            .get_mut(place(counter / WORD_BITS))
            .ok_or(ReplayError::CounterTooOld)?;
        if *bits & bit != 0 {
            return Err(ReplayError::Replayed);
        }
        *bits |= bit;
        Ok(())
    }
}

/// Where the word with this number is kept.
fn place(word: u64) -> usize {
    usize::try_from(word % WORDS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_counter_is_taken_once_within_the_window() {
        let mut counters = CounterWindow::default();
        assert_eq!(counters.take(0), Err(ReplayError::CounterTooOld));
        for counter in (1..=SESSION_WINDOW).rev() {
            assert_eq!(counters.take(counter), Ok(()), "{counter}");
        }
        for counter in 1..=SESSION_WINDOW {
            assert_eq!(counters.take(counter), Err(ReplayError::Replayed), "{counter}");
        }
        assert_eq!(counters.take(SESSION_WINDOW + 2), Ok(()));
        assert_eq!(counters.take(2), Err(ReplayError::CounterTooOld));
        assert_eq!(counters.take(3), Err(ReplayError::Replayed));
        assert_eq!(counters.take(SESSION_WINDOW + 1), Ok(()));
    }

    /// A defect it catches: only the words of one turn cleared, so that a jump found old bits.
    #[test]
    fn a_jump_forgets_what_it_leaves_behind() {
        let mut counters = CounterWindow::default();
        for counter in 1..=SESSION_WINDOW {
            counters.take(counter).unwrap();
        }
        let far = u64::MAX;
        assert_eq!(counters.take(far), Ok(()));
        for counter in far - SESSION_WINDOW + 1..far {
            assert_eq!(counters.take(counter), Ok(()), "{counter}");
        }
        assert_eq!(
            counters.take(far - SESSION_WINDOW),
            Err(ReplayError::CounterTooOld)
        );
        assert_eq!(counters.take(far), Err(ReplayError::Replayed));
    }

    proptest! {
        /// Against a set that remembers everything.
        #[test]
        fn a_window_says_what_a_whole_memory_would(
            steps in proptest::collection::vec((any::<bool>(), 0_u64..3 * SESSION_WINDOW), 1..400),
        ) {
            let (mut counters, mut all, mut newest) = (CounterWindow::default(), HashSet::new(), 0_u64);
            for (ahead, step) in steps {
                let counter = if ahead { newest + step % 200 } else { newest.saturating_sub(step) };
                let expected = if counter == 0 || newest.saturating_sub(counter) >= SESSION_WINDOW {
                    Err(ReplayError::CounterTooOld)
                } else if all.insert(counter) {
                    Ok(())
                } else {
                    Err(ReplayError::Replayed)
                };
                prop_assert_eq!(counters.take(counter), expected, "{} after {}", counter, newest);
                newest = newest.max(counter);
            }
        }
    }
}
