//! The mirror that the server keeps: started with it, stopped before the store is closed.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wfldb_core::id::PublicKey;
use wfldb_engine::{
    Engine, EngineError, Mirror, MirrorChecks, MirrorError, MirrorOptions, MirrorStatus, MirrorSyncs,
};

/// Where the server keeps a mirror.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MirrorPlace {
    /// In `mirror` below the store's directory.
    #[default]
    Data,
    /// Here.
    Dir(PathBuf),
    /// Nowhere.
    None,
}

/// Where the store is brought together with others, and who is believed then.
#[derive(Clone, Debug)]
pub(crate) struct SyncPlace {
    pub(crate) remote: String,
    pub(crate) trusted: Vec<PublicKey>,
}

/// The mirror, until the server stops.
#[derive(Debug)]
pub(crate) struct Mirroring {
    mirror: Mutex<Option<Mirror>>,
    /// `None`: callers may have nothing brought together.
    pub(crate) meets: Option<SyncPlace>,
}

impl Mirroring {
    /// Begins to keep the mirror, if there is to be one. A store that takes no writes has none. Blocks.
    pub(crate) fn start(
        engine: &Engine,
        place: MirrorPlace,
        meets: Option<SyncPlace>,
    ) -> Result<Self, MirrorError> {
        let kept = |mirror| Self {
            mirror: Mutex::new(mirror),
            meets,
        };
        let dir = match place {
            MirrorPlace::None => return Ok(kept(None)),
            MirrorPlace::Data => None,
            MirrorPlace::Dir(dir) => Some(dir),
        };
        match Mirror::start(
            engine,
            MirrorOptions {
                dir,
                history: None,
                git: true,
            },
        ) {
            Ok(mirror) => Ok(kept(Some(mirror))),
            Err(MirrorError::Engine(EngineError::ReadOnly)) => Ok(kept(None)),
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Mirror>> {
        self.mirror.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends its thread, and with it the hold on the store. Blocks.
    pub(crate) fn stop(&self) {
        self.lock().take();
    }

    /// How far it is, if there is one. May block.
    pub(crate) fn status(&self) -> Option<MirrorStatus> {
        let mirror = self.lock();
        mirror.as_ref().map(Mirror::status)
    }

    /// What brings its store together with others, if there is one.
    pub(crate) fn syncs(&self) -> Option<MirrorSyncs> {
        let mirror = self.lock();
        mirror.as_ref().map(Mirror::syncs)
    }

    /// What looks at it, if there is one.
    pub(crate) fn checks(&self) -> Option<MirrorChecks> {
        let mirror = self.lock();
        mirror.as_ref().map(Mirror::checks)
    }
}
