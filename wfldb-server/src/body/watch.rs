//! Whether what allowed a long answer is still worth anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wfldb_core::auth::Authorized;
use wfldb_core::revocation::Chain;
use wfldb_engine::RevocationView;

/// How often it is looked at. The protocol promises a second.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Looks after one answer.
#[derive(Debug)]
pub(crate) struct Watch {
    revocations: Arc<RevocationView>,
    chain: Chain,
    cut: Arc<AtomicBool>,
}

impl Watch {
    /// `None` where no packet allowed it.
    pub(crate) fn of(authorized: &Authorized, revocations: Arc<RevocationView>) -> Option<Self> {
        Some(Self {
            revocations,
            chain: authorized.chain()?.clone(),
            cut: Arc::default(),
        })
    }

    /// Set once the packet was revoked.
    pub(crate) fn cut(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.cut)
    }

    /// Returns when the packet was revoked, and never before.
    pub(crate) async fn until_revoked(self) {
        // A revocation may have come since the request was admitted, so the first look is at once.
        let mut seen = 0;
        loop {
            let generation = self.revocations.generation();
            if generation != seen && self.revocations.covers(&self.chain) {
                self.cut.store(true, Ordering::Release);
                return;
            }
            seen = generation;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
