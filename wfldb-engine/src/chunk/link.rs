//! Making a chunk of one bucket available in another without moving its bytes.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use wfldb_core::id::{BucketId, ChunkHash};

use super::file::form;
use super::{ChunkError, ChunkStore, Pins};

impl ChunkStore {
    /// Makes the chunk of `len` bytes that `from` has available in `to`, on stable storage, and pins it there. Its
    /// bytes are not read unless no row names them yet: each read checks them.
    ///
    /// # Errors
    /// `Damaged` when `from` has no file of that length.
    pub(crate) fn link(
        &self,
        from: BucketId,
        to: BucketId,
        chunk: ChunkHash,
        len: usize,
        pins: &mut Pins,
    ) -> Result<(), ChunkError> {
        self.link_with(from, to, chunk, len, pins, |source, temp| {
            fs::hard_link(source, temp)
        })
    }

    pub(super) fn link_with(
        &self,
        from: BucketId,
        to: BucketId,
        chunk: ChunkHash,
        len: usize,
        pins: &mut Pins,
        hard_link: impl FnOnce(&Path, &Path) -> io::Result<()>,
    ) -> Result<(), ChunkError> {
        // ORDER: pinned before looked for, see `remove_if_unnamed`.
        pins.pin(to, chunk);
        let (source, target) = (self.path(&from, &chunk), self.path(&to, &chunk));
        require(&source, len)?;
        if !self.is_named(&from, &chunk)? {
            // DURABILITY: nobody vouches for this file, so it may never have reached the disk whole.
            self.check(&from, &chunk, len)?;
            File::open(&source)?.sync_all()?;
        }
        if self.is_named(&to, &chunk)? && require(&target, len).is_ok() {
            return Ok(());
        }
        self.place(&target, |temp| match hard_link(&source, temp) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(error),
            // No links on this file system, or too many to this file: the bytes are copied.
            Err(_) => copy(&source, temp),
        })?;
        self.mark_synced(to, chunk);
        Ok(())
    }
}

/// There must be a file that can hold the chunk by its length.
fn require(path: &Path, len: usize) -> Result<(), ChunkError> {
    match fs::metadata(path) {
        Ok(file) if form(len, file.len()).is_some() => Ok(()),
        Ok(_) => Err(ChunkError::Damaged("its file has another length")),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(ChunkError::Damaged("its file is missing")),
        Err(error) => Err(error.into()),
    }
}

fn copy(source: &Path, temp: &Path) -> io::Result<()> {
    let mut from = File::open(source)?;
    let mut file = File::create_new(temp)?;
    io::copy(&mut from, &mut file)?;
    file.sync_all()
}
