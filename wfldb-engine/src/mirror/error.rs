//! Why a mirror is not kept, and why a round of it was given up.

use std::io;

use super::manifests::ManifestFault;
use crate::error::EngineError;

/// Why a mirror cannot be kept in a directory.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The file system refused.
    #[error("the mirror's directory cannot be used: {0}")]
    Io(#[from] io::Error),
    /// The store cannot be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The directory has something else in it, which would be in the way.
    #[error("the directory is no mirror and not empty: it has `{0}`")]
    NotEmpty(String),
    /// It is the mirror of another store.
    #[error("the directory is the mirror of another store")]
    Foreign,
}

/// Why a round was given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The manifest of this directory is not what was written.
    #[error("the manifest of {0} is damaged")]
    Manifest(String),
    /// The mirror ends.
    #[error("the mirror ends")]
    Ended,
}

impl From<crate::storage::StorageError> for Failure {
    fn from(error: crate::storage::StorageError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<ManifestFault> for Failure {
    fn from(fault: ManifestFault) -> Self {
        match fault {
            ManifestFault::Damaged(place) => Self::Manifest(place),
            ManifestFault::Io(error) => Self::Io(error),
        }
    }
}
