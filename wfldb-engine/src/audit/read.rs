//! What readers of the audit log get: checkpoint, tiles, entries, proofs. Never more than the newest checkpoint covers.

use std::sync::Arc;

use wfldb_core::audit::{
    BundleId, LogName, NoteSigner, SignedCheckpoint, TileId, TileSource as _, TiledTree, TreeHash,
    VerifierKey, encode_bundle,
};
use wfldb_core::auth::{Authorized, Op};
use wfldb_core::id::{LeafIndex, SecretKey};

use super::NewestCheckpoint;
use super::tiles::{StoredTiles, entries};
use crate::engine::{Engine, Inner};
use crate::error::EngineError;

impl Engine {
    /// Signs the checkpoints of the audit log with this key from now on, and documents. Until it is called, and in a
    /// store that contradicts the checkpoint that it holds, leaves and tiles are written and no checkpoint is signed;
    /// documents are with the key of the store's directory. Only the first call counts.
    pub fn sign_audit_log(&self, key: SecretKey) {
        self.inner.signer.give(key.clone());
        let name = LogName::of_store(&self.inner.realm, &self.inner.store);
        // A second key would make a second log of one name.
        if self.inner.audit.signer.set(NoteSigner::new(name, key)).is_ok() {
            self.inner.audit.restart();
        }
    }

    /// What a stranger verifies the checkpoints with; `None` while nobody signs.
    #[must_use]
    pub fn audit_key(&self) -> Option<VerifierKey> {
        self.inner.audit.key().cloned()
    }

    /// The newest checkpoint, and each one after it.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn audit_checkpoints(&self, proof: &Authorized) -> Result<NewestCheckpoint, EngineError> {
        may_audit(proof)?;
        Ok(self.inner.audit.newest.subscribe())
    }

    /// The newest checkpoint.
    ///
    /// # Errors
    /// `Forbidden`; `NoCheckpoint` while there is none.
    pub fn audit_checkpoint(&self, proof: &Authorized) -> Result<Arc<SignedCheckpoint>, EngineError> {
        may_audit(proof)?;
        self.inner.checkpoint()
    }

    /// The bytes of a tile of hashes. Blocks.
    ///
    /// # Errors
    /// `Forbidden`; `NoCheckpoint`; `OutsideTree` when the newest checkpoint does not cover it.
    pub fn audit_tile(&self, proof: &Authorized, tile: TileId) -> Result<Vec<u8>, EngineError> {
        may_audit(proof)?;
        if !tile.is_in_tree(self.inner.checkpoint()?.size()) {
            return Err(EngineError::OutsideTree);
        }
        let snapshot = self.inner.storage.snapshot();
        Ok(StoredTiles::new(&*snapshot).tile(tile)?.to_bytes())
    }

    /// The bytes of a bundle of entries. Blocks.
    ///
    /// # Errors
    /// Those of [`Engine::audit_tile`].
    pub fn audit_entries(&self, proof: &Authorized, bundle: BundleId) -> Result<Vec<u8>, EngineError> {
        may_audit(proof)?;
        if !bundle.is_in_tree(self.inner.checkpoint()?.size()) {
            return Err(EngineError::OutsideTree);
        }
        let snapshot = self.inner.storage.snapshot();
        let width = u64::from(bundle.width());
        let found: Vec<_> = entries(&*snapshot, bundle.first_leaf(), width).collect::<Result<_, _>>()?;
        if found.len() as u64 == width {
            Ok(encode_bundle(found)?)
        } else {
            Err(EngineError::Corrupt("leaf"))
        }
    }

    /// The proof that a leaf is in the tree of the first `size` leaves; `None`: of the newest checkpoint. Answers that
    /// size too. Blocks.
    ///
    /// # Errors
    /// Those of [`Engine::audit_tile`].
    pub fn audit_inclusion(
        &self,
        proof: &Authorized,
        leaf: LeafIndex,
        size: Option<u64>,
    ) -> Result<(u64, Vec<TreeHash>), EngineError> {
        may_audit(proof)?;
        let newest = self.inner.checkpoint()?.size();
        let size = size.unwrap_or(newest);
        if size > newest || leaf.get() >= size {
            return Err(EngineError::OutsideTree);
        }
        Ok((size, self.inner.inclusion(leaf, size)?))
    }

    /// The proof that the tree of the first `from` leaves is the beginning of that of the first `to`. Blocks.
    ///
    /// # Errors
    /// Those of [`Engine::audit_tile`].
    pub fn audit_consistency(
        &self,
        proof: &Authorized,
        from: u64,
        to: u64,
    ) -> Result<Vec<TreeHash>, EngineError> {
        may_audit(proof)?;
        if from > to || to > self.inner.checkpoint()?.size() {
            return Err(EngineError::OutsideTree);
        }
        let snapshot = self.inner.storage.snapshot();
        let mut tiles = StoredTiles::new(&*snapshot);
        TiledTree::new(to, &mut tiles).consistency_proof(from)
    }

    /// Why nothing is signed, when the store contradicts the checkpoint that it holds.
    #[must_use]
    pub fn audit_damage(&self) -> Option<String> {
        self.inner.audit.unsound()
    }
}

impl Inner {
    pub(super) fn checkpoint(&self) -> Result<Arc<SignedCheckpoint>, EngineError> {
        self.audit.newest().ok_or(EngineError::NoCheckpoint)
    }

    pub(super) fn inclusion(&self, leaf: LeafIndex, size: u64) -> Result<Vec<TreeHash>, EngineError> {
        let snapshot = self.storage.snapshot();
        let mut tiles = StoredTiles::new(&*snapshot);
        TiledTree::new(size, &mut tiles).inclusion_proof(leaf)
    }
}

fn may_audit(proof: &Authorized) -> Result<(), EngineError> {
    if proof.op() == Op::Audit {
        Ok(())
    } else {
        Err(EngineError::Forbidden)
    }
}
