//! Why a backup was not taken, checked or restored. The text is for operators: it names paths.

use std::io;

use crate::error::EngineError;
use crate::store::OpenError;

/// An error of backups.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The file system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The reason.
        source: io::Error,
    },
    /// Another backup is being made in this place.
    #[error("another backup is being made in {0}")]
    Running(String),
    /// The place lies inside the store's own directory.
    #[error("{0} is inside the store's own directory")]
    InsideStore(String),
    /// The place is itself a backup.
    #[error("{0} is a backup; give the directory of the series")]
    IsABackup(String),
    /// There is no backup there.
    #[error("there is no backup in {0}")]
    NotABackup(String),
    /// No backup is as old as was asked for.
    #[error("no backup in {0} is from that time or before")]
    NoneBefore(String),
    /// A newer release took it.
    #[error("the backup has format {found}; this release reads up to {supported}")]
    NewerFormat {
        /// Its format.
        found: u32,
        /// The newest that this release reads.
        supported: u32,
    },
    /// What is there is not what was written.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The directory to restore to holds something.
    #[error("{0} is not empty; a store is restored to a new directory only")]
    NotEmpty(String),
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store's own files cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
}

impl BackupError {
    pub(super) fn io(what: impl std::fmt::Display) -> impl FnOnce(io::Error) -> Self {
        let what = what.to_string();
        move |source| Self::Io { what, source }
    }
}

impl From<BackupError> for EngineError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Engine(error) => error,
            BackupError::Running(_) => Self::BackupRunning,
            BackupError::Io { source, .. }
                if matches!(
                    source.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
                ) =>
            {
                Self::BackupFull
            }
            other => Self::BackupFailed(other.to_string()),
        }
    }
}
