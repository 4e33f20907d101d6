//! Requests per second: of each grant that a request is charged to, of the key that sends it, of the bucket that it is
//! about.

use std::time::Instant;

use wfldb_core::auth::{Charge, GrantId};
use wfldb_core::id::{BucketId, PublicKey};
use wfldb_core::revocation::KeyBytes;

use super::tokens::Tokens;

/// The rates that requests are counted by. Each kind is followed by itself, so that many of one leave room for the others.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    grants: Tokens<GrantId>,
    keys: Tokens<KeyBytes>,
    buckets: Tokens<BucketId>,
    /// Requests per second of one key; `None`: any number.
    per_key: Option<u64>,
}

impl Rates {
    pub(crate) fn new(per_key: Option<u64>) -> Self {
        Self {
            per_key,
            ..Self::default()
        }
    }

    /// Takes one request from every charged grant, or from none: `false` when one of them has none left.
    pub(crate) fn take(&self, charges: &[Charge], now: Instant) -> bool {
        let limited = |charge: &Charge| Some((charge.grant, charge.rate?));
        if charges.iter().all(|charge| charge.rate.is_none()) {
            return true;
        }
        let limited: Vec<_> = charges.iter().filter_map(limited).collect();
        self.grants.take(&limited, now)
    }

    /// Takes one request of a key; `false` when it has none left.
    pub(crate) fn take_of_key(&self, key: &PublicKey, now: Instant) -> bool {
        let per_key = self.per_key;
        per_key.is_none_or(|rate| self.keys.take(&[(*key.as_bytes(), rate)], now))
    }

    /// Takes one request of a bucket with a rate; `false` when it has none left.
    pub(crate) fn take_of_bucket(&self, bucket: BucketId, rate: u64, now: Instant) -> bool {
        self.buckets.take(&[(bucket, rate)], now)
    }
}

#[cfg(test)]
mod tests {
    use wfldb_core::id::SecretKey;

    use super::*;

    fn charge(grant: u8, rate: Option<u64>) -> Charge {
        Charge {
            grant: GrantId::from_bytes([grant; 32]),
            quota_bytes: None,
            rate,
        }
    }

    #[test]
    fn grants_without_a_rate_are_not_counted() {
        let rates = Rates::new(None);
        let now = Instant::now();
        assert!(rates.take(&[charge(1, Some(1)), charge(2, None)], now));
        assert!(!rates.take(&[charge(1, Some(1)), charge(2, None)], now));
        assert!(rates.take(&[charge(2, None)], now));
    }

    #[test]
    fn keys_and_buckets_are_counted_each_by_itself() {
        let key = |seed| SecretKey::from_seed([seed; 32]).public_key();
        let rates = Rates::new(Some(2));
        let now = Instant::now();
        let taken = |seed| (0..5).filter(|_| rates.take_of_key(&key(seed), now)).count();
        assert_eq!((taken(1), taken(2), taken(1)), (2, 2, 0));
        assert!(Rates::new(None).take_of_key(&key(1), now));
        let bucket = |byte| BucketId::from_bytes([byte; 16]);
        let taken = |byte| {
            (0..5)
                .filter(|_| rates.take_of_bucket(bucket(byte), 3, now))
                .count()
        };
        assert_eq!((taken(1), taken(2), taken(1)), (3, 3, 0));
    }
}
