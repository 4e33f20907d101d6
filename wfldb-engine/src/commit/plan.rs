//! A mutation as pure data: everything the committer needs, decided before it.
//!
//! INVARIANT: no clock and no randomness after planning. `at`, `entropy`, the salt inside `evidence`, hashes and
//! ids are in the plan, so `apply` is a function of (plan, state) and runs the same on a replica.

use std::sync::Arc;

use bytes::Bytes;
use wfldb_core::audit::{EntryOp, Outcome as EntryOutcome};
use wfldb_core::auth::Charge;
use wfldb_core::doc::{DocumentSignature, FieldPath};
use wfldb_core::id::{BucketId, ChunkHash, ContentHash, LeafIndex, LogPosition, Seq, UploadId, VersionId};
use wfldb_core::index::{IndexDefinition, IndexEntry, IndexName};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{BucketConfig, ObjectHeaders, Preconditions};
use wfldb_core::revocation::{Chain, Order, Terms};
use wfldb_core::time::UnixMillis;

use crate::audit::Sealed;
use crate::error::EngineError;
use crate::index::IndexHints;
use crate::link_uses::LinkUse;
use crate::row::{AccessHead, EvidenceRow, IndexWork, PartRow, UploadRow};
use crate::tx::ReadSet;

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
    /// Sets or removes the schema of a bucket's documents.
    SetSchema {
        bucket: BucketName,
        schema: Option<Arc<str>>,
    },
    PutObject(Box<PutObject>),
    DeleteObject(Box<DeleteObject>),
    EraseVersion(Box<EraseVersion>),
    Batch(Box<Batch>),
    Transaction(Box<Transaction>),
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
    /// Removes documents that are too old by their own time, found by a worker and checked again here.
    Age {
        bucket: BucketId,
        aged: Vec<Aged>,
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
    /// Defines an index of the bucket.
    DefineIndex {
        bucket: BucketName,
        definition: Box<IndexDefinition>,
        /// A query wished for it.
        automatic: bool,
    },
    /// Drops one.
    DropIndex {
        bucket: BucketName,
        index: IndexName,
    },
    /// A step of building one. Not a change.
    BuildIndex(Box<BuildIndex>),
    /// Removes rows of one that was dropped or failed. Not a change.
    ClearIndex {
        bucket: BucketId,
        number: u32,
        rows: Vec<Bytes>,
        /// Nothing is left.
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

/// A step of building an index: documents in the order of their keys, as a snapshot had them.
#[derive(Debug, Clone)]
pub(crate) struct BuildIndex {
    pub(crate) bucket: BucketId,
    pub(crate) number: u32,
    /// How far it was. Where that is not so any more, the step does nothing.
    pub(crate) from: IndexWork,
    pub(crate) documents: Vec<BuiltDocument>,
    /// How far it is then; `None`: it is built.
    pub(crate) to: Option<IndexWork>,
    /// Why it cannot be built.
    pub(crate) failed: Option<String>,
}

/// The rows of one document in an index that is being built.
#[derive(Debug, Clone)]
pub(crate) struct BuiltDocument {
    pub(crate) key: ObjectKey,
    pub(crate) version: VersionId,
    pub(crate) entries: Vec<IndexEntry>,
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
    /// In a bucket of documents, and only there.
    pub(crate) document: Option<Box<DocumentPut>>,
}

/// What a version of a document is beside its bytes.
#[derive(Debug, Clone)]
pub(crate) struct DocumentPut {
    /// The newest version that the planner saw, a tombstone too. Where it is not the newest any more, the plan is stale.
    pub(crate) base: Option<VersionId>,
    /// It was signed elsewhere, and versions between it and the one below are not here.
    pub(crate) skips: bool,
    pub(crate) signature: DocumentSignature,
    /// Where the bucket wants one.
    pub(crate) timed: Option<Timed>,
    /// The change that set or removed the schema that it was held against.
    pub(crate) schema_at: LogPosition,
    /// What the planner knows of its rows in indexes.
    pub(crate) hints: IndexHints,
}

/// The time of a document, and by which field it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timed {
    pub(crate) field: FieldPath,
    pub(crate) at: UnixMillis,
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

/// What a transaction read and writes: carried out if everything that it read is still so, or not at all.
#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    pub(crate) reads: Arc<ReadSet>,
    /// What is written, by bucket in the order of their ids, none twice; in each a key occurs once.
    pub(crate) buckets: Vec<BucketWrites>,
}

/// What a transaction writes in one bucket.
#[derive(Debug, Clone)]
pub(crate) struct BucketWrites {
    pub(crate) bucket: BucketId,
    /// Each with its place among the writes of the transaction.
    pub(crate) entries: Vec<(usize, BatchEntry)>,
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

/// A document that is too old, as its row in `index` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Aged {
    pub(crate) at: UnixMillis,
    pub(crate) key: ObjectKey,
}
/// What an entry wrote, if anything: the version, and of a put the etag.
pub(crate) type Written = Option<(VersionId, Option<ContentHash>)>;

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
    SchemaSet,
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
        results: Vec<Written>,
    },
    /// The buckets that were written in, with their numbers of the change, and of each write its place and what a batch's
    /// entry has.
    Transaction {
        seqs: Vec<(BucketId, Seq)>,
        /// The leaf of the change; `None` when nothing was written.
        leaf: Option<LeafIndex>,
        results: Vec<(usize, Written)>,
    },
    /// `new` is false where it was revoked already, or is over anyway.
    Revoked {
        terms: Terms,
        new: bool,
    },
    /// `created` is false where it was there.
    Index {
        created: bool,
        name: IndexName,
    },
    IndexDropped,
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
            | Self::SetSchema { .. }
            | Self::PutBucket { .. }
            | Self::DefineIndex { .. }
            | Self::BuildIndex(_)
            | Self::StartUpload(_)
            | Self::PutPart(_)
            | Self::LogAccess(_)
            | Self::Heartbeat => true,
            Self::Batch(batch) => batch
                .entries
                .iter()
                .any(|entry| matches!(entry, BatchEntry::Put(_))),
            Self::Transaction(tx) => {
                let mut entries = tx.buckets.iter().flat_map(|writes| &writes.entries);
                entries.any(|(_, entry)| matches!(entry, BatchEntry::Put(_)))
            }
            Self::DeleteObject(_)
            | Self::EraseVersion(_)
            | Self::AbortUpload(_)
            | Self::Revoke(_)
            | Self::Expire { .. }
            | Self::Prune { .. }
            | Self::Age { .. }
            | Self::DeleteBucket { .. }
            | Self::DropIndex { .. }
            | Self::ClearIndex { .. }
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
            Mutation::Transaction(tx) => tx.lane(),
            Mutation::StartUpload(start) => Lane::Bucket(start.bucket),
            Mutation::PutPart(part) => Lane::Bucket(part.bucket),
            Mutation::BuildIndex(step) => Lane::Bucket(step.bucket),
            Mutation::AbortUpload(abort) => Lane::Bucket(abort.bucket),
            Mutation::LogAccess(access) => Lane::Bucket(access.head.bucket),
            Mutation::SweepRows { bucket, .. }
            | Mutation::ForgetReads { bucket, .. }
            | Mutation::Expire { bucket, .. }
            | Mutation::Prune { bucket, .. }
            | Mutation::ClearIndex { bucket, .. }
            | Mutation::Age { bucket, .. }
            | Mutation::UseLink { bucket } => Lane::Bucket(*bucket),
            Mutation::PutBucket { .. }
            | Mutation::SetSchema { .. }
            | Mutation::DeleteBucket { .. }
            | Mutation::DefineIndex { .. }
            | Mutation::DropIndex { .. }
            | Mutation::ForgetLinks { .. }
            | Mutation::Revoke(_)
            | Mutation::Audit(_)
            | Mutation::Heartbeat => Lane::Store,
        }
    }

    /// About how many bytes the plan adds to a batch.
    pub(crate) fn cost_bytes(&self) -> usize {
        let body = match &self.mutation {
            Mutation::PutObject(object) => object.cost_bytes(),
            Mutation::Batch(batch) => batch.entries.iter().map(BatchEntry::cost_bytes).sum(),
            Mutation::Transaction(tx) => {
                let writes: usize = tx.buckets.iter().map(BucketWrites::cost_bytes).sum();
                tx.reads.cost_bytes() + writes
            }
            Mutation::PutPart(part) => part.part.chunks.len() * 192,
            Mutation::Expire { due, .. } => due.len() * ROWS,
            Mutation::Prune { keys, .. } => keys.len() * ROWS,
            Mutation::BuildIndex(step) => step.cost_bytes(),
            Mutation::ClearIndex { rows, .. } => rows.iter().map(Bytes::len).sum(),
            Mutation::Age { aged, .. } => aged.len() * ROWS,
            Mutation::SweepRows { rows, .. } => rows.iter().map(|(_, key)| key.len()).sum(),
            Mutation::ForgetReads { rows, .. } => rows.len() * 64,
            Mutation::Audit(audit) => audit.tiles.iter().map(|(_, _, tile)| tile.len()).sum(),
            Mutation::SetSchema { schema, .. } => schema.as_ref().map_or(0, |schema| schema.len()),
            Mutation::PutBucket { .. }
            | Mutation::DeleteBucket { .. }
            | Mutation::DefineIndex { .. }
            | Mutation::DropIndex { .. }
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

impl BuildIndex {
    fn cost_bytes(&self) -> usize {
        let entry = |entry: &IndexEntry| entry.fields.len() + 64;
        let entries = self.documents.iter().flat_map(|document| &document.entries);
        entries.map(entry).sum()
    }
}

/// About how many bytes the rows of one change of a key add to a batch, beside its body.
const ROWS: usize = 1024;

impl PutObject {
    fn cost_bytes(&self) -> usize {
        match &self.body {
            PlannedBody::Inline(bytes) => bytes.len(),
            PlannedBody::Chunked { chunks, .. } => chunks.len() * 128,
        }
    }
}

impl BatchEntry {
    fn cost_bytes(&self) -> usize {
        match self {
            Self::Put(object) => ROWS + object.cost_bytes(),
            Self::Delete(_) | Self::Check { .. } => ROWS,
        }
    }
}

impl BucketWrites {
    fn cost_bytes(&self) -> usize {
        self.entries.iter().map(|(_, entry)| entry.cost_bytes()).sum()
    }
}

impl Transaction {
    /// A transaction waits, with its whole cost, in the lane of the bucket that it writes most in, of several the first:
    /// so it takes its turns from a bucket that its caller may write to, and none of another's.
    fn lane(&self) -> Lane {
        let costs = self
            .buckets
            .iter()
            .map(|writes| (writes.cost_bytes(), writes.bucket));
        let most = costs.reduce(|most, next| if next.0 > most.0 { next } else { most });
        most.map_or(Lane::Store, |(_, bucket)| Lane::Bucket(bucket))
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
