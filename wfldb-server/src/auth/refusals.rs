//! How many refusals are logged: so many a second of a key, and of a bucket, so that nobody fills the audit log with them.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wfldb_core::id::{BucketId, PublicKey};
use wfldb_core::limits::{AUDIT_REFUSALS_OF_BUCKET, AUDIT_REFUSALS_OF_KEY};
use wfldb_core::revocation::KeyBytes;

use super::tokens::Tokens;

/// Refusals whose bucket is being looked for.
const LOOKING_MAX: usize = 16;

/// What bounds them.
#[derive(Debug)]
pub(crate) struct Refusals {
    /// By key and bucket, so that what a key is refused elsewhere hides nothing here.
    keys: Tokens<(KeyBytes, BucketId)>,
    buckets: Tokens<BucketId>,
    looking: Arc<Semaphore>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self {
            keys: Tokens::default(),
            buckets: Tokens::default(),
            looking: Arc::new(Semaphore::new(LOOKING_MAX)),
        }
    }
}

impl Refusals {
    /// Takes one of a key in a bucket; `false` when there were enough of either.
    pub(crate) fn take(&self, key: &PublicKey, bucket: BucketId, now: Instant) -> bool {
        self.keys
            .take(&[((*key.as_bytes(), bucket), AUDIT_REFUSALS_OF_KEY)], now)
            && self.buckets.take(&[(bucket, AUDIT_REFUSALS_OF_BUCKET)], now)
    }

    /// Room to look for the bucket of one.
    pub(crate) fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.looking).try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use wfldb_core::id::SecretKey;

    use super::*;

    /// Defects it catches: one key that uses up a bucket's; refusals elsewhere that hide those here.
    #[test]
    fn each_key_has_its_share_of_a_bucket_and_the_bucket_its_own_bound() {
        let refusals = Refusals::default();
        let now = Instant::now();
        let bucket = |byte| BucketId::from_bytes([byte; 16]);
        let taken = |seed, of| {
            let key = SecretKey::from_seed([seed; 32]).public_key();
            (0..100).filter(|_| refusals.take(&key, bucket(of), now)).count() as u64
        };
        assert_eq!(taken(1, 1), AUDIT_REFUSALS_OF_KEY);
        assert_eq!(taken(1, 2), AUDIT_REFUSALS_OF_KEY);
        let all: u64 = (1..100).map(|seed| taken(seed, 3)).sum();
        assert_eq!(all, AUDIT_REFUSALS_OF_BUCKET);
    }
}
