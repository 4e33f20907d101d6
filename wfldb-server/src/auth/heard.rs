//! What is known of a request's signer before it is known what becomes of the request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use wfldb_core::request::Attempt;

/// Filled on the way through the gate, and read when the answer is there or the request has failed. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    attempt: OnceLock<Attempt>,
    admitted: AtomicBool,
}

impl Heard {
    /// The signature verified.
    pub(super) fn note(&self, attempt: Option<Attempt>) {
        if let Some(attempt) = attempt {
            // A request has one.
            let _ = self.0.attempt.set(attempt);
        }
    }

    /// The packet allows it.
    pub(crate) fn admit(&self) {
        self.0.admitted.store(true, Ordering::Relaxed);
    }

    /// Who signed what; `None` while nobody is known to have signed a request to something in a bucket.
    pub(crate) fn attempt(&self) -> Option<&Attempt> {
        self.0.attempt.get()
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.0.admitted.load(Ordering::Relaxed)
    }
}
