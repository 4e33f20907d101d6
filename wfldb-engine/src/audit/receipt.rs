//! Receipts: a leaf with everything that opens its commitments, and the proof that it is in the log.

use wfldb_core::audit::{Receipt, ReceiptEvidence, TiledTree, TlogProof};
use wfldb_core::auth::{Authorized, Op, Target, Written};
use wfldb_core::id::{LeafIndex, LogPosition, SignatureBytes, VersionId};
use wfldb_core::name::{BucketName, ObjectKey};

use super::NewestCheckpoint;
use super::leaf::{bucket_of, content_of};
use super::tiles::{StoredTiles, entries};
use crate::bucket::resolve_id;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::row::{BucketRow, ChangeRow, EvidenceRow, ObjectRow, key};
use crate::storage::{Snapshot, Space};

impl Engine {
    /// The checkpoints to come, for who waits for the one that covers a leaf; `None` while nobody signs.
    #[must_use]
    pub fn checkpoints_to_come(&self) -> Option<NewestCheckpoint> {
        let signs = self.inner.audit.signer.get().is_some() && self.inner.audit.unsound().is_none();
        signs.then(|| self.inner.audit.newest.subscribe())
    }

    /// The leaf of the change that wrote a version of the key that `proof` names. The proof is that of the request which
    /// wrote it, or for `audit`. Blocks.
    ///
    /// # Errors
    /// `Forbidden`; `NoSuchBucket`; `NoSuchKey` when the version is not there; `EvidenceErased`.
    pub fn leaf_of(
        &self,
        proof: &Authorized,
        key: &ObjectKey,
        version: VersionId,
    ) -> Result<LeafIndex, EngineError> {
        let snapshot = self.inner.storage.snapshot();
        let (change, _) = change_of(&*snapshot, proof, key, version)?;
        Ok(LeafIndex::new(change.leaf_index()))
    }

    /// The receipt of that change. Blocks.
    ///
    /// # Errors
    /// Those of [`Engine::leaf_of`]; `NoCheckpoint`; `OutsideTree` while no checkpoint covers it.
    pub fn receipt(
        &self,
        proof: &Authorized,
        key: &ObjectKey,
        version: VersionId,
    ) -> Result<Receipt, EngineError> {
        // ORDER: the snapshot is taken after the checkpoint, so it has all tiles that the proof needs.
        let checkpoint = self.inner.checkpoint()?;
        let snapshot = self.inner.storage.snapshot();
        let (change, evidence) = change_of(&*snapshot, proof, key, version)?;
        let leaf = change.leaf_index();
        if leaf >= checkpoint.size() {
            return Err(EngineError::OutsideTree);
        }
        let entry = entries(&*snapshot, leaf, 1).next();
        let entry = entry.unwrap_or(Err(EngineError::Corrupt("leaf")))?;
        let mut tiles = StoredTiles::new(&*snapshot);
        let hashes = TiledTree::new(checkpoint.size(), &mut tiles).inclusion_proof(LeafIndex::new(leaf))?;
        let signature = <[u8; 64]>::try_from(evidence.signature.as_slice()).ok();
        let content = content_of(&change);
        Ok(Receipt {
            entry: entry.to_vec(),
            salt: evidence.salt,
            bucket: bucket_of(&change),
            key: (!change.key.is_empty()).then_some(change.key),
            content,
            evidence: evidence
                .packet
                .zip(signature)
                .map(|(packet, signature)| ReceiptEvidence {
                    packet,
                    canonical: evidence.canonical,
                    signature: SignatureBytes::from_bytes(signature),
                }),
            proof: TlogProof::new(LeafIndex::new(leaf), hashes, &checkpoint),
        })
    }
}

/// The change that wrote a version, and its evidence.
fn change_of(
    snapshot: &dyn Snapshot,
    proof: &Authorized,
    key: &ObjectKey,
    version: VersionId,
) -> Result<(ChangeRow, EvidenceRow), EngineError> {
    let bucket = proof.bucket().ok_or(EngineError::Forbidden)?;
    let audits = proof.op() == Op::Audit;
    if audits && proof.key() != Some(key) {
        return Err(EngineError::Forbidden);
    }
    let id = resolve_id(snapshot, bucket)?;
    let row = snapshot.get(Space::Versions, &key::version(&id, key, &version))?;
    let row = ObjectRow::decode(&row.ok_or(EngineError::NoSuchKey)?)?;
    let (change, evidence) = at(snapshot, row.position)?;
    // SECURITY: a receipt names every key of its change, and opens what the log hides.
    let is_own = || {
        proof.evidence().is_some_and(|own| {
            evidence.canonical == own.canonical && evidence.signature == own.signature.as_bytes()
        })
    };
    let sees = |bucket: &BucketName, key: &str| {
        ObjectKey::parse(key).is_ok_and(|key| {
            let target = Target::Key(bucket.clone(), key);
            proof.further(Op::Audit, target, Written::Later).is_ok()
        })
    };
    let allowed = if audits {
        // The other buckets of a transaction, by the names that they have now. One that is gone is asked for by nobody.
        let mut names = vec![(id, bucket.clone())];
        for (other, _) in change.touched().filter(|(other, _)| *other != id) {
            let row = snapshot.get(Space::Meta, &key::bucket_row(&other))?;
            let row = BucketRow::decode(&row.ok_or(EngineError::Forbidden)?)?;
            names.push((other, row.name));
        }
        change.effects().all(|(bucket, effect)| {
            let name = names.iter().find(|(id, _)| *id == bucket);
            name.is_some_and(|(_, name)| sees(name, &effect.key))
        })
    } else {
        is_own()
    };
    if allowed {
        Ok((change, evidence))
    } else {
        Err(EngineError::Forbidden)
    }
}

fn at(snapshot: &dyn Snapshot, position: LogPosition) -> Result<(ChangeRow, EvidenceRow), EngineError> {
    let change = snapshot.get(Space::Log, &key::change(position))?;
    let change = ChangeRow::decode(&change.ok_or(EngineError::Corrupt("change"))?)?;
    let evidence = snapshot.get(Space::Log, &key::evidence(position))?;
    let evidence = evidence.ok_or(EngineError::EvidenceErased)?;
    if *blake3::hash(&evidence).as_bytes() != change.evidence {
        return Err(EngineError::Corrupt("evidence"));
    }
    Ok((change, EvidenceRow::decode(&evidence)?))
}
