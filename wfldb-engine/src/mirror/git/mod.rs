//! The history of a mirror in git, in `mirror/.git`: a commit for each batch of changes, signed by the store's node key.
//!
//! The work is that of the `git` program, which is told everything and obeys nothing that it finds: whoever can write in
//! the mirror can write in `.git` too. Files come as bytes; nothing is read from the mirror, there is no index and no
//! checkout. What a commit says and how it is signed is [`MirrorCommit`](wfldb_core::mirror::MirrorCommit).

mod error;
mod import;
mod inspect;
mod keeper;
mod leftovers;
mod past;
mod pending;
mod program;
mod remote;
mod repack;
mod repository;
#[cfg(test)]
mod tests;
mod whole;

use std::path::Path;

use wfldb_core::audit::TreeHash;
use wfldb_core::id::SecretKey;
use wfldb_core::mirror::{Authors, GitId, MirrorCommit};
use wfldb_core::name::Realm;
use wfldb_core::time::UnixMillis;

pub(crate) use self::error::GitError;
use self::import::Changes;
pub(crate) use self::import::{Content, GitChange};
pub(crate) use self::inspect::Inspection;
pub(crate) use self::keeper::{GitKeeper, GitOrders};
pub(crate) use self::past::Past;
pub(crate) use self::pending::is_recorded;
use self::program::{Git, QUICK, STEADY};
pub(crate) use self::remote::{Fetched, Remote, TreeChange};
use self::repack::Repack;
use self::repository::Repository;

/// The branch that is written.
pub(crate) const BRANCH: &str = "refs/heads/main";
/// The tree without files, which git knows whether it is stored or not.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
/// What `update-ref` takes for a branch that is not there.
const NONE: &str = "0000000000000000000000000000000000000000";

/// What becomes a commit.
pub(crate) struct GitBatch<'a> {
    /// Whether `changes` are all files, or only those that differ from the commit before.
    pub(crate) whole: bool,
    /// Hands over the files, each path once, directories that go before what comes. An error gives the commit up.
    pub(crate) changes: Changes<'a>,
    /// The first and the last change of the store that they have.
    pub(crate) sequences: (u64, u64),
    /// Whose changes those are.
    pub(crate) authors: Authors,
    /// Another store's commit that is brought in.
    pub(crate) merged: Option<GitId>,
    /// Size and root of the newest checkpoint of the audit log.
    pub(crate) checkpoint: Option<(u64, TreeHash)>,
    /// The time of the commit.
    pub(crate) time: UnixMillis,
}

/// The newest commit of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GitHead {
    /// Its name.
    pub(crate) id: GitId,
    /// What it says.
    pub(crate) commit: MirrorCommit,
}

/// What is known of the newest commit.
#[derive(Debug)]
enum Head {
    /// It has to be read first.
    Unknown,
    /// This one; `None`: there is none.
    Known(Option<GitHead>),
}

/// The history of one mirror. One process at a time has it open.
pub(crate) struct GitHistory {
    git: Git,
    repository: Repository,
    realm: Realm,
    key: SecretKey,
    head: Head,
    repack: Repack,
}

