//! A mutation as pure data: everything the committer needs, decided before it.
//!
//! INVARIANT: no clock and no randomness after planning. `at`, `entropy`, the salt inside `evidence`, hashes and
//! ids are in the plan, so `apply` is a function of (plan, state) and runs the same on a replica.

use bytes::Bytes;
use wfldb_core::audit::{EntryOp, Outcome as EntryOutcome};
use wfldb_core::auth::Charge;
use wfldb_core::id::{BucketId, ChunkHash, ContentHash, Seq, UploadId, VersionId};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{BucketConfig, ObjectHeaders, Preconditions};
use wfldb_core::revocation::{Chain, Order, Terms};
use wfldb_core::time::UnixMillis;

use crate::audit::Sealed;
use crate::error::EngineError;
use crate::link_uses::LinkUse;
use crate::row::{AccessHead, EvidenceRow, PartRow, UploadRow};

/// An evidence row, encoded and hashed by the planner so that the committer need not.
#[derive(Debug, Clone)]
pub(crate) struct EncodedEvidence {
    pub(crate) row: Bytes,
    pub(crate) hash: [u8; 32],
    /// What it gives to the leaf of the audit log.
    pub(crate) sealed: Sealed,
}

impl EncodedEvidence {
    pub(crate) fn new(evidence: &EvidenceRow) -> Self {
        let row = Bytes::from(evidence.encode());
        let hash = *blake3::hash(&row).as_bytes();
        let sealed = Sealed::of(evidence);
        Self { row, hash, sealed }
    }
}

/// One planned mutation.
#[derive(Debug, Clone)]
pub(crate) struct WritePlan {
    /// The planner's time.
    pub(crate) at: UnixMillis,
    /// Random bits of the version, should the time alone not order it.
    pub(crate) entropy: [u8; 10],
    pub(crate) evidence: EncodedEvidence,
    /// The chain of the packet that allowed it, to be held against what is revoked by then; `None`: none did.
    pub(crate) chain: Option<Chain>,
    /// What it costs of a link that it came by.
    pub(crate) link_use: Option<LinkUse>,
    pub(crate) mutation: Mutation,
}

/// What is to change.
#[derive(Debug, Clone)]
pub(crate) enum Mutation {
    /// Creates the bucket under `id`, or configures the one that has the name.
    PutBucket {
        name: BucketName,
        id: BucketId,
        config: BucketConfig,
        /// The caller may end versions, so the retention may be lowered.
        may_erase: bool,
    },
    /// Detaches the name; with `force` also when the bucket holds versions.
    DeleteBucket {
        name: BucketName,
        force: bool,
    },
    PutObject(Box<PutObject>),
    DeleteObject(Box<DeleteObject>),
    EraseVersion(Box<EraseVersion>),
    Batch(Box<Batch>),
    StartUpload(Box<StartUpload>),
    PutPart(Box<PutPart>),
    AbortUpload(Box<AbortUpload>),
    Revoke(Box<Revoke>),
    /// Ends versions whose time to live is over, and uploads that were not finished in time. Found by a worker and
    /// checked again here; what is not due any more is left alone.
    Expire {
        bucket: BucketId,
        due: Vec<Due>,
    },
    /// Removes what the bucket's retention does not keep of these keys.
    Prune {
        bucket: BucketId,
        keys: Vec<ObjectKey>,
    },
    /// Removes rows of a detached bucket, found by the sweeper. Not a change: it has no log position.
    SweepRows {
        bucket: BucketId,
        rows: Vec<(crate::storage::Space, Bytes)>,
        /// Charged bytes to give back, per grant.
        credits: Vec<(wfldb_core::auth::GrantId, u64)>,
        /// Nothing is left: the bucket's counters and its detached mark go too.
        last: bool,
    },
    /// Keeps what the audit log's worker made of leaves that are durable. Not a change.
    Audit(Box<AuditRows>),
    /// A read or a refusal that its bucket wants in the audit log. Not a change: it has a leaf and no log position.
    LogAccess(Box<AccessEntry>),
    /// Removes what opens entries of reads of a version that is gone, found by a worker. Not a change.
    ForgetReads {
        bucket: BucketId,
        version: VersionId,
        rows: Vec<Bytes>,
        /// Nothing is left of them.
        last: bool,
    },
    /// A use of a link by a read in this bucket: the plan's `link_use` says it all. Not a change.
    UseLink {
        bucket: BucketId,
    },
    /// Removes what was counted of links that were over at `until`. Not a change.
    ForgetLinks {
        until: UnixMillis,
        rows: Vec<Bytes>,
    },
    /// Proves that commits succeed.
    Heartbeat,
}

/// A read or a refusal.
#[derive(Debug, Clone)]
pub(crate) struct AccessEntry {
    pub(crate) head: AccessHead,
    pub(crate) op: EntryOp,
    pub(crate) outcome: EntryOutcome,
}

