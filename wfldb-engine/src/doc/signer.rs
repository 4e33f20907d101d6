//! The key that documents are signed with.

use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use wfldb_core::id::SecretKey;

use crate::error::EngineError;
use crate::store::load_node_key;

/// The store's node key: the one that was given, or its own from `keys/`, which is made when it is first needed.
#[derive(Default)]
pub(crate) struct Signer {
    key: OnceLock<SecretKey>,
    loading: Mutex<()>,
}

impl Signer {
    /// Signs with this key, unless something was signed already.
    pub(crate) fn give(&self, key: SecretKey) {
        // A key that was made for documents before stays theirs.
        let _ = self.key.set(key);
    }

    /// The key, for the store in `dir`. May read and write files.
    pub(crate) fn key(&self, dir: &Path) -> Result<&SecretKey, EngineError> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        // One at a time, so that one key is made.
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let key = load_node_key(dir).map_err(|error| {
            tracing::error!(%error, "the node key cannot be used");
            EngineError::NoNodeKey
        })?;
        let key = key.ok_or(EngineError::NoNodeKey)?;
        Ok(self.key.get_or_init(|| key))
    }
}
