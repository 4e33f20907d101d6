//! The entry of a change: what its leaf of the audit log hashes. A pure function of the change, the leaf's index and the
//! evidence, so that the committer, an upgrade and a check come to the same bytes.

use bytes::Bytes;
use wfldb_core::audit::{
    BucketEffects, Commitment, Content, Effect as AuditEffect, EffectAction, Entry, EntryActor, EntryOp,
    Label, Outcome, evidence_value,
};
use wfldb_core::id::{BucketId, LeafIndex};
use wfldb_core::name::ObjectKey;

use crate::commit::plan::Mutation;
use crate::row::{AccessHead, Action, ChangeRow, Effect, EvidenceRow};

/// What the evidence of a change gives to its entry. Whatever can be known before the commit is hashed before it.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    pub(super) salt: [u8; 32],
    pub(super) actor: EntryActor,
    pub(super) evidence: Option<Commitment>,
    /// Commitments that the committer will most likely need, with what they commit to.
    bucket: Option<(BucketId, Commitment)>,
    key: Option<(String, Commitment)>,
}

impl Sealed {
    pub(crate) fn of(evidence: &EvidenceRow) -> Self {
        let signature = <[u8; 64]>::try_from(evidence.signature.as_slice()).ok();
        let signed = evidence.packet.as_ref().zip(signature);
        let commitment = signed.map(|(packet, signature)| {
            let value = evidence_value(packet, &evidence.canonical, &signature);
            Commitment::new(&evidence.salt, Label::Evidence, &value)
        });
        Self {
            salt: evidence.salt,
            actor: EntryActor::lossy(&evidence.actor),
            evidence: commitment,
            bucket: None,
            key: None,
        }
    }

    /// Hashes what the mutation names, so that the committer need not.
    pub(crate) fn foresee(&mut self, mutation: &Mutation) {
        let (bucket, key) = named(mutation);
        self.bucket = bucket.map(|bucket| (bucket, self.of_bucket(&bucket)));
        self.key = key.map(|key| (key.to_owned(), self.of_key(key)));
    }

    /// The same for a read or a refusal.
    pub(super) fn foresee_access(&mut self, access: &AccessHead) {
        self.bucket = Some((access.bucket, self.of_bucket(&access.bucket)));
        self.key = access.key.as_ref().map(|key| (key.clone(), self.of_key(key)));
    }

    pub(super) fn of_bucket(&self, bucket: &BucketId) -> Commitment {
        match &self.bucket {
            Some((known, commitment)) if known == bucket => *commitment,
            _ => Commitment::new(&self.salt, Label::Bucket, bucket.as_bytes()),
        }
    }

    pub(super) fn of_key(&self, key: &str) -> Commitment {
        match &self.key {
            Some((known, commitment)) if known == key => *commitment,
            _ => Commitment::new(&self.salt, Label::Key, key.as_bytes()),
        }
    }
}

/// Bucket and key that a change by this mutation is about.
fn named(mutation: &Mutation) -> (Option<BucketId>, Option<&str>) {
    match mutation {
        Mutation::PutObject(put) => (Some(put.bucket), Some(put.key.as_str())),
        Mutation::DeleteObject(delete) => (Some(delete.bucket), Some(delete.key.as_str())),
        Mutation::EraseVersion(erase) => (Some(erase.bucket), Some(erase.key.as_str())),
        Mutation::SetSchema { bucket, .. } => (None, Some(bucket.as_str())),
        Mutation::Batch(batch) => (Some(batch.bucket), None),
        Mutation::Expire { bucket, .. } | Mutation::Prune { bucket, .. } | Mutation::Age { bucket, .. } => {
            (Some(*bucket), None)
        }
        Mutation::PutBucket { id, name, .. } => (Some(*id), Some(name.as_str())),
        Mutation::DeleteBucket { name, .. } => (None, Some(name.as_str())),
        Mutation::DefineIndex { bucket, .. } | Mutation::DropIndex { bucket, .. } => {
            (None, Some(bucket.as_str()))
        }
        // Several buckets.
        Mutation::Transaction(_)
        // What it revokes is not a key of anything.
        | Mutation::Revoke(_)
        // They make no change.
        | Mutation::StartUpload(_)
        | Mutation::PutPart(_)
        | Mutation::AbortUpload(_)
        | Mutation::SweepRows { .. }
        | Mutation::BuildIndex(_)
        | Mutation::ClearIndex { .. }
        | Mutation::LogAccess(_)
        | Mutation::ForgetReads { .. }
        | Mutation::UseLink { .. }
        | Mutation::ForgetLinks { .. }
        | Mutation::Audit(_)
        | Mutation::Heartbeat => (None, None),
    }
}

