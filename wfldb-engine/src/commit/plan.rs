//! A mutation as pure data: everything the committer needs, decided before it.
//!
//! INVARIANT: no clock and no randomness after planning. `at`, `entropy`, the salt inside `evidence`, hashes and
//! ids are in the plan, so `apply` is a function of (plan, state) and runs the same on a replica.

use bytes::Bytes;
use wfldb_core::auth::Charge;
use wfldb_core::id::{BucketId, ChunkHash, ContentHash, Seq, VersionId};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{BucketConfig, ObjectHeaders, Preconditions};
use wfldb_core::time::UnixMillis;

use crate::error::EngineError;
use crate::row::EvidenceRow;

/// An evidence row, encoded and hashed by the planner so that the committer need not.
#[derive(Debug, Clone)]
pub(crate) struct EncodedEvidence {
    pub(crate) row: Bytes,
    pub(crate) hash: [u8; 32],
}

impl EncodedEvidence {
    pub(crate) fn new(evidence: &EvidenceRow) -> Self {
        let row = Bytes::from(evidence.encode());
        let hash = *blake3::hash(&row).as_bytes();
        Self { row, hash }
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
    },
    /// Detaches the name; with `force` also when the bucket holds versions.
    DeleteBucket {
        name: BucketName,
        force: bool,
    },
    PutObject(Box<PutObject>),
    DeleteObject(Box<DeleteObject>),
    EraseVersion(Box<EraseVersion>),
    /// Removes rows of a detached bucket, found by the sweeper. Not a change: it has no log position.
    SweepRows {
        bucket: BucketId,
        rows: Vec<(crate::storage::Space, Bytes)>,
        /// Charged bytes to give back, per grant.
        credits: Vec<(wfldb_core::auth::GrantId, u64)>,
        /// Nothing is left: the bucket's counters and its detached mark go too.
        last: bool,
    },
    /// Proves that commits succeed.
    Heartbeat,
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
    /// `Some`: the put restores a deleted key.
    pub(crate) restores: Option<Restores>,
}

/// What must still hold for a deleted key to be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Restores {
    /// The key's newest version.
    pub(crate) tombstone: VersionId,
    /// The version whose bytes the plan has. While it is there, so are its chunks.
    pub(crate) source: VersionId,
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

/// What a plan did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Applied {
    Bucket {
        created: bool,
        id: BucketId,
    },
    BucketDeleted {
        id: BucketId,
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
    },
    /// There was nothing to do, and nothing was written.
    Nothing,
}

/// The committer's answer to one plan.
pub(crate) type Outcome = Result<Applied, EngineError>;

impl WritePlan {
    /// The lane of the fair queue in which the plan waits.
    pub(crate) fn lane(&self) -> Lane {
        match &self.mutation {
            Mutation::PutObject(put) => Lane::Bucket(put.bucket),
            Mutation::DeleteObject(delete) => Lane::Bucket(delete.bucket),
            Mutation::EraseVersion(erase) => Lane::Bucket(erase.bucket),
            Mutation::SweepRows { bucket, .. } => Lane::Bucket(*bucket),
            Mutation::PutBucket { .. } | Mutation::DeleteBucket { .. } | Mutation::Heartbeat => Lane::Store,
        }
    }

    /// About how many bytes the plan adds to a batch.
    pub(crate) fn cost_bytes(&self) -> usize {
        const ROWS: usize = 1024;
        let body = match &self.mutation {
            Mutation::PutObject(put) => match &put.body {
                PlannedBody::Inline(bytes) => bytes.len(),
                PlannedBody::Chunked { chunks, .. } => chunks.len() * 128,
            },
            Mutation::SweepRows { rows, .. } => rows.iter().map(|(_, key)| key.len()).sum(),
            _ => 0,
        };
        ROWS + self.evidence.row.len() + body
    }
}

/// Plans of one lane are taken in order; lanes take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// Buckets themselves, and heartbeats.
    Store,
    /// One bucket's objects.
    Bucket(BucketId),
}
