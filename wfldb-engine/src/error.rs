//! Why the engine did not do what it was asked. Variants name the fault; `kind` says what the caller can do.

use wfldb_core::Kind;
use wfldb_core::aggregate::TooManyGroups;
use wfldb_core::doc::{
    AdoptError, EnvelopeError, JsonError, PatchError, PatchFault, SchemaError, TimeFieldError,
};
use wfldb_core::index::{DefinitionError, IndexError};
use wfldb_core::query::QueryError;

use crate::row::RowError;
use crate::storage::StorageError;
use crate::tx::Changed;

/// An error of the engine. `Display` is for logs; what a client may see is `code`, and the server's own words.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No bucket has that name.
    #[error("no such bucket")]
    NoSuchBucket,
    /// The key has no such version, or no live one.
    #[error("no such key")]
    NoSuchKey,
    /// The bucket holds versions.
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    /// The kind of a bucket cannot change.
    #[error("a bucket's kind is fixed")]
    KindFixed,
    /// The time field of a bucket with versions in it cannot change.
    #[error("a bucket's time field is fixed while it holds versions")]
    TimeFieldFixed,
    /// In this bucket nothing is changed or deleted.
    #[error("the bucket is append-only")]
    AppendOnly,
    /// A document without the time that its bucket wants.
    #[error(transparent)]
    TimeField(#[from] TimeFieldError),
    /// The key is not deleted, so there is nothing to restore.
    #[error("the key is not deleted")]
    NotDeleted,
    /// A condition of the request does not hold.
    #[error("a precondition does not hold")]
    PreconditionFailed,
    /// A unique index has the document's values for another document.
    #[error("another document has the same values in {}", unique_index(index.as_ref()))]
    UniqueViolation {
        /// The index's name, where the caller may write everywhere in the bucket.
        index: Option<String>,
    },
    /// An index cannot hold the document.
    #[error(transparent)]
    Unindexable(#[from] IndexError),
    /// What is no definition of an index.
    #[error(transparent)]
    BadIndex(#[from] DefinitionError),
    /// Another index has that name.
    #[error("another index has that name")]
    IndexExists,
    /// No index has that name.
    #[error("no such index")]
    NoSuchIndex,
    /// The bucket has as many indexes as one may have.
    #[error("the bucket has too many indexes")]
    TooManyIndexes,
    /// Another version came first, so what was planned stands on nothing. Planned again it may succeed.
    #[error("another write of the same document came first")]
    Stale,
    /// What is no document that could be stored.
    // Without the place, which has names of the caller's.
    #[error("{}", .0.fault)]
    Json(#[from] JsonError),
    /// A patch that is none, or does not fit the document.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// A document that is not what its bucket's schema asks for.
    #[error("the document does not follow the schema of its bucket")]
    Schema {
        /// Where in the document: a JSON pointer.
        pointer: String,
        /// What of the schema: a JSON pointer into it.
        rule: String,
    },
    /// What is no schema that is served.
    #[error(transparent)]
    BadSchema(#[from] SchemaError),
    /// A document whose own envelope, or whose size, does not fit.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// A document of another store that is not taken over.
    #[error(transparent)]
    Adopt(#[from] AdoptError),
    /// In a bucket of documents this does not exist: parts, metadata, bytes that are no JSON.
    #[error("a bucket of documents has no such thing")]
    NotForDocuments,
    /// Only in a bucket of documents this exists.
    #[error("the bucket does not hold documents")]
    NotDocuments,
    /// There is no node key, and none can be made.
    #[error("there is no node key to sign documents with")]
    NoNodeKey,
    /// One entry of a batch was refused, and with it the whole batch.
    #[error("entry {index} of the batch: {error}")]
    Entry {
        /// Which, from 0.
        index: usize,
        /// Why.
        error: Box<EngineError>,
    },
    /// What a transaction read has changed since; it can be tried again from the start.
    #[error("{0} was changed since the transaction read it")]
    TransactionConflict(Box<Changed>),
    /// Waiting for the lock would have closed a circle of transactions, of which this one is the youngest.
    #[error("the transaction was ended to resolve a deadlock")]
    Deadlock,
    /// The lock was not to be had in time.
    #[error("the lock was not to be had in time")]
    LockTimeout,
    /// There is no such transaction: it is over, or another caller's.
    #[error("no such transaction")]
    NoSuchTransaction,
    /// The transaction has no savepoint of that name.
    #[error("no such savepoint")]
    NoSuchSavepoint,
    /// The transaction has read or written as much as one can, or there are as many as can be.
    #[error("a limit of transactions is reached: {0}")]
    TransactionLimit(&'static str),
    /// Two entries of a batch have the same key.
    #[error("a key occurs twice in the batch")]
    RepeatedKey,
    /// What was current at that time is not kept any more.
    #[error("that version is not kept any more")]
    VersionPruned,
    /// The caller has no such upload for the key, or it is over.
    #[error("no such upload")]
    NoSuchUpload,
    /// The part is not one that the upload has, or does not have the length that its place asks for.
    #[error("the part does not fit the upload")]
    InvalidPart,
    /// The proof does not allow this.
    #[error("the proof does not allow this")]
    Forbidden,
    /// No use is left of the link.
    #[error("no use is left of the link")]
    LinkUsedUp,
    /// The uses of too many links are counted.
    #[error("the uses of too many links are counted")]
    LinksFull,
    /// The bucket wants each request signed by itself, and the proof is of a session's request or of one by a link.
    #[error("the bucket wants a signature with each request")]
    SignatureRequired,
    /// The packet that the request came with was revoked before its commit.
    #[error("the packet was revoked")]
    Revoked,
    /// There is no room for another revocation: the caller's share is full, or the whole.
    #[error("no more revocations can be kept")]
    RevocationsFull,
    /// A key with a reserved word.
    #[error("the key is reserved")]
    ReservedKey,
    /// A setting that this release does not act on.
    #[error("{0} is not supported yet")]
    NotSupportedYet(&'static str),
    /// A bucket's or grant's quota is used up.
    #[error("a quota is used up")]
    QuotaExceeded,
    /// The object is larger than a limit allows.
    #[error("the object is too large")]
    TooLarge,
    /// The body's bytes do not have the signed hash.
    #[error("the body does not have the signed hash")]
    HashMismatch,
    /// The body does not have the signed length.
    #[error("the body does not have the signed length")]
    LengthMismatch,
    /// A question about documents that is none.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A question costs more than one may: documents, bytes or time.
    #[error("the question costs more than one may")]
    OverBudget,
    /// The groups of an aggregation take more memory than they may.
    #[error(transparent)]
    TooManyGroups(#[from] TooManyGroups),
    /// The free-space floor is reached, or a chunk could not be written.
    #[error("storage is full")]
    StorageFull,
    /// The write may or may not be there: read back.
    #[error("the outcome of the write is unknown")]
    OutcomeUnknown,
    /// Stored bytes are not what was written.
    #[error("stored data is damaged: {0}")]
    Corrupt(&'static str),
    /// The store was opened read-only, or an earlier commit failed.
    #[error("the store is read-only")]
    ReadOnly,
    /// Too much is waiting already.
    #[error("too many writes are waiting")]
    Busy,
    /// A read failed below.
    #[error("a read failed: {0}")]
    Read(String),
    /// The store is closing.
    #[error("the store is closing")]
    Closing,
    /// Changes behind the `seq` that was given are not kept any more.
    #[error("changes since then are not kept any more; start over")]
    TooOld,
    /// The bucket has not come as far as the `seq` that was given: it was made anew, or the store was restored.
    #[error("the bucket knows no such seq: it was made anew, or the store was restored; start over")]
    SinceUnknown,
    /// No checkpoint of the audit log is signed: none yet, or the log contradicts the one that is stored.
    #[error("no checkpoint of the audit log is signed")]
    NoCheckpoint,
    /// A leaf, tile or size that the newest checkpoint does not cover.
    #[error("the newest checkpoint does not cover it")]
    OutsideTree,
    /// The evidence of the change is gone, and with it what opens its leaf.
    #[error("the evidence was erased")]
    EvidenceErased,
    /// The mirror does not come to where its files can be compared: it is being made, has no room, or cannot be written.
    #[error("the mirror does not come to rest")]
    MirrorBehind,
    /// Another backup is being made in that place.
    #[error("another backup is being made in that place")]
    BackupRunning,
    /// The place of the backup has no room.
    #[error("the place of the backup is full")]
    BackupFull,
    /// The place of the backup cannot be used; the text names paths and is for logs.
    #[error("the backup failed: {0}")]
    BackupFailed(String),
}

fn unique_index(name: Option<&String>) -> String {
    name.map_or_else(
        || "a unique index".to_owned(),
        |name| format!("the unique index {name}"),
    )
}

impl EngineError {
    /// Whether what comes next would fail the same way, whatever it is about.
    pub(crate) fn stops_everything(&self) -> bool {
        matches!(
            self,
            Self::ReadOnly | Self::StorageFull | Self::OutcomeUnknown | Self::NoNodeKey | Self::Closing
        )
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Entry { error, .. } => error.kind(),
            Self::BadIndex(error) => error.kind(),
            Self::Query(error) => error.kind(),
            Self::NoSuchBucket
            | Self::NoSuchIndex
            | Self::NoSuchKey
            | Self::VersionPruned
            | Self::NoSuchUpload
            | Self::NoSuchTransaction
            | Self::NoSuchSavepoint
            | Self::OutsideTree
            | Self::EvidenceErased => Kind::NotFound,
            Self::TooOld | Self::SinceUnknown => Kind::Gone,
            Self::Patch(error) => match error.fault {
                PatchFault::Malformed | PatchFault::TooMany | PatchFault::Result => Kind::Invalid,
                PatchFault::NoSuchPlace | PatchFault::Test => Kind::Conflict,
            },
            Self::Envelope(error) => match error {
                EnvelopeError::Reserved(_) | EnvelopeError::WrongId => Kind::Invalid,
                EnvelopeError::NotCurrent(_) | EnvelopeError::NoVersionLeft => Kind::Conflict,
                EnvelopeError::TooLarge => Kind::TooLarge,
            },
            Self::Adopt(error) => match error {
                AdoptError::Fault(_) => Kind::Invalid,
                AdoptError::Untrusted => Kind::Forbidden,
                AdoptError::Present | AdoptError::Older => Kind::Conflict,
                AdoptError::TooLarge => Kind::TooLarge,
            },
            Self::UniqueViolation { .. }
            | Self::IndexExists
            | Self::TooManyIndexes
            | Self::TimeFieldFixed
            | Self::AppendOnly
            | Self::BucketNotEmpty
            | Self::KindFixed
            | Self::NotDeleted
            | Self::BackupRunning
            | Self::TransactionConflict(_)
            | Self::Deadlock
            | Self::LockTimeout
            | Self::Stale => Kind::Conflict,
            Self::PreconditionFailed => Kind::Precondition,
            Self::ReservedKey
            | Self::Unindexable(_)
            | Self::NotSupportedYet(_)
            | Self::Json(_)
            | Self::Schema { .. }
            | Self::BadSchema(_)
            | Self::NotForDocuments
            | Self::NotDocuments
            | Self::HashMismatch
            | Self::LengthMismatch
            | Self::RepeatedKey
            | Self::InvalidPart => Kind::Invalid,
            Self::TooManyGroups(error) => error.kind(),
            Self::TimeField(error) => error.kind(),
            Self::TooLarge | Self::OverBudget | Self::TransactionLimit(_) => Kind::TooLarge,
            Self::Forbidden | Self::QuotaExceeded | Self::LinkUsedUp => Kind::Forbidden,
            Self::SignatureRequired | Self::Revoked => Kind::Unauthenticated,
            Self::StorageFull | Self::BackupFull | Self::RevocationsFull => Kind::StorageFull,
            Self::OutcomeUnknown | Self::Corrupt(_) | Self::Read(_) | Self::BackupFailed(_) => Kind::Internal,
            Self::ReadOnly
            | Self::Busy
            | Self::Closing
            | Self::NoCheckpoint
            | Self::NoNodeKey
            | Self::MirrorBehind
            | Self::LinksFull => Kind::Unavailable,
        }
    }

    /// Where in the JSON that was sent the fault is (RFC 6901), if it is in one.
    #[must_use]
    pub fn pointer(&self) -> Option<String> {
        match self {
            Self::Entry { error, .. } => error.pointer(),
            Self::Json(error) => Some(error.pointer.clone()),
            Self::BadIndex(error) => Some(error.pointer()),
            Self::Query(error) => Some(error.pointer.clone()),
            Self::Patch(error) => Some(error.pointer.clone()),
            Self::Schema { pointer, .. } => Some(pointer.clone()),
            Self::BadSchema(error) => Some(error.pointer.clone()),
            Self::Envelope(error) => Some(error.pointer()),
            Self::TimeField(error) => Some(error.pointer.clone()),
            _ => None,
        }
    }

    /// Whether the same write, planned again, may succeed: another one of the same document came in between.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        match self {
            Self::Entry { error, .. } => error.is_stale(),
            error => matches!(error, Self::Stale),
        }
    }

    /// The stable word on the wire.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchBucket => "NoSuchBucket",
            Self::NoSuchKey => "NoSuchKey",
            Self::UniqueViolation { .. } => "UniqueViolation",
            Self::Unindexable(_) => "TooManyIndexEntries",
            Self::BadIndex(error) => error.code(),
            Self::Query(error) => error.code(),
            Self::IndexExists => "IndexExists",
            Self::NoSuchIndex => "NoSuchIndex",
            Self::TooManyIndexes => "TooManyIndexes",
            Self::BucketNotEmpty => "BucketNotEmpty",
            Self::KindFixed => "KindFixed",
            Self::TimeFieldFixed => "TimeFieldFixed",
            Self::AppendOnly => "AppendOnly",
            Self::TimeField(error) => error.code(),
            Self::NotDeleted => "NotDeleted",
            Self::PreconditionFailed => "PreconditionFailed",
            Self::Stale => "Conflict",
            Self::Json(_) => "BadJson",
            Self::Schema { .. } => "SchemaViolation",
            Self::BadSchema(_) => "BadSchema",
            Self::Adopt(error) => match error {
                AdoptError::Fault(_) => "DocumentFault",
                AdoptError::Untrusted => "UntrustedSigner",
                AdoptError::Present => "DocumentPresent",
                AdoptError::Older => "DocumentOlder",
                AdoptError::TooLarge => "TooLarge",
            },
            Self::Patch(error) => match error.fault {
                PatchFault::Malformed | PatchFault::TooMany | PatchFault::Result => "BadPatch",
                PatchFault::NoSuchPlace | PatchFault::Test => "PatchConflict",
            },
            Self::Envelope(error) => match error {
                EnvelopeError::Reserved(_) => "ReservedMember",
                EnvelopeError::WrongId => "WrongId",
                EnvelopeError::NotCurrent(_) => "NotCurrent",
                EnvelopeError::NoVersionLeft => "NoVersionLeft",
                EnvelopeError::TooLarge => "TooLarge",
            },
            Self::NotForDocuments => "NotForDocuments",
            Self::NotDocuments => "NotDocuments",
            Self::NoNodeKey => "NoNodeKey",
            Self::Entry { error, .. } => error.code(),
            Self::TransactionConflict(_) => "TransactionConflict",
            Self::Deadlock => "Deadlock",
            Self::LockTimeout => "LockTimeout",
            Self::NoSuchTransaction => "NoSuchTransaction",
            Self::NoSuchSavepoint => "NoSuchSavepoint",
            Self::TransactionLimit(_) => "TransactionTooLarge",
            Self::RepeatedKey => "RepeatedKey",
            Self::VersionPruned => "VersionPruned",
            Self::NoSuchUpload => "NoSuchUpload",
            Self::InvalidPart => "InvalidPart",
            Self::Forbidden => "Forbidden",
            Self::LinkUsedUp => "LinkUsedUp",
            Self::LinksFull => "Overloaded",
            Self::SignatureRequired => "SignatureRequired",
            Self::Revoked => "Unauthenticated",
            Self::RevocationsFull => "RevocationsFull",
            Self::ReservedKey => "ReservedKey",
            Self::NotSupportedYet(_) => "NotSupportedYet",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::TooLarge => "TooLarge",
            Self::OverBudget => "OverBudget",
            Self::TooManyGroups(error) => error.code(),
            Self::HashMismatch => "HashMismatch",
            Self::LengthMismatch => "LengthMismatch",
            Self::StorageFull => "StorageFull",
            Self::OutcomeUnknown => "OutcomeUnknown",
            Self::Corrupt(_) => "Corrupt",
            Self::ReadOnly => "ReadOnly",
            Self::Busy => "Busy",
            Self::Read(_) => "ReadFailed",
            Self::Closing => "Closing",
            Self::TooOld => "TooOld",
            Self::SinceUnknown => "SinceUnknown",
            Self::NoCheckpoint => "NoCheckpoint",
            Self::OutsideTree => "OutsideTree",
            Self::EvidenceErased => "EvidenceErased",
            Self::MirrorBehind => "MirrorBehind",
            Self::BackupRunning => "BackupRunning",
            Self::BackupFull => "BackupFull",
            Self::BackupFailed(_) => "BackupFailed",
        }
    }
}

impl From<StorageError> for EngineError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Read(why) | StorageError::Open(why) => Self::Read(why),
            StorageError::Commit(_) => Self::OutcomeUnknown,
        }
    }
}

/// What the store holds of the audit log is not what was written: whatever a caller asks for is looked at before.
impl From<wfldb_core::audit::AuditError> for EngineError {
    fn from(_: wfldb_core::audit::AuditError) -> Self {
        Self::Corrupt("audit log")
    }
}

impl From<RowError> for EngineError {
    fn from(RowError(row): RowError) -> Self {
        Self::Corrupt(row)
    }
}
