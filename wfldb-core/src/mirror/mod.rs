//! What the files of a mirror are called and what stands in them. Pure; who writes them is the engine's.
//!
//! A mirror is a directory of plain files that says what a store says. Its bytes are a function of the store's state
//! alone, so that a file which differs in one byte differs from what it should be.

mod commit;
mod edit;
mod manifest;
mod merge;
mod name;
mod pretty;
mod reconcile;
mod said;

pub use commit::{Authors, GitId, MirrorCommit};
pub use edit::{Edit, ObjectEdit, ObjectSide, Strategy, begun_with, settle, settle_object};
pub use manifest::{Manifest, ManifestError};
pub use merge::{Conflict, merge};
pub use name::{BESIDE_BUCKETS, FileKind, FileName, Shard, bucket_dir};
pub use pretty::pretty;
pub use reconcile::{Choice, Reconciled, Side, reconcile};
pub use said::headers_of;
