//! The mirror that the server keeps: started with it, stopped before the store is closed.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use wfldb_engine::{Engine, EngineError, Mirror, MirrorChecks, MirrorError, MirrorOptions, MirrorStatus};

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

/// The mirror, until the server stops.
#[derive(Debug)]
pub(crate) struct Mirroring(Mutex<Option<Mirror>>);

impl Mirroring {
    /// Begins to keep the mirror, if there is to be one. A store that takes no writes has none. Blocks.
    pub(crate) fn start(engine: &Engine, place: MirrorPlace) -> Result<Self, MirrorError> {
        let dir = match place {
            MirrorPlace::None => return Ok(Self(Mutex::new(None))),
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
            Ok(mirror) => Ok(Self(Mutex::new(Some(mirror)))),
            Err(MirrorError::Engine(EngineError::ReadOnly)) => Ok(Self(Mutex::new(None))),
            Err(error) => Err(error),
        }
    }

    /// Ends its thread, and with it the hold on the store. Blocks.
    pub(crate) fn stop(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// How far it is, if there is one. May block.
    pub(crate) fn status(&self) -> Option<MirrorStatus> {
        let mirror = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mirror.as_ref().map(Mirror::status)
    }

    /// What looks at it, if there is one.
    pub(crate) fn checks(&self) -> Option<MirrorChecks> {
        let mirror = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mirror.as_ref().map(Mirror::checks)
    }
}