/// Rows that follow from the leaves of the audit log.
#[derive(Debug, Clone)]
pub(crate) struct AuditRows {
    /// Full tiles: level, number, bytes.
    pub(crate) tiles: Vec<(u8, u64, Bytes)>,
    /// The signed note.
    pub(crate) checkpoint: Option<Bytes>,
}

/// A new version of an object.
#[derive(Debug, Clone)]
pub(crate) struct PutObject {
    pub(crate) bucket: BucketId,
    pub(crate) key: ObjectKey,
    pub(crate) body: PlannedBody,
    pub(crate) etag: ContentHash,
    pub(crate) len: u64,
    pub(crate) headers: ObjectHeaders,
    pub(crate) preconditions: Preconditions,
    pub(crate) create_only: bool,
    pub(crate) charges: Vec<Charge>,
    pub(crate) origin: Origin,
}

/// Where a new version comes from, as far as the commit has to look at it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A body that was sent.
    Sent,
    /// A version of the bucket, whose chunks it shares. While that is there, so are they.
    Copied { key: ObjectKey, version: VersionId },
    /// The version below the key's newest, which is this tombstone.
    Restored {
        tombstone: VersionId,
        version: VersionId,
    },
    /// The parts of an upload, in order, as the plan found them.
    Parts {
        upload: UploadId,
        /// The etag of each part, from 1.
        parts: Vec<ContentHash>,
        /// BLAKE3 over the list, by which a repetition is known.
        list: [u8; 32],
    },
}

/// Where the bytes of a planned version are.
#[derive(Debug, Clone)]
pub(crate) enum PlannedBody {
    /// They ride the commit.
    Inline(Bytes),
    /// They are on disk, synced, and pinned until the commit is answered.
    Chunked {
        chunk_bytes: u32,
        chunks: Vec<ChunkHash>,
    },
}

/// A tombstone.
#[derive(Debug, Clone)]
pub(crate) struct DeleteObject {
    pub(crate) bucket: BucketId,
    pub(crate) key: ObjectKey,
    pub(crate) preconditions: Preconditions,
    pub(crate) create_only: bool,
}

/// One version that goes for good.
#[derive(Debug, Clone)]
pub(crate) struct EraseVersion {
    pub(crate) bucket: BucketId,
    pub(crate) key: ObjectKey,
    pub(crate) version: VersionId,
    pub(crate) preconditions: Preconditions,
    pub(crate) create_only: bool,
}

/// Ordered entries that are carried out together or not at all; a key occurs once.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) bucket: BucketId,
    pub(crate) entries: Vec<BatchEntry>,
}

/// One entry of a batch.
#[derive(Debug, Clone)]
pub(crate) enum BatchEntry {
    Put(Box<PutObject>),
    Delete(DeleteObject),
    Check {
        key: ObjectKey,
        preconditions: Preconditions,
    },
}

/// The beginning of an upload in parts.
#[derive(Debug, Clone)]
pub(crate) struct StartUpload {
    pub(crate) bucket: BucketId,
    pub(crate) upload: UploadId,
    pub(crate) row: UploadRow,
}

/// One part, new or in place of an earlier one.
#[derive(Debug, Clone)]
pub(crate) struct PutPart {
    pub(crate) bucket: BucketId,
    pub(crate) upload: UploadId,
    pub(crate) number: u16,
    pub(crate) chunk_bytes: u32,
    pub(crate) part: PartRow,
    pub(crate) charges: Vec<Charge>,
}

/// The end of an upload without an object.
#[derive(Debug, Clone)]
pub(crate) struct AbortUpload {
    pub(crate) bucket: BucketId,
    pub(crate) upload: UploadId,
}

/// The end of a packet or a key.
#[derive(Debug, Clone)]
pub(crate) struct Revoke {
    pub(crate) order: Order,
    /// Who asks, as evidence names them.
    pub(crate) by: String,
}

/// Something whose time is over, as its row in `index` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    /// When.
    pub(crate) at: UnixMillis,
    pub(crate) what: DueWhat,
}

/// What ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DueWhat {
    Version(ObjectKey, VersionId),
    Upload(UploadId),
}

/// What a plan did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Applied {
    Bucket {
        created: bool,
        id: BucketId,
        leaf: u64,
    },
    BucketDeleted {
        id: BucketId,
        leaf: u64,
    },
    Object {
        version: VersionId,
        seq: Seq,
        etag: ContentHash,
        modified: UnixMillis,
        created: bool,
    },
    Deleted {
        version: VersionId,
        seq: Seq,
    },
    Erased {
        seq: Seq,
        leaf: u64,
    },
    /// `None` for an entry that wrote nothing: a check, a delete of what is not there.
    Batch {
        seq: Option<Seq>,
        results: Vec<Option<(VersionId, Option<ContentHash>)>>,
    },
    /// `new` is false where it was revoked already, or is over anyway.
    Revoked {
        terms: Terms,
        new: bool,
    },
    /// A read or a refusal has this leaf.
    Logged {
        leaf: u64,
    },
    /// There was nothing to do, and nothing was written.
    Nothing,
}

