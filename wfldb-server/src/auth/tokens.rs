//! Token buckets: so many requests a second of whatever a rate is counted by, with room for one second's worth at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most of them that are followed at once.
const FOLLOWED_MAX: usize = 100_000;

/// Token buckets by `K`. Bounded: one that is full again is as good as none.
#[derive(Debug)]
pub(super) struct Tokens<K> {
    followed_max: usize,
    /// When each would be full again, if nothing more were taken.
    full_at: Mutex<HashMap<K, Instant>>,
}

impl<K> Default for Tokens<K> {
    fn default() -> Self {
        Self {
            followed_max: FOLLOWED_MAX,
            full_at: Mutex::default(),
        }
    }
}

impl<K: Copy + Eq + Hash> Tokens<K> {
    /// Takes one request from each, or from none: `false` when one of them has none left. A rate of 0 allows none; as all
    /// others are at least one a second, whoever waits a second finds one.
    pub(super) fn take(&self, limited: &[(K, u64)], now: Instant) -> bool {
        if limited.is_empty() {
            return true;
        }
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() + limited.len() > self.followed_max {
            full_at.retain(|_, full_at| *full_at > now);
        }
        // Fail closed: with all of them in use, the next one waits.
        let room = full_at.len() + limited.len() <= self.followed_max;
        let allowed = room
            && limited.iter().all(|(key, rate)| {
                let full_at = full_at.get(key).map_or(now, |full_at| (*full_at).max(now));
                interval(*rate)
                    .is_some_and(|interval| full_at + interval <= now + Duration::from_secs(1).max(interval))
            });
        if allowed {
            for (key, rate) in limited {
                let full_at = full_at.entry(*key).or_insert(now);
                *full_at = (*full_at).max(now) + interval(*rate).unwrap_or_default();
            }
        }
        allowed
    }
}

/// Time between two requests; `None` for a rate of 0, which allows none.
fn interval(rate: u64) -> Option<Duration> {
    1_000_000_000_u64.checked_div(rate).map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_as_many_requests_as_the_rate() {
        let tokens = Tokens::default();
        let start = Instant::now();
        let taken = |at: u64| {
            (0..50)
                .filter(|_| tokens.take(&[(1, 10)], start + Duration::from_millis(at)))
                .count()
        };
        assert_eq!(taken(0), 10);
        assert_eq!(taken(100), 1);
        assert_eq!(taken(600), 5);
        assert_eq!(taken(5_000), 10);
        assert!(!tokens.take(&[(3, 0)], start));
        assert!(tokens.take(&[], start));
    }

    #[test]
    fn one_that_is_exhausted_charges_none_of_the_others() {
        let tokens = Tokens::default();
        let now = Instant::now();
        assert!(tokens.take(&[(1, 1)], now));
        assert!(!tokens.take(&[(2, 1), (1, 1)], now));
        assert!(tokens.take(&[(2, 1)], now));
    }

    #[test]
    fn the_memory_is_bounded_and_full_buckets_make_room() {
        let tokens = Tokens {
            followed_max: 3,
            ..Tokens::default()
        };
        let now = Instant::now();
        for key in 0..3 {
            assert!(tokens.take(&[(key, 1)], now));
        }
        assert!(!tokens.take(&[(9, 1)], now));
        assert!(tokens.take(&[(9, 1)], now + Duration::from_secs(2)));
    }
}
