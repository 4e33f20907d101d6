//! Receipts: a leaf with everything that opens its commitments, and the proof that it is in the log.

use std::cmp::Ordering;

use wfldb_core::audit::{Content, Receipt, ReceiptEvidence, SignedCheckpoint, TiledTree, TlogProof};
use wfldb_core::auth::{AuditPart, Authorized, Op, Target, Written};
use wfldb_core::id::{BucketId, LeafIndex, LogPosition, SignatureBytes, VersionId};
use wfldb_core::name::{BucketName, ObjectKey};

use super::NewestCheckpoint;
use super::access::content_of_access;
use super::leaf::{bucket_of, content_of};
use super::tiles::{StoredTiles, entries};
use crate::bucket::resolve_id;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::row::{AccessRow, Action, BucketRow, ChangeRow, CommitMark, EvidenceRow, ObjectRow, key};
use crate::storage::{Snapshot, Space};

impl Engine {
    /// The checkpoints to come, for who waits for the one that covers a leaf; `None` while nobody signs.
    #[must_use]
    pub fn checkpoints_to_come(&self) -> Option<NewestCheckpoint> {
        let audit = &self.inner.audit;
        audit.is_signed().then(|| audit.newest.subscribe())
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
        let opening = Opening::of(&*snapshot, change, evidence)?;
        prove(&*snapshot, &checkpoint, leaf, opening)
    }

    /// The receipt of a leaf, whatever it tells of but a revocation. The proof is that of the request which it tells of, or
    /// for `audit` of everything. Blocks.
    ///
    /// # Errors
    /// `Forbidden`; `EvidenceErased`, also for what is not known by its leaf; `NoCheckpoint`; `OutsideTree`.
    pub fn receipt_of_leaf(&self, proof: &Authorized, leaf: LeafIndex) -> Result<Receipt, EngineError> {
        // ORDER: as above.
        let checkpoint = self.inner.checkpoint()?;
        let snapshot = self.inner.storage.snapshot();
        let leaf = leaf.get();
        if leaf >= checkpoint.size() {
            return Err(EngineError::OutsideTree);
        }
        let opening = if let Some(row) = snapshot.get(Space::Log, &key::access(leaf))? {
            Opening::of_access(AccessRow::decode(&row)?)
        } else {
            let position = position_of_leaf(&*snapshot, leaf)?.ok_or(EngineError::EvidenceErased)?;
            let (change, evidence) = at(&*snapshot, position)?;
            if change.action == Action::Revoked {
                return Err(EngineError::EvidenceErased);
            }
            Opening::of(&*snapshot, change, evidence)?
        };
        // SECURITY: as above. A part of the log is known by its keys only.
        let whole = Target::Audit(AuditPart::Proof);
        let sees_all = proof.op() == Op::Audit && proof.further(Op::Audit, whole, Written::Later).is_ok();
        if sees_all || is_own(proof, &opening.evidence) {
            prove(&*snapshot, &checkpoint, leaf, opening)
        } else {
            Err(EngineError::Forbidden)
        }
    }
}

/// What opens the commitments of a leaf.
struct Opening {
    /// Absent of a transaction, which has several.
    bucket: Option<BucketId>,
    key: Option<String>,
    content: Option<Content>,
    document: bool,
    evidence: EvidenceRow,
}

impl Opening {
    fn of(snapshot: &dyn Snapshot, change: ChangeRow, evidence: EvidenceRow) -> Result<Self, EngineError> {
        Ok(Self {
            document: is_of_document(snapshot, &change)?,
            bucket: bucket_of(&change),
            content: content_of(&change),
            key: (!change.key.is_empty()).then_some(change.key),
            evidence,
        })
    }

    fn of_access(access: AccessRow) -> Self {
        Self {
            bucket: Some(access.head.bucket),
            content: content_of_access(&access.head),
            key: access.head.key,
            document: false,
            evidence: access.evidence,
        }
    }
}

/// The position of the change that has this leaf, if one has. Leaves and positions are given in the same order.
fn position_of_leaf(snapshot: &dyn Snapshot, leaf: u64) -> Result<Option<LogPosition>, EngineError> {
    let mark = snapshot.get(Space::Meta, key::COMMIT_MARK)?;
    let mark = CommitMark::decode(&mark.ok_or(EngineError::Corrupt("commit mark"))?)?;
    // Every change has a leaf of its own, so none is behind its position.
    let (mut low, mut high) = (1, mark.position.get().min(leaf + 1));
    while low <= high {
        let middle = low + (high - low) / 2;
        let row = snapshot.get(Space::Log, &key::change(LogPosition::new(middle)))?;
        let change = ChangeRow::decode(&row.ok_or(EngineError::Corrupt("change"))?)?;
        match change.leaf_index().cmp(&leaf) {
            Ordering::Equal => return Ok(Some(change.position)),
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle - 1,
        }
    }
    Ok(None)
}

fn is_own(proof: &Authorized, evidence: &EvidenceRow) -> bool {
    proof.evidence().is_some_and(|own| {
        evidence.canonical == own.canonical && evidence.signature == own.signature.as_bytes()
    })
}

fn prove(
    snapshot: &dyn Snapshot,
    checkpoint: &SignedCheckpoint,
    leaf: u64,
    opening: Opening,
) -> Result<Receipt, EngineError> {
    let entry = entries(snapshot, leaf, 1).next();
    let entry = entry.unwrap_or(Err(EngineError::Corrupt("leaf")))?;
    let mut tiles = StoredTiles::new(snapshot);
    let hashes = TiledTree::new(checkpoint.size(), &mut tiles).inclusion_proof(LeafIndex::new(leaf))?;
    let evidence = opening.evidence;
    let signature = <[u8; 64]>::try_from(evidence.signature.as_slice()).ok();
    Ok(Receipt {
        entry: entry.to_vec(),
        salt: evidence.salt,
        bucket: opening.bucket,
        key: opening.key,
        content: opening.content,
        document: opening.document,
        evidence: evidence
            .packet
            .zip(signature)
            .map(|(packet, signature)| ReceiptEvidence {
                packet,
                canonical: evidence.canonical,
                signature: SignatureBytes::from_bytes(signature),
            }),
        proof: TlogProof::new(LeafIndex::new(leaf), hashes, checkpoint),
    })
}

/// Whether the one key that a change names got a document. Its version is there for as long as what opens the entry.
fn is_of_document(snapshot: &dyn Snapshot, change: &ChangeRow) -> Result<bool, EngineError> {
    let Ok(name) = ObjectKey::parse(&change.key) else {
        return Ok(false);
    };
    for (bucket, effect) in change.effects().filter(|(_, effect)| effect.key == change.key) {
        let row = snapshot.get(Space::Versions, &key::version(&bucket, &name, &effect.version))?;
        if let Some(row) = row {
            return Ok(ObjectRow::decode(&row)?.signature.is_some());
        }
    }
    Ok(false)
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
        is_own(proof, &evidence)
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
