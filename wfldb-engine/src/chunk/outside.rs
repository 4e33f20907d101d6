//! Chunk files outside a store: those of a backup.

use std::path::Path;
use std::sync::Arc;

use wfldb_core::id::ChunkHash;

use super::Resources;
use super::file::form;
use super::{ChunkError, ChunkReader};

/// Looks at chunk files wherever they are.
#[derive(Debug)]
pub(crate) struct Checker {
    resources: Arc<Resources>,
}

impl Checker {
    pub(crate) fn new() -> Self {
        Self {
            resources: Arc::new(Resources::new()),
        }
    }

    /// The length of the file at `path`, if one of that length can hold a chunk of `len` bytes. Nothing is read.
    pub(crate) fn file_bytes(path: &Path, len: u32) -> Option<u64> {
        let found = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
        form(usize::try_from(len).ok()?, found.len()).map(|_| found.len())
    }

    /// Reads the whole chunk from the file at `path` and compares every byte with the hash.
    pub(crate) fn check(&self, path: &Path, hash: &ChunkHash, len: u32) -> Result<(), ChunkError> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        ChunkReader::open(path, hash, len, &self.resources)?.check_all()
    }
}
