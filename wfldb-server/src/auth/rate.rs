//! The `rate` limits of grants: requests per second, counted at every grant that a request is charged to.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use wfldb_core::auth::{Charge, GrantId};

/// Most grants that are followed at once.
const GRANTS_MAX: usize = 100_000;

/// Token buckets by grant: each holds up to one second's worth of requests.
#[derive(Debug)]
pub(crate) struct Rates {
    grants_max: usize,
    buckets: Mutex<HashMap<GrantId, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    /// When the bucket would be full again, if nothing more were taken.
    full_at: Instant,
}

impl Rates {
    pub(crate) fn new() -> Self {
        Self {
            grants_max: GRANTS_MAX,
            buckets: Mutex::default(),
        }
    }

    /// Takes one request from every charged grant, or from none: `false` when one of them has none left.
    pub(crate) fn take(&self, charges: &[Charge], now: Instant) -> bool {
        if charges.iter().all(|charge| charge.rate.is_none()) {
            return true;
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let limited = || {
            charges
                .iter()
                .filter_map(|charge| Some((charge.grant, charge.rate?)))
        };
        // A bucket that is full again is as good as none.
        if buckets.len() + charges.len() > self.grants_max {
            buckets.retain(|_, bucket| bucket.full_at > now);
        }
        // Fail closed: with every grant in use, the next one waits.
        let room = buckets.len() + charges.len() <= self.grants_max;
        let allowed = room
            && limited().all(|(grant, rate)| {
                let full_at = buckets.get(&grant).map_or(now, |bucket| bucket.full_at.max(now));
                interval(rate)
                    .is_some_and(|interval| full_at + interval <= now + Duration::from_secs(1).max(interval))
            });
        if allowed {
            for (grant, rate) in limited() {
                let bucket = buckets.entry(grant).or_insert(Bucket { full_at: now });
                bucket.full_at = bucket.full_at.max(now) + interval(rate).unwrap_or_default();
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

    fn charge(grant: u8, rate: Option<u64>) -> Charge {
        Charge {
            grant: GrantId::from_bytes([grant; 32]),
            quota_bytes: None,
            rate,
        }
    }

    #[test]
    fn a_second_holds_as_many_requests_as_the_rate() {
        let rates = Rates::new();
        let start = Instant::now();
        let charges = [charge(1, Some(10)), charge(2, None)];
        let taken = |at: u64| {
            (0..50)
                .filter(|_| rates.take(&charges, start + Duration::from_millis(at)))
                .count()
        };
        assert_eq!(taken(0), 10);
        assert_eq!(taken(100), 1);
        assert_eq!(taken(600), 5);
        assert_eq!(taken(5_000), 10);
        assert!(!rates.take(&[charge(3, Some(0))], start));
        assert!(rates.take(&[charge(4, None)], start));
    }

    #[test]
    fn one_exhausted_grant_charges_none_of_the_others() {
        let rates = Rates::new();
        let now = Instant::now();
        assert!(rates.take(&[charge(1, Some(1))], now));
        assert!(!rates.take(&[charge(2, Some(1)), charge(1, Some(1))], now));
        assert!(rates.take(&[charge(2, Some(1))], now));
    }

    #[test]
    fn the_memory_is_bounded_and_full_buckets_make_room() {
        let rates = Rates {
            grants_max: 3,
            ..Rates::new()
        };
        let now = Instant::now();
        for grant in 0..3 {
            assert!(rates.take(&[charge(grant, Some(1))], now));
        }
        assert!(!rates.take(&[charge(9, Some(1))], now));
        assert!(rates.take(&[charge(9, Some(1))], now + Duration::from_secs(2)));
    }
}
