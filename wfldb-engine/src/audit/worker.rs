//! The worker of the audit log: follows what is durable, keeps full tiles, signs checkpoints. Off the committer's way: a
//! write is answered before its leaf is in a tile.
//!
//! INVARIANT: it reads snapshots, which show only what is on stable storage, so no size is signed that could be lost.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use wfldb_core::audit::{GrowingTree, SignedCheckpoint, leaf_hash};

use super::stored::StoredCheckpoint;
use super::tiles::{StoredTiles, entries};
use crate::commit::plan::{AuditRows, Mutation};
use crate::engine::Inner;
use crate::error::EngineError;
use crate::row::{CommitMark, RowError, key};
use crate::storage::{Snapshot, Space};

/// Between two checkpoints, so that signing and its commit cost little however many groups there are.
const BETWEEN_CHECKPOINTS: Duration = Duration::from_millis(200);
/// After something failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Leaves that are read in one step; their tiles go into one commit.
const LEAVES_PER_STEP: u64 = 16_384;
/// A look without being woken.
const IDLE: Duration = Duration::from_hours(1);

/// The thread.
pub(crate) fn run(inner: &Weak<Inner>, wake: &Receiver<()>) {
    let mut follower = Follower::default();
    let mut wait = Duration::ZERO;
    loop {
        // The second time: leaves that come before a checkpoint is due are taken up together, when it is. Nobody wakes
        // for them, since the first message was not taken up yet; whoever does wants more than that.
        for wait in [wait, follower.until_due()] {
            match wake.recv_timeout(wait) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        let Some(inner) = inner.upgrade() else { return };
        // ORDER: before looking, so that what comes during the look wakes again.
        inner.audit.woken.store(false, Ordering::SeqCst);
        if inner.audit.begin_again.swap(false, Ordering::SeqCst) {
            follower = Follower::default();
        }
        wait = match follower.step(&inner) {
            Ok(wait) => wait,
            Err(error) => {
                follower = Follower::default();
                after_failure(&inner, &error)
            }
        };
    }
}

/// What becomes of a failure; answers when to try again.
fn after_failure(inner: &Inner, error: &EngineError) -> Duration {
    match error {
        // Nothing is written any more until the store is opened again.
        EngineError::Closing | EngineError::ReadOnly => IDLE,
        EngineError::Corrupt(what) => {
            inner
                .audit
                .refuse_to_sign(format!("a stored {what} is not what was written"));
            IDLE
        }
        error => {
            tracing::warn!(%error, "the audit log could not be followed; it is tried again");
            AFTER_FAILURE
        }
    }
}

/// How far the worker is.
#[derive(Default)]
struct Follower {
    /// `None` until it was read from the store.
    tree: Option<GrowingTree>,
    /// The tree of the newest checkpoint, whoever signed it.
    signed_size: u64,
    /// It was signed with the key that signs now.
    signed_by_us: bool,
    signed_at: Option<Instant>,
}

impl Follower {
    /// How long it is until the next checkpoint may be signed.
    fn until_due(&self) -> Duration {
        self.signed_at.map_or(Duration::ZERO, |at| {
            BETWEEN_CHECKPOINTS.saturating_sub(at.elapsed())
        })
    }

    /// Goes on by a bounded piece; answers when to look again.
    fn step(&mut self, inner: &Arc<Inner>) -> Result<Duration, EngineError> {
        if inner.audit.unsound().is_some() {
            return Ok(IDLE);
        }
        let snapshot = inner.storage.snapshot();
        let durable = leaves(&*snapshot)?;
        if self.tree.is_none() && !self.restore(inner, &*snapshot, durable)? {
            return Ok(IDLE);
        }
        let Some(tree) = &mut self.tree else {
            return Ok(IDLE);
        };
        let mut full = Vec::new();
        let count = durable.saturating_sub(tree.size()).min(LEAVES_PER_STEP);
        let wanted = tree.size() + count;
        for entry in entries(&*snapshot, tree.size(), count) {
            full.extend(tree.push(leaf_hash(&entry?)));
        }
        if tree.size() != wanted {
            return Err(EngineError::Corrupt("leaf"));
        }
        drop(snapshot);
        let caught_up = tree.size() == durable;
        let (checkpoint, next) = self.checkpoint(inner, caught_up)?;
        let tiles = full.iter().map(|tile| {
            (
                tile.id().level(),
                tile.id().number(),
                Bytes::from(tile.to_bytes()),
            )
        });
        let rows = AuditRows {
            tiles: tiles.collect(),
            checkpoint: checkpoint
                .as_ref()
                .zip(inner.audit.signer.get())
                .map(|(checkpoint, signer)| StoredCheckpoint::encode(checkpoint, signer.verifier_key())),
        };
        if !rows.tiles.is_empty() || rows.checkpoint.is_some() {
            // DURABILITY: a checkpoint is in the store before anybody sees it.
            inner.submit_system("audit", Mutation::Audit(Box::new(rows)))?;
        }
        if let Some(checkpoint) = checkpoint {
            self.signed_size = checkpoint.size();
            self.signed_by_us = true;
            self.signed_at = Some(Instant::now());
            inner.audit.publish(checkpoint);
        }
        Ok(next)
    }

    /// The checkpoint that is due, and when to look again.
    fn checkpoint(
        &self,
        inner: &Arc<Inner>,
        caught_up: bool,
    ) -> Result<(Option<SignedCheckpoint>, Duration), EngineError> {
        if !caught_up {
            return Ok((None, Duration::ZERO));
        }
        let (Some(signer), Some(tree)) = (inner.audit.signer.get(), &self.tree) else {
            return Ok((None, IDLE));
        };
        // INVARIANT: no tree that is smaller than the newest that was signed.
        let is_new = tree.size() > self.signed_size || !self.signed_by_us;
        if !is_new || tree.size() < self.signed_size {
            return Ok((None, IDLE));
        }
        let rest = self.until_due();
        if rest > Duration::ZERO {
            return Ok((None, rest));
        }
        Ok((
            Some(SignedCheckpoint::sign(tree.size(), tree.root(), signer)?),
            IDLE,
        ))
    }

    /// Takes up the tree where the stored tiles end, after the stored checkpoint was found to be one of it. `false`: it
    /// is not, and nothing will be signed.
    fn restore(
        &mut self,
        inner: &Arc<Inner>,
        snapshot: &dyn Snapshot,
        durable: u64,
    ) -> Result<bool, EngineError> {
        let mut tiles = StoredTiles::new(snapshot);
        let mut size = tiles.leaves()?;
        let stored = snapshot.get(Space::Meta, key::CHECKPOINT)?;
        let stored = stored.map(|row| StoredCheckpoint::decode(&row)).transpose();
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => {
                inner
                    .audit
                    .refuse_to_sign(format!("the stored checkpoint is damaged: {error}"));
                return Ok(false);
            }
        };
        if size > durable {
            inner
                .audit
                .refuse_to_sign("there are tiles of leaves that are not there".to_owned());
            return Ok(false);
        }
        if let Some(StoredCheckpoint { checkpoint, key }) = stored {
            let root = if checkpoint.size() > durable {
                None
            } else {
                Some(GrowingTree::restore(checkpoint.size(), &mut tiles)?.root())
            };
            if root != Some(checkpoint.root()) {
                let why = format!(
                    "the stored checkpoint of {} leaves is not of this log",
                    checkpoint.size()
                );
                inner.audit.refuse_to_sign(why);
                return Ok(false);
            }
            size = size.max(checkpoint.size());
            self.signed_size = checkpoint.size();
            let signer = inner.audit.signer.get();
            self.signed_by_us = signer.is_some_and(|signer| *signer.verifier_key() == key);
            if self.signed_by_us {
                inner.audit.publish(checkpoint);
            }
        }
        self.tree = Some(GrowingTree::restore(size, &mut tiles)?);
        Ok(true)
    }
}

/// How many leaves are durable.
fn leaves(snapshot: &dyn Snapshot) -> Result<u64, EngineError> {
    let row = snapshot.get(Space::Meta, key::COMMIT_MARK)?;
    let mark: Result<Option<CommitMark>, RowError> = row.as_deref().map(CommitMark::decode).transpose();
    Ok(mark?.map_or(0, |mark| mark.leaves))
}
