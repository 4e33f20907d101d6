//! Looking at the mirror that is being kept: whoever asks a running server comes here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wfldb_core::auth::Authorized;

use super::pass::{Extent, Watch};
use super::{MirrorReport, allowed};
use crate::error::EngineError;
use crate::mirror::{Mirror, Shared, lock};

/// What a watch keeps in mind is forgotten when nobody has asked for so long.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(15);

/// Looks at a mirror that is being kept. It may be cloned; one look goes on at a time, and one verification beside it.
#[derive(Clone)]
pub struct MirrorChecks(Arc<Shared>);

impl std::fmt::Debug for MirrorChecks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MirrorChecks").finish_non_exhaustive()
    }
}

impl Mirror {
    /// What looks at it.
    #[must_use]
    pub fn checks(&self) -> MirrorChecks {
        MirrorChecks(Arc::clone(&self.shared))
    }
}

impl MirrorChecks {
    /// Compares every file with the store while both go on, and the history up to a commit that has every change that the
    /// files had. What is merely on its way is no finding. Blocks for as long as it takes to read both; the mirror waits
    /// for a fifth of a second at a time where something has to be looked at again.
    ///
    /// # Errors
    /// `Forbidden`; `MirrorBehind` when the mirror does not come to rest within a minute: it is being made, has no room, or
    /// cannot be written; `Closing`; when the storage, or the directory, cannot be read.
    pub fn verify(&self, proof: &Authorized) -> Result<MirrorReport, EngineError> {
        allowed(proof)?;
        let shared = &self.0;
        let _alone = lock(&shared.verifying);
        // Looks go on meanwhile with what they know, and then with what is found here.
        let mut watch = Watch::default();
        let report = watch.check(&shared.engine.inner, &shared.dir, Some(shared), Extent::Whole)?;
        watch.used = Some(Instant::now());
        *lock(&shared.watch) = watch;
        Ok(report)
    }

    /// Compares the files whose inode, length or times are others than at the last look or verification, and answers what
    /// differs by now; of the history, what the last verification found. The first look is at all files. About 200 bytes
    /// for each file are kept in memory, up to three times as much during a verification, until nobody has asked for a quarter of an
    /// hour.
    ///
    /// # Errors
    /// As [`MirrorChecks::verify`].
    pub fn look(&self, proof: &Authorized) -> Result<MirrorReport, EngineError> {
        allowed(proof)?;
        let shared = &self.0;
        let mut watch = lock(&shared.watch);
        let report = watch.check(&shared.engine.inner, &shared.dir, Some(shared), Extent::Changed);
        watch.used = Some(Instant::now());
        report
    }
}

impl Shared {
    /// Forgets what nobody has asked for in a long time. Waits for nothing.
    pub(in crate::mirror) fn forget_watch(&self) {
        if let Ok(mut watch) = self.watch.try_lock()
            && watch.used.is_some_and(|used| used.elapsed() > FORGOTTEN_AFTER)
        {
            *watch = Watch::default();
        }
    }
}
