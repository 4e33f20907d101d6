//! The audit log's place in the engine. Its leaves are written by the committer, with the changes that they tell of
//! (`leaf` makes their entries); here is what comes behind: tiles and checkpoints, which a worker makes of what is
//! durable, proofs and receipts. The tree's maths and every form that leaves the store are `wfldb_core::audit`'s.

mod access;
mod leaf;
mod read;
mod receipt;
mod stored;
mod tiles;
mod worker;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::watch;
use wfldb_core::audit::{NoteSigner, SignedCheckpoint, VerifierKey};

pub use self::access::Came;
pub(crate) use self::access::entry_of_access;
pub(crate) use self::leaf::{Sealed, entry_of};
pub(crate) use self::stored::StoredCheckpoint;
pub(crate) use self::tiles::{StoredTiles, entries};
pub(crate) use self::worker::run;
use crate::worker::Worker;

/// The newest checkpoint, as it is published.
pub type NewestCheckpoint = watch::Receiver<Option<Arc<SignedCheckpoint>>>;

/// Is called with each checkpoint that is published; `false`: it need not be called again.
type Told = Box<dyn Fn() -> bool + Send + Sync>;

/// What committer, worker and readers of the audit log share.
pub(crate) struct AuditLog {
    worker: Worker,
    /// The worker was woken and has not looked yet.
    woken: AtomicBool,
    begin_again: AtomicBool,
    signer: OnceLock<NoteSigner>,
    newest: watch::Sender<Option<Arc<SignedCheckpoint>>>,
    /// Whoever follows on a thread, which cannot wait for `newest`.
    listeners: Mutex<Vec<Told>>,
    /// Why nothing is signed: the store contradicts its own checkpoint.
    unsound: Mutex<Option<String>>,
}

impl AuditLog {
    pub(crate) fn new() -> Self {
        Self {
            worker: Worker::default(),
            woken: AtomicBool::new(false),
            begin_again: AtomicBool::new(false),
            signer: OnceLock::new(),
            newest: watch::Sender::new(None),
            listeners: Mutex::default(),
            unsound: Mutex::new(None),
        }
    }

    pub(crate) fn worker(&self) -> &Worker {
        &self.worker
    }

    /// There may be new leaves. Called for every group, so it costs next to nothing.
    pub(crate) fn wake(&self) {
        if !self.woken.swap(true, Ordering::SeqCst) {
            self.worker.wake();
        }
    }

    /// Has the worker begin again with what is stored.
    fn restart(&self) {
        self.begin_again.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// The newest checkpoint that is published. It is in every snapshot that is taken afterwards, and so is its tree.
    pub(crate) fn newest(&self) -> Option<Arc<SignedCheckpoint>> {
        self.newest.borrow().clone()
    }

    /// Shows a checkpoint, which is on stable storage.
    pub(crate) fn publish(&self, checkpoint: SignedCheckpoint) {
        self.newest.send_replace(Some(Arc::new(checkpoint)));
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener());
    }

    /// Has `told` called whenever a checkpoint is published, until it answers `false`. It must not block.
    pub(crate) fn on_checkpoint(&self, told: Told) {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(told);
    }

    /// Whether checkpoints are signed.
    pub(crate) fn is_signed(&self) -> bool {
        self.signer.get().is_some() && self.unsound().is_none()
    }

    /// What the checkpoints of this process are verified with; `None` while nobody signs.
    pub(crate) fn key(&self) -> Option<&VerifierKey> {
        self.signer.get().map(NoteSigner::verifier_key)
    }

    /// Why nothing is signed, if it is so.
    pub(crate) fn unsound(&self) -> Option<String> {
        self.unsound
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn refuse_to_sign(&self, why: String) {
        tracing::error!(%why, "the audit log contradicts its checkpoint; nothing is signed");
        *self.unsound.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        self.newest.send_replace(None);
    }
}
