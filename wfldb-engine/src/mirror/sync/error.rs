//! Why stores are not brought together.

use wfldb_core::id::{KeyId, PublicKey, Role};

use crate::error::EngineError;
use crate::mirror::git::GitError;

/// Why stores are not brought together.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The store refused, or could not be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The mirror is kept without git, or has no commit yet.
    #[error("the mirror has no history in git")]
    NoHistory,
    /// The mirror has not everything that was committed, and does not come to have it.
    #[error("the mirror does not catch up with the store")]
    Behind,
    /// Others pushed first, time and again.
    #[error("other stores push to the remote all the time; try again")]
    Busy,
    /// Commits that are not by anybody who is trusted.
    #[error("what the remote has is signed by {}, which nobody has said to trust", ids(.0))]
    Untrusted(Vec<PublicKey>),
    /// The remote is no mirror's history.
    #[error("the remote is no history of a mirror: {0}")]
    NotAMirror(String),
    /// Git could not do it.
    #[error("{0}")]
    Git(String),
}

fn ids(keys: &[PublicKey]) -> String {
    let ids = keys
        .iter()
        .map(|key| KeyId::new(Role::Node, key.clone()).to_string());
    ids.collect::<Vec<_>>().join(", ")
}

impl From<GitError> for SyncError {
    fn from(error: GitError) -> Self {
        match error {
            GitError::Untrusted(keys) => Self::Untrusted(keys),
            GitError::NotOurs(id) => Self::NotAMirror(format!("commit {id}")),
            GitError::Path(path) => Self::NotAMirror(format!("{path:?} in it")),
            error => Self::Git(error.to_string()),
        }
    }
}