/// The bytes of the entry of leaf `leaf`, which is that of `change`. Without evidence the entry says that it was erased.
pub(crate) fn entry_of(change: &ChangeRow, leaf: u64, evidence: Option<&Sealed>) -> Bytes {
    let leaf = LeafIndex::new(leaf);
    let op = op(change.action);
    let entry = match evidence {
        None => Entry::erased(leaf, change.at, op),
        Some(sealed) => Entry {
            leaf,
            at: change.at,
            actor: Some(sealed.actor.clone()),
            op,
            outcome: Outcome::Ok,
            bucket: bucket_of(change).map(|bucket| sealed.of_bucket(&bucket)),
            key: (!change.key.is_empty()).then(|| sealed.of_key(&change.key)),
            content: content_of(change)
                .map(|content| Commitment::new(&sealed.salt, Label::Content, &content.value())),
            evidence: sealed.evidence,
        },
    };
    entry.to_bytes().into()
}

/// The one bucket of a change; `None` of a revocation, which has none, and of a transaction over several.
pub(crate) fn bucket_of(change: &ChangeRow) -> Option<BucketId> {
    (!matches!(change.action, Action::Revoked | Action::Transaction)).then_some(change.bucket)
}

fn op(action: Action) -> EntryOp {
    match action {
        Action::BucketCreated => EntryOp::BUCKET_CREATE,
        Action::BucketConfigured => EntryOp::BUCKET_CONFIGURE,
        Action::BucketDeleted => EntryOp::BUCKET_DELETE,
        Action::ObjectPut => EntryOp::PUT,
        Action::ObjectDeleted => EntryOp::DELETE,
        Action::ObjectRestored => EntryOp::RESTORE,
        Action::VersionErased => EntryOp::ERASE,
        Action::VersionPruned => EntryOp::PRUNE,
        Action::VersionExpired => EntryOp::EXPIRE,
        Action::Batch => EntryOp::BATCH,
        Action::Lifecycle => EntryOp::LIFECYCLE,
        Action::Revoked => EntryOp::REVOKE,
        Action::Transaction => EntryOp::TRANSACTION,
    }
}

/// What the entry of a change commits to as its content; `None`: there is no such thing.
pub(crate) fn content_of(change: &ChangeRow) -> Option<Content> {
    match change.action {
        Action::BucketCreated | Action::BucketConfigured | Action::Revoked => {
            change.config.clone().map(Content::Configuration)
        }
        Action::BucketDeleted => None,
        Action::ObjectPut
        | Action::ObjectDeleted
        | Action::ObjectRestored
        | Action::VersionErased
        | Action::VersionPruned
        | Action::VersionExpired
        | Action::Batch
        | Action::Lifecycle => {
            if change.entries.is_empty() && change.version.is_some() {
                return Some(Content::Object {
                    etag: change.etag,
                    len: change.len,
                    version: change.version,
                });
            }
            // Every effect was written with a key that is one, so a row without is damage, and then nothing is claimed.
            let effects = change.effects().map(|(_, effect)| audited(&effect));
            effects.collect::<Option<_>>().map(Content::Effects)
        }
        Action::Transaction => {
            let buckets = change.buckets.iter().map(|change| {
                let effects = change.effects.iter().map(audited);
                Some(BucketEffects {
                    bucket: change.bucket,
                    effects: effects.collect::<Option<_>>()?,
                })
            });
            buckets.collect::<Option<_>>().map(Content::Buckets)
        }
    }
}

fn audited(effect: &Effect) -> Option<AuditEffect> {
    let action = match effect.action {
        Action::ObjectPut => EffectAction::Put,
        Action::ObjectDeleted => EffectAction::Delete,
        Action::ObjectRestored => EffectAction::Restore,
        Action::VersionErased => EffectAction::Erase,
        Action::VersionPruned => EffectAction::Prune,
        Action::VersionExpired => EffectAction::Expire,
        Action::BucketCreated
        | Action::BucketConfigured
        | Action::BucketDeleted
        | Action::Batch
        | Action::Lifecycle
        | Action::Transaction
        | Action::Revoked => return None,
    };
    Some(AuditEffect {
        action,
        key: ObjectKey::parse(&effect.key).ok()?,
        version: effect.version,
        etag: effect.etag,
        len: effect.len,
    })
}