/// The committer's answer to one plan.
pub(crate) type Outcome = Result<Applied, EngineError>;

impl Mutation {
    /// Whether the free-space floor holds it back. What frees space, or needs next to none, is always let through.
    pub(crate) fn stores(&self) -> bool {
        match self {
            Self::PutObject(_)
            | Self::PutBucket { .. }
            | Self::StartUpload(_)
            | Self::PutPart(_)
            | Self::LogAccess(_)
            | Self::Heartbeat => true,
            Self::Batch(batch) => batch
                .entries
                .iter()
                .any(|entry| matches!(entry, BatchEntry::Put(_))),
            Self::DeleteObject(_)
            | Self::EraseVersion(_)
            | Self::AbortUpload(_)
            | Self::Revoke(_)
            | Self::Expire { .. }
            | Self::Prune { .. }
            | Self::DeleteBucket { .. }
            | Self::Audit(_)
            | Self::SweepRows { .. }
            | Self::ForgetReads { .. }
            | Self::UseLink { .. }
            | Self::ForgetLinks { .. } => false,
        }
    }
}

impl WritePlan {
    /// The lane of the fair queue in which the plan waits.
    pub(crate) fn lane(&self) -> Lane {
        match &self.mutation {
            Mutation::PutObject(put) => Lane::Bucket(put.bucket),
            Mutation::DeleteObject(delete) => Lane::Bucket(delete.bucket),
            Mutation::EraseVersion(erase) => Lane::Bucket(erase.bucket),
            Mutation::Batch(batch) => Lane::Bucket(batch.bucket),
            Mutation::StartUpload(start) => Lane::Bucket(start.bucket),
            Mutation::PutPart(part) => Lane::Bucket(part.bucket),
            Mutation::AbortUpload(abort) => Lane::Bucket(abort.bucket),
            Mutation::LogAccess(access) => Lane::Bucket(access.head.bucket),
            Mutation::SweepRows { bucket, .. }
            | Mutation::ForgetReads { bucket, .. }
            | Mutation::Expire { bucket, .. }
            | Mutation::Prune { bucket, .. }
            | Mutation::UseLink { bucket } => Lane::Bucket(*bucket),
            Mutation::PutBucket { .. }
            | Mutation::DeleteBucket { .. }
            | Mutation::ForgetLinks { .. }
            | Mutation::Revoke(_)
            | Mutation::Audit(_)
            | Mutation::Heartbeat => Lane::Store,
        }
    }

    /// About how many bytes the plan adds to a batch.
    pub(crate) fn cost_bytes(&self) -> usize {
        const ROWS: usize = 1024;
        let put = |put: &PutObject| match &put.body {
            PlannedBody::Inline(bytes) => bytes.len(),
            PlannedBody::Chunked { chunks, .. } => chunks.len() * 128,
        };
        let body = match &self.mutation {
            Mutation::PutObject(object) => put(object),
            Mutation::Batch(batch) => {
                let entry = |entry: &BatchEntry| match entry {
                    BatchEntry::Put(object) => ROWS + put(object),
                    BatchEntry::Delete(_) | BatchEntry::Check { .. } => ROWS,
                };
                batch.entries.iter().map(entry).sum()
            }
            Mutation::PutPart(part) => part.part.chunks.len() * 192,
            Mutation::Expire { due, .. } => due.len() * ROWS,
            Mutation::Prune { keys, .. } => keys.len() * ROWS,
            Mutation::SweepRows { rows, .. } => rows.iter().map(|(_, key)| key.len()).sum(),
            Mutation::ForgetReads { rows, .. } => rows.len() * 64,
            Mutation::Audit(audit) => audit.tiles.iter().map(|(_, _, tile)| tile.len()).sum(),
            Mutation::PutBucket { .. }
            | Mutation::DeleteBucket { .. }
            | Mutation::DeleteObject(_)
            | Mutation::EraseVersion(_)
            | Mutation::StartUpload(_)
            | Mutation::AbortUpload(_)
            | Mutation::Revoke(_)
            | Mutation::LogAccess(_)
            | Mutation::UseLink { .. }
            | Mutation::ForgetLinks { .. }
            | Mutation::Heartbeat => 0,
        };
        ROWS + self.evidence.row.len() + body
    }
}

/// Plans of one lane are taken in order; lanes take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// Buckets themselves, revocations, and heartbeats.
    Store,
    /// One bucket's objects.
    Bucket(BucketId),
}
