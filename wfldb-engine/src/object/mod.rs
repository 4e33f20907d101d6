//! Objects: storing (whole, in parts, in batches, as copies), deleting, restoring, reading, listing. The rules of a change are in `commit::apply`; here the
//! plans are made and the rows are read.

mod assemble;
mod batch;
mod copy;
mod listing;
mod multipart;
mod read;
mod tagged;
mod upload;
mod write;

use wfldb_core::doc::DocumentSignature;
use wfldb_core::id::{ContentHash, LogPosition, Seq, VersionId};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::ObjectHeaders;
use wfldb_core::time::UnixMillis;

pub use self::batch::{BatchAction, BatchOp, BatchOutcome};
pub(crate) use self::batch::{check_entry, planned_bytes};
pub use self::copy::CopySource;
pub(crate) use self::copy::merged;
pub use self::listing::{After, ListedObject, ScanPage, ScanQuery, VersionPage};
pub(crate) use self::listing::{KeyRange, visible_ranges};
pub use self::multipart::{FinishedPart, ListedPart, PartUpload, UploadInfo};
pub use self::read::{ObjectReader, Which};
pub(crate) use self::read::{inline_body, read_chunks};
pub use self::upload::{FinishedUpload, Upload};
pub use self::write::{DeleteOutcome, EraseOutcome, PutOutcome};
pub(crate) use self::write::{check_conditions, put_outcome, settle};
use crate::row::ObjectRow;

/// One version of an object, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// The key.
    pub key: ObjectKey,
    /// The version.
    pub version: VersionId,
    /// The bucket's number of the change that made it.
    pub seq: Seq,
    /// The store's number of that change.
    pub position: LogPosition,
    /// A tombstone: the key was deleted by this version.
    pub deleted: bool,
    /// BLAKE3 of the bytes; of a tombstone, that of the version which it deleted.
    pub etag: ContentHash,
    /// Length in bytes.
    pub len: u64,
    /// When the version was committed.
    pub modified: UnixMillis,
    /// What was stored with it.
    pub headers: ObjectHeaders,
    /// Of a document: the store's signature.
    pub signature: Option<DocumentSignature>,
}

impl ObjectMeta {
    /// When the version ends, if it has a time to live.
    #[must_use]
    pub fn expires(&self) -> Option<UnixMillis> {
        let ttl = self.headers.ttl_seconds?;
        Some(UnixMillis::new(
            self.modified.get().saturating_add(ttl.saturating_mul(1000)),
        ))
    }

    pub(crate) fn new(key: ObjectKey, row: ObjectRow) -> Self {
        Self {
            key,
            version: row.version,
            seq: row.seq,
            position: row.position,
            deleted: row.deleted,
            etag: row.etag,
            len: row.len,
            modified: row.modified,
            headers: row.headers,
            signature: row.signature,
        }
    }
}
