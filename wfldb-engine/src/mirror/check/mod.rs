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
mod log;
mod look;
mod pass;
mod report;
mod table;
mod view;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wfldb_core::auth::{Authorized, Op, Target};

pub(super) use self::held::Ask;
pub use self::kept::MirrorChecks;
use self::pass::Extent;
pub(super) use self::pass::Watch;
pub use self::report::{MirrorFault, MirrorFinding, MirrorHead, MirrorReport};
use crate::engine::{Engine, Inner};
use crate::error::EngineError;

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
