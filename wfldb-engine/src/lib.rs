//! wflDB's disk: versioned objects over fjall and chunk files, one committer, one log. Usable alone, as an embedded
//! database: see [`Engine`].
//!
//! What is not here: signatures and packets (`wfldb-core` decides; the engine asks for its [`Authorized`] proof),
//! and anything of sockets.
//!
//! [`Authorized`]: wfldb_core::auth::Authorized

mod aggregate;
mod audit;
mod backup;
mod bucket;
mod cache;
mod changes;
mod check;
mod chunk;
mod commit;
mod compact;
mod doc;
mod engine;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzz;
mod index;
mod lifecycle;
mod link_uses;
mod mirror;
mod object;
mod options;
mod pending;
mod query;
mod revocation;
mod row;
mod scrub;
mod space;
mod stats;
mod storage;
mod store;
mod tx;
mod view;
mod worker;

#[cfg(test)]
mod tests;

pub use self::aggregate::{AggregateBudget, Aggregated};
pub use self::audit::{Came, NewestCheckpoint};
pub use self::backup::{
    BackupError, BackupFinding, BackupInfo, BackupReport, BackupVerdict, RestoreOptions, RestoreReport,
    Tally, list_backups, pick_backup, restore, verify_backup,
};
pub use self::bucket::{BucketInfo, BucketPut, Usage};
pub use self::changes::{
    BucketChange, ChangeKind, ChangePage, ChangesQuery, ChangesToCome, KeyChange, Since,
};
pub use self::check::{CheckReport, Finding, FindingKind, ViewReport};
pub use self::chunk::Collected;
pub use self::commit::Unready;
pub use self::compact::Compacted;
pub use self::doc::{
    BulkAction, BulkOp, BulkResult, Document, DocumentPatch, EditOutcome, HistoryItem, HistoryPage,
};
pub use self::engine::{Engine, Health};
pub use self::error::EngineError;
pub use self::index::{IndexDefined, IndexInfo, IndexProgress};
pub use self::mirror::{
    EditedObject, FileChange, Mirror, MirrorBatch, MirrorChecks, MirrorContent, MirrorError, MirrorFault,
    MirrorFile, MirrorFinding, MirrorHead, MirrorHistory, MirrorOptions, MirrorPlace, MirrorReport,
    MirrorSource, MirrorState, MirrorStatus, MirrorSyncs, MirrorView, MirrorWatch, MirroredBucket,
    MirroredFile, MirroredObject, Rebuilt, SHARD_ABOVE_KEYS, SaidOfObject, SourceError, SyncConflict,
    SyncError, SyncNamed, SyncOptions, SyncReport, Written,
};
pub use self::object::{
    After, BatchAction, BatchOp, BatchOutcome, CopySource, DeleteOutcome, EraseOutcome, FinishedPart,
    FinishedUpload, ListedObject, ListedPart, ObjectMeta, ObjectReader, PartUpload, PutOutcome, ScanPage,
    ScanQuery, Upload, UploadInfo, VersionPage, Which,
};
pub use self::options::{Clock, EngineOptions};
pub use self::pending::Pending;
pub use self::query::{Explained, FindPosition, FindStats, Found, PlanSummary, TextMatch};
pub use self::revocation::{RevocationInfo, RevocationPage, RevocationView, RevokeOutcome};
pub use self::row::Shown;
pub use self::stats::EngineStats;
pub use self::storage::{
    Batch, Captured, CapturedFile, Content, Fault, FjallStorage, MemoryStorage, Row, Rows, Snapshot, Space,
    Storage, StorageError, StorageFigures,
};
pub use self::store::{
    FileError, Folder, NodeKeyError, OpenError, Prober, ReplayMark, load_node_key, probe_main,
};
pub use self::tx::{
    Changed, Committed, LockMode, LockWait, Transaction, TransactionWrite, TxKey, TxObject, TxPage, TxRange,
};
pub use self::view::{Head, HeadPage};
