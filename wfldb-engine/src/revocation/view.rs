//! The set of what is revoked as requests see it: written by the committer alone, once a revocation is durable.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use wfldb_core::revocation::{Chain, Revocations, Revoked, Terms};

/// What is revoked, as it is durable now.
#[derive(Debug)]
pub struct RevocationView {
    /// `None`: it cannot be read, so everything counts as revoked.
    set: RwLock<Option<Revocations>>,
    generation: AtomicU64,
}

impl Default for RevocationView {
    /// Nothing is revoked.
    fn default() -> Self {
        Self::new(Some(Revocations::default()))
    }
}

impl RevocationView {
    pub(crate) fn new(set: Option<Revocations>) -> Self {
        Self {
            set: RwLock::new(set),
            generation: AtomicU64::new(1),
        }
    }

    /// A number, 1 or more, that grows with each change. What was found not to be covered stays so while it is the same;
    /// ask for it before [`RevocationView::covers`].
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether a chain is revoked.
    ///
    /// SECURITY: fails closed. Where the rows cannot be read, every chain is.
    pub fn covers(&self, chain: &Chain) -> bool {
        let set = self.set.read().unwrap_or_else(PoisonError::into_inner);
        set.as_ref().is_none_or(|set| set.covers(chain))
    }

    /// How many revocations there are.
    pub fn len(&self) -> usize {
        let set = self.set.read().unwrap_or_else(PoisonError::into_inner);
        set.as_ref().map_or(0, Revocations::len)
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn copy(&self) -> Revocations {
        let set = self.set.read().unwrap_or_else(PoisonError::into_inner);
        set.clone().unwrap_or_default()
    }

    /// Takes over what a commit changed. Returns when every later [`RevocationView::covers`] sees it.
    pub(crate) fn publish(&self, changes: Vec<(Revoked, Option<Terms>)>) {
        if changes.is_empty() {
            return;
        }
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = set.as_mut() {
            for (what, terms) in changes {
                match terms {
                    Some(terms) => set.insert(what, terms),
                    None => set.remove(&what),
                };
            }
        }
        // ORDER: moved while the set is locked, so that whoever reads the new number reads the new set.
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}
