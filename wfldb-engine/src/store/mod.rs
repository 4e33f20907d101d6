//! A store's directory: how it is created, what is checked before and after it is opened, and the marks beside it.
//!
//! ```text
//! STORE          store id, realm, format, trusted roots, keyspaces: what must exist (written by rename)
//! HWM            the durable mark: where the log stood when the last write was answered
//! REPLAY         the time at or above every request that was accepted
//! lock           held by the process that has the store open
//! keys/          store.secret (0600): opaque keys are derived from it; node.key (0600): what the store signs with
//! db/            fjall
//! chunks/        chunk files
//! probe/         a copy of db/ made of links, opened first; kept only when the store is damaged
//! ```

mod create;
mod file;
mod folder;
mod layout;
mod leaves;
mod node_key;
mod open;
mod probe;
mod replay;
mod slots;
mod upgrade;
mod verify;

pub(crate) use self::create::random;
#[cfg(test)]
pub(crate) use self::file::FORMAT;
pub(crate) use self::file::StoreFile;
pub use self::folder::{FileError, Folder};
pub(crate) use self::layout::{Layout, remove_all, sync_dir, write_synced};
pub use self::node_key::{NodeKeyError, load_node_key};
pub(crate) use self::node_key::{add_node_keys, other_node_keys};
pub(crate) use self::open::{READ_ONLY_ASKED, open};
pub(crate) use self::probe::{Probed, copy_database, run_probe};
pub use self::probe::{Prober, probe_main};
pub use self::replay::ReplayMark;
#[cfg(fuzzing)]
pub(crate) use self::slots::Slots;
pub(crate) use self::slots::{HighWaterMark, file_of as slot_file};
pub(crate) use self::verify::{Verdict, verify};

/// Why a store was not opened at all. Damage that leaves something to read opens it read-only instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("another process has the store in {0} open")]
    Locked(String),
    /// The store is of another realm than was asked for.
    #[error("the store's realm is {found}, not {wanted}")]
    OtherRealm {
        /// The realm that the store was made with.
        found: String,
        /// The realm that was asked for.
        wanted: String,
    },
    /// The store was written by a newer release.
    #[error("the store has format {found}; this release reads up to {supported}")]
    NewerFormat {
        /// The format on disk.
        found: u32,
        /// The newest that this release reads.
        supported: u32,
    },
    /// The `STORE` file is missing beside data, or is not what was written.
    #[error("the STORE file in {0} is missing or damaged; restore it from a backup")]
    StoreFile(String),
    /// A network file system: its locks and syncs cannot be relied on.
    #[error("{0} is on a network file system")]
    NetworkFilesystem(String),
    /// The file system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The storage refused to open.
    #[error(transparent)]
    Storage(#[from] crate::storage::StorageError),
}

impl OpenError {
    pub(crate) fn io(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.to_string();
        move |source| Self::Io { what, source }
    }
}
