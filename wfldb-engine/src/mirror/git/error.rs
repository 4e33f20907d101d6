//! Why there is no commit.

use std::io;

use wfldb_core::id::{KeyId, PublicKey, Role};
use wfldb_core::mirror::GitId;

use crate::error::EngineError;

/// Why the history of a mirror cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    /// No `git` on the path.
    #[error("there is no `git` program on the path")]
    Unavailable,
    /// Another process has the history open.
    #[error("another process writes this history")]
    Busy,
    /// Something that is not followed: a symbolic link, or a file where a directory belongs.
    #[error("{0} is not what the history of a mirror has there; move it away")]
    InTheWay(String),
    /// The newest commit is not one that this store signed.
    #[error(
        "refs/heads/main is at {0}, which this store did not sign; move `.git` away to begin another history"
    )]
    NotOurs(GitId),
    /// Somebody moved the branch.
    #[error("refs/heads/main was moved: {}", moved(.from.as_ref(), .found.as_ref()))]
    Moved {
        /// Where it was left.
        from: Option<GitId>,
        /// Where it is.
        found: Option<GitId>,
    },
    /// The remote has commits of stores that nobody trusts.
    #[error("commits of the remote are not signed by a key that is trusted: {}", named(.0))]
    Untrusted(Vec<PublicKey>),
    /// Whoever keeps the history has ended.
    #[error("the history is not kept any more")]
    Over,
    /// A remote that cannot be named to git.
    #[error(
        "{0:?} is no remote: a path that is absolute, or ssh://, git://, http://, https://, file:// or host:path"
    )]
    Remote(String),
    /// A path that a mirror never has.
    #[error("{0:?} is no path of a mirror")]
    Path(String),
    /// The bytes of a file could not be read whole.
    #[error("a file for the history cannot be read: {0}")]
    Source(#[source] io::Error),
    /// The program failed.
    #[error("git {command}: {reason}")]
    Failed {
        /// Its command.
        command: String,
        /// What it said.
        reason: String,
    },
    /// The program did nothing for too long and was ended, or somebody else ended it.
    #[error("git {0} was ended before it was done")]
    Ended(String),
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// What was read or written.
        path: String,
        /// The reason.
        source: io::Error,
    },
}

impl GitError {
    pub(super) fn io(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Io { path, source }
    }
}

impl From<EngineError> for GitError {
    /// Of what is read from the store for a commit.
    fn from(error: EngineError) -> Self {
        Self::Source(io::Error::other(error))
    }
}

fn named(keys: &[PublicKey]) -> String {
    if keys.is_empty() {
        return "by nobody's".to_owned();
    }
    let ids = keys
        .iter()
        .map(|key| KeyId::new(Role::Node, key.clone()).to_string());
    ids.collect::<Vec<_>>().join(", ")
}

fn moved(from: Option<&GitId>, found: Option<&GitId>) -> String {
    let place = |id: Option<&GitId>| id.map_or("nowhere".to_owned(), GitId::to_string);
    format!("it was left at {} and is at {}", place(from), place(found))
}
