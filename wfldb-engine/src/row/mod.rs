//! Rows as bytes: the keys of every keyspace and the values behind them. `docs/FORMAT.md` says the same in words.
//!
//! A row that does not decode is [`RowError`]: damage, never a panic and never a default.

mod access;
mod bucket;
mod change;
pub(crate) mod counters;
mod headers;
mod index;
pub(crate) mod key;
mod link_use;
mod mark;
mod object;
pub(crate) mod revocation;
mod upload;

pub use self::access::Shown;
pub(crate) use self::access::{AccessHead, AccessRow};
pub(crate) use self::bucket::BucketRow;
pub(crate) use self::change::{Action, BucketChange, ChangeRow, Effect, EvidenceRow, LeafLink};
pub(crate) use self::counters::BucketCounters;
pub(crate) use self::index::{DefinedIndex, IndexState, IndexWork, Indexes, decode_entry, encode_entry};
pub(crate) use self::link_use::{LinkUseRow, LinksRow, decode_share as link_share};
pub(crate) use self::mark::CommitMark;
pub(crate) use self::object::ObjectRow;
pub(crate) use self::upload::{Completed, PartRow, UploadRow};

use flatbuffers::VerifierOptions;
use wfldb_schemas::store;

/// A stored row is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored {0} row is damaged")]
pub struct RowError(pub &'static str);

/// Bounds for reading our own rows: the deepest is a vector of pairs, the largest a manifest of 64 GiB.
pub(crate) fn verifier() -> VerifierOptions {
    VerifierOptions {
        max_depth: 4,
        max_tables: 4096,
        max_apparent_size: 4 << 20,
        ..VerifierOptions::default()
    }
}

pub(crate) fn hash(bytes: &[u8; 32]) -> store::Hash {
    store::Hash::new(bytes)
}

pub(crate) fn hash_bytes(hash: &store::Hash) -> [u8; 32] {
    hash.bytes().into()
}

pub(crate) fn id(bytes: &[u8; 16]) -> store::Id {
    store::Id::new(bytes)
}

pub(crate) fn id_bytes(id: &store::Id) -> [u8; 16] {
    id.bytes().into()
}
