//! What a check says of the copy of the audit log. What should be there is made from the store's leaves, at the checkpoint
//! that the store holds.

use wfldb_core::audit::{AuditError, Resource, SignedCheckpoint, TiledTree, VerifierKey};
use wfldb_core::limits::NOTE_BYTES_MAX;

use super::{Check, MirrorFault};
use crate::audit::{StoredCheckpoint, StoredTiles};
use crate::error::EngineError;
use crate::mirror::log_tree::{LOG, LogFile, LogTree, path_of};
use crate::mirror::root::own_key;
use crate::row::key;
use crate::storage::Space;

/// Bytes of a hash in a tile.
const HASH_BYTES: usize = 32;

impl Check {
    /// Compares the copy of the audit log with the store's. Without a checkpoint there should be none.
    pub(super) fn log(&mut self) -> Result<(), EngineError> {
        let Some(row) = self.state.snapshot.get(Space::Meta, key::CHECKPOINT)? else {
            return Ok(());
        };
        let below = format!("{LOG}/");
        let stored = match StoredCheckpoint::decode(&row) {
            Ok(stored) => stored,
            Err(error) => {
                self.find(
                    MirrorFault::Unreadable,
                    LOG,
                    &format!("the store's checkpoint: {error}"),
                );
                self.found.take_below(&below);
                return Ok(());
            }
        };
        if !self.found.has_below(&below) {
            // What else has the name is found as such.
            if !self.found.is_other(LOG) {
                self.missing(LOG);
            }
            return Ok(());
        }
        self.report.log = Some(stored.checkpoint.size());
        self.checkpoint(&stored)?;
        match self.tiles(&stored.checkpoint) {
            Err(error @ (EngineError::Corrupt(_) | EngineError::Read(_))) => {
                self.find(MirrorFault::Unreadable, LOG, &format!("the store's log: {error}"));
                self.found.take_below(&below);
                Ok(())
            }
            compared => compared,
        }
    }

    /// The key that the store's checkpoints are signed with by now, where it has one.
    fn log_key(&self) -> Option<wfldb_core::id::PublicKey> {
        let given = self.inner.audit.key().map(VerifierKey::public_key);
        // Asking for the own one would make it.
        let has_own = || self.inner.dir().join("keys/node.key").exists();
        given
            .cloned()
            .or_else(|| has_own().then(|| own_key(&self.inner)).flatten())
    }

    fn checkpoint(&mut self, stored: &StoredCheckpoint) -> Result<(), EngineError> {
        let path = path_of(Resource::Checkpoint);
        if self.log_key().is_some_and(|key| key != *stored.key.public_key()) {
            let detail = "the store's own checkpoint is signed with another key than the store's";
            self.find(MirrorFault::Log, &path, detail);
        }
        let Some(found) = self.take(&path) else {
            return Ok(());
        };
        if found != stored.checkpoint.text().as_bytes() {
            let detail = self.what_of(&found, stored)?;
            self.find(MirrorFault::Log, &path, &detail);
        }
        Ok(())
    }

    /// What a checkpoint is that is not the store's newest.
    fn what_of(&self, found: &[u8], stored: &StoredCheckpoint) -> Result<String, EngineError> {
        if found.len() > NOTE_BYTES_MAX {
            return Ok("it is larger than a checkpoint".to_owned());
        }
        let found = match SignedCheckpoint::open(found, &stored.key) {
            Ok(found) => found,
            Err(AuditError::Signature) => return Ok("it is not signed with the store's key".to_owned()),
            Err(error) => return Ok(format!("it is not a checkpoint of the store: {error}")),
        };
        let (size, newest) = (found.size(), stored.checkpoint.size());
        let leaves = self.state.mark()?.leaves;
        if size > leaves {
            return Ok(format!(
                "signed with the store's key, of {size} leaves, and the store's log has {leaves}: it is a fork, or the store was set back"
            ));
        }
        let mut tiles = StoredTiles::new(&*self.state.snapshot);
        let root = match TiledTree::new(size, &mut tiles).root() {
            Ok(root) => root,
            Err(error @ (EngineError::Corrupt(_) | EngineError::Read(_))) => {
                return Ok(format!(
                    "another one than the store's, which cannot be compared: {error}"
                ));
            }
            Err(error) => return Err(error),
        };
        Ok(if root != found.root() {
            format!("a fork: signed with the store's key, and its {size} leaves do not begin the store's log")
        } else if size < newest {
            format!("an older one, of {size} leaves; the store has signed {newest}")
        } else {
            "it is not spelled as the store published it".to_owned()
        })
    }

    fn tiles(&mut self, checkpoint: &SignedCheckpoint) -> Result<(), EngineError> {
        let snapshot = std::sync::Arc::clone(&self.state.snapshot);
        let mut tree = LogTree::default();
        while tree.has_next(checkpoint.size()) {
            for file in tree.next_full(&*snapshot)? {
                self.log_file(&file);
            }
        }
        let (files, root) = tree.tail(&*snapshot, checkpoint.size())?;
        for file in files {
            self.log_file(&file);
        }
        if root != checkpoint.root() {
            let detail = "the store's own leaves do not come to the root of its checkpoint";
            self.find(MirrorFault::Unreadable, LOG, detail);
        }
        Ok(())
    }

    fn log_file(&mut self, file: &LogFile) {
        let path = path_of(file.resource);
        let Some(found) = self.take(&path).filter(|found| *found != file.bytes) else {
            return;
        };
        let detail = if found.len() == file.bytes.len() {
            let differs = found.iter().zip(&file.bytes).position(|(found, is)| found != is);
            let at = differs.unwrap_or(0);
            match file.resource {
                Resource::Tile(_) => format!("hash {} is not that of the store", at / HASH_BYTES),
                _ => format!("it differs from the store's entries from byte {at} on"),
            }
        } else {
            format!("it has {} bytes and not {}", found.len(), file.bytes.len())
        };
        self.find(MirrorFault::Log, &path, &detail);
    }
}