impl std::fmt::Debug for GitHistory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GitHistory")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl GitHistory {
    /// Opens the history in `mirror`, a directory that is there, or makes an empty one. What a process that was killed
    /// left behind is removed, and configuration, hooks and detours that are not ours are not obeyed. Commits are signed
    /// with `key`.
    ///
    /// # Errors
    /// `Unavailable` without a `git` program, `Busy`, `InTheWay`, `NotOurs`, `Io`.
    pub(crate) fn open(mirror: &Path, realm: Realm, key: SecretKey) -> Result<Self, GitError> {
        Self::open_with(&program::find()?, mirror, realm, key)
    }

    fn open_with(program: &Path, mirror: &Path, realm: Realm, key: SecretKey) -> Result<Self, GitError> {
        let repository = Repository::open(mirror)?;
        repository.clear_leftovers(true)?;
        let git = Git::new(program, repository.dir());
        let mut history = Self {
            git,
            repository,
            realm,
            key,
            head: Head::Unknown,
            repack: Repack::default(),
        };
        history.last()?;
        Ok(history)
    }

    /// The newest commit: up to which change git has everything. To be asked once more after each error.
    ///
    /// # Errors
    /// `NotOurs` when the branch is at a commit that this store did not sign, `Failed`, `Ended`, `Io`.
    pub(crate) fn last(&mut self) -> Result<Option<&GitHead>, GitError> {
        if matches!(self.head, Head::Unknown) {
            self.head = Head::Known(self.read_head()?);
        }
        Ok(match &self.head {
            Head::Known(head) => head.as_ref(),
            Head::Unknown => None,
        })
    }

    /// Makes a commit, durable when this returns, and moves the branch to it.
    ///
    /// # Errors
    /// `Path` for a name that no mirror has, `Source` when a change cannot be read, `Moved` when the branch is not where
    /// it was left, `Failed`, `Ended`, `InTheWay`, `Io`. The branch is then where it was (or, after `Ended` and
    /// `Failed`, possibly at the new commit: [`last`](Self::last) tells).
    pub(crate) fn record(&mut self, batch: GitBatch<'_>) -> Result<GitId, GitError> {
        self.repository.check()?;
        let before = self.last()?.cloned();
        // Not known any more until everything has gone well.
        self.head = Head::Unknown;
        match self.commit(batch, before.as_ref()) {
            Ok(head) => {
                let id = head.id;
                self.head = Head::Known(Some(head));
                self.repack.after_commit(&self.git, &self.repository);
                Ok(id)
            }
            Err(error) => {
                let ended = matches!(error, GitError::Ended(_));
                // What is being packed has files that look like leftovers.
                if !self.repack.is_running()
                    && let Err(error) = self.repository.clear_leftovers(ended)
                {
                    tracing::warn!(%error, "what an unfinished commit left in the mirror's history stays");
                }
                Err(error)
            }
        }
    }

    fn commit(&mut self, batch: GitBatch<'_>, before: Option<&GitHead>) -> Result<GitHead, GitError> {
        let base = before.filter(|_| !batch.whole).map(|head| head.commit.tree);
        let tree = import::import(&self.git, base, batch.changes)?;
        let commit = MirrorCommit {
            tree,
            parent: before.map(|head| head.id),
            merged: batch.merged,
            realm: self.realm.clone(),
            time: UnixMillis::new(batch.time.seconds() * 1000),
            sequences: batch.sequences,
            authors: batch.authors,
            checkpoint: batch.checkpoint,
        };
        let object = commit.sign(&self.key);
        let id = self.store("commit", &object)?;
        self.advance(before.map(|head| head.id), id)?;
        Ok(GitHead { id, commit })
    }

    /// Writes an object.
    fn store(&self, kind: &str, object: &[u8]) -> Result<GitId, GitError> {
        let arguments = ["hash-object", "-t", kind, "-w", "--stdin"];
        let output = self.git.run(&arguments, QUICK, |input| input.write_all(object))?;
        program::id(&arguments, output.trim_ascii_end())
    }

    /// Moves the branch, if it is where it should be.
    fn advance(&self, from: Option<GitId>, to: GitId) -> Result<(), GitError> {
        let (new, old) = (to.to_string(), from.map_or(NONE.to_owned(), |id| id.to_string()));
        let arguments = ["update-ref", "--no-deref", BRANCH, &new, &old];
        let Err(error) = self.git.run(&arguments, QUICK, |_| Ok(())) else {
            return Ok(());
        };
        match self.branch()?.map(|(id, _)| id) {
            Some(found) if found == to => Ok(()),
            found if found == from => Err(error),
            found => Err(GitError::Moved { from, found }),
        }
    }

    /// The commit that the branch is at, with its bytes.
    fn branch(&self) -> Result<Option<(GitId, Vec<u8>)>, GitError> {
        repository::branch(&self.git, STEADY)
    }

    fn read_head(&self) -> Result<Option<GitHead>, GitError> {
        let Some((id, object)) = self.branch()? else {
            return Ok(None);
        };
        match MirrorCommit::open(&object) {
            Some((commit, key)) if key == self.key.public_key() && commit.realm == self.realm => {
                Ok(Some(GitHead { id, commit }))
            }
            _ => Err(GitError::NotOurs(id)),
        }
    }
}
