//! Whether a mirror is what its store says: every file, down to the byte. Nothing is changed, and nothing that stands in the
//! mirror is believed: what should be there is computed from the store.
//!
//! Where nobody writes, what differs is a finding. Where a server keeps the mirror, it may be on its way: then it is looked
//! at again while the mirror's thread waits at a rest point, for a fifth of a second at most each time, where every file is
//! what one state of the store says ([`held`]). So a finding is real, whatever goes on.

mod document;
mod held;
mod history;
mod kept;
mod look;
mod pass;
mod table;
mod view;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use wfldb_core::auth::{Authorized, Op, Target};

pub(super) use self::held::Ask;
pub use self::kept::MirrorChecks;
use self::pass::Extent;
pub(super) use self::pass::Watch;
use crate::engine::{Engine, Inner};
use crate::error::EngineError;

/// Where a mirror differs from its store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MirrorFinding {
    /// A stable word.
    pub kind: MirrorFault,
    /// The file, below the mirror's directory.
    pub path: String,
    /// For people.
    pub detail: String,
}

/// How a mirror can differ from its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum MirrorFault {
    /// A file or a directory that should be there is not.
    Missing,
    /// A file that should not be there.
    Added,
    /// Something else than a file or a directory: a symbolic link, a pipe.
    WrongType,
    /// Other bytes than those of the store, and no document that tells more.
    Content,
    /// The document that it should be, in another spelling.
    Spelling,
    /// A document without a whole envelope.
    Envelope,
    /// A document whose `_hash` is not that of its members.
    Hash,
    /// A document without a signature, or one that does not verify, or of a key that is not the store's.
    Signature,
    /// A document of another key or bucket, as the store signed it.
    Elsewhere,
    /// Another version of the document than the newest, as the store signed it.
    OtherVersion,
    /// A manifest that is not the hashes of its files.
    Manifest,
    /// What is said of the mirror, of a bucket or of an object.
    Metadata,
    /// The history in git: its settings, its objects, its commits, or what they hold.
    History,
    /// What the store has cannot be read.
    Unreadable,
}

/// How far the history in git goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MirrorHead {
    /// The newest commit.
    pub commit: String,
    /// The last change that it has.
    pub position: u64,
    /// How many commits there are, each of which was verified.
    pub commits: u64,
}

/// What a check of a mirror found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MirrorReport {
    /// Nothing differs.
    pub sound: bool,
    /// The last change of the state that was compared with.
    pub position: u64,
    /// The last change that the mirror says it has.
    pub mirror_position: u64,
    /// Buckets that are mirrored.
    pub buckets: u64,
    /// Files that were compared.
    pub files: u64,
    /// The history, if there is one that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<MirrorHead>,
    /// What differs, at most 1000.
    pub findings: Vec<MirrorFinding>,
    /// How many more there are.
    pub findings_omitted: u64,
    /// Files that changed, or were large, whenever they were looked at: whether they differ is not known yet.
    #[serde(skip_serializing_if = "is_zero")]
    pub undecided: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde hands it over")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Engine {
    /// Compares the mirror in `dir` (`None`: `mirror` in the store's directory) with the store, beside whatever else goes
    /// on; of a mirror that is being kept, what is on its way is found to differ. Blocks for as long as it takes to read
    /// both.
    ///
    /// # Errors
    /// `Forbidden`; when the storage cannot be read.
    pub fn verify_mirror(&self, proof: &Authorized, dir: Option<&Path>) -> Result<MirrorReport, EngineError> {
        self.watch_mirror(proof, dir)?.verify()
    }

    /// Begins to watch the mirror in `dir` (`None`: `mirror` in the store's directory) of a store that nobody writes to.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn watch_mirror(&self, proof: &Authorized, dir: Option<&Path>) -> Result<MirrorWatch, EngineError> {
        allowed(proof)?;
        Ok(MirrorWatch {
            inner: Arc::clone(&self.inner),
            dir: dir.map_or_else(|| self.inner.dir().join("mirror"), Path::to_owned),
            watch: Watch::default(),
        })
    }
}

fn allowed(proof: &Authorized) -> Result<(), EngineError> {
    // `_admin` is asked of the store too, by whoever may.
    if proof.op() == Op::Admin && matches!(proof.target(), Target::Store | Target::Service(_)) {
        Ok(())
    } else {
        Err(EngineError::Forbidden)
    }
}

/// Looks at the mirror of a store that nobody writes to, again and again. It keeps about 200 bytes for each file in memory.
pub struct MirrorWatch {
    inner: Arc<Inner>,
    dir: PathBuf,
    watch: Watch,
}

impl std::fmt::Debug for MirrorWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MirrorWatch")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl MirrorWatch {
    /// Compares every file, and the history.
    ///
    /// # Errors
    /// When the storage, or the directory, cannot be read.
    pub fn verify(&mut self) -> Result<MirrorReport, EngineError> {
        self.watch.check(&self.inner, &self.dir, None, Extent::Whole)
    }

    /// Compares the files whose inode, length or times are others than at the last look, and answers what differs by now;
    /// of the history, what the last [`MirrorWatch::verify`] found. The first look is at everything.
    ///
    /// # Errors
    /// As [`MirrorWatch::verify`].
    pub fn look(&mut self) -> Result<MirrorReport, EngineError> {
        self.watch.check(&self.inner, &self.dir, None, Extent::Changed)
    }
}
