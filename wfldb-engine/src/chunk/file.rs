//! A chunk file: the bytes, then the hash values of their 64 KiB groups, then a footer of 16 bytes.
//!
//! The group values are the chaining values of BLAKE3's own tree, so the chunk's hash is recomputed from them:
//! a small range costs the values, one check, and the groups that it touches.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use wfldb_core::chunk::{group_count, group_matches, group_values, root};
use wfldb_core::id::ChunkHash;
use wfldb_core::limits::GROUP_BYTES;

use super::ChunkError;

const MAGIC: &[u8; 4] = b"wflc";
const VERSION: u32 = 1;
const FOOTER_BYTES: u64 = 16;
const VALUE_BYTES: usize = 32;

/// What follows the bytes of a chunk in its file, and the chunk's hash.
pub(crate) fn seal(chunk: &[u8]) -> (ChunkHash, Vec<u8>) {
    let values = group_values(chunk);
    let hash = root(&values, chunk.len()).unwrap_or_else(|| ChunkHash::of(chunk));
    let mut trailer = Vec::with_capacity(values.len() * VALUE_BYTES + 16);
    for value in &values {
        trailer.extend_from_slice(value);
    }
    trailer.extend_from_slice(MAGIC);
    trailer.extend_from_slice(&VERSION.to_be_bytes());
    trailer.extend_from_slice(&(chunk.len() as u64).to_be_bytes());
    (hash, trailer)
}

/// The length of the file of a chunk of `chunk_len` bytes.
pub(crate) fn file_bytes(chunk_len: usize) -> u64 {
    (chunk_len + group_count(chunk_len) * VALUE_BYTES) as u64 + FOOTER_BYTES
}

/// An open chunk whose group values were checked against its hash.
#[derive(Debug)]
pub(crate) struct ChunkReader {
    file: File,
    len: usize,
    values: Vec<[u8; 32]>,
}

impl ChunkReader {
    /// Opens the file at `path`, which must hold the chunk `hash` of `len` bytes.
    pub(crate) fn open(path: &Path, hash: &ChunkHash, len: usize) -> Result<Self, ChunkError> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ChunkError::Damaged("its file is missing"));
            }
            Err(error) => return Err(error.into()),
        };
        if file.metadata()?.len() != file_bytes(len) {
            return Err(ChunkError::Damaged("its file has another length"));
        }
        file.seek(SeekFrom::Start(len as u64))?;
        let mut trailer = vec![0; group_count(len) * VALUE_BYTES + 16];
        file.read_exact(&mut trailer)?;
        let (values, footer) = trailer.split_at(group_count(len) * VALUE_BYTES);
        let expected = [
            MAGIC.as_slice(),
            &VERSION.to_be_bytes(),
            &(len as u64).to_be_bytes(),
        ]
        .concat();
        if footer != expected {
            return Err(ChunkError::Damaged("its footer"));
        }
        let (values, _) = values.as_chunks::<VALUE_BYTES>();
        let values = values.to_vec();
        // INVARIANT 3: from here on a group that fits its value is part of exactly the chunk that was named.
        if root(&values, len) != Some(*hash) {
            return Err(ChunkError::Damaged("its group values"));
        }
        Ok(Self { file, len, values })
    }

    /// Bytes from `offset` on: to the end of its group, and further whole groups while `want` is not reached.
    ///
    /// Every group is checked before any of its bytes is returned.
    pub(crate) fn read(&mut self, offset: usize, want: usize) -> Result<Bytes, ChunkError> {
        let first = offset / GROUP_BYTES;
        let start = first * GROUP_BYTES;
        let end = offset
            .saturating_add(want.max(1))
            .min(self.len)
            .next_multiple_of(GROUP_BYTES)
            .min(self.len);
        let mut buffer = BytesMut::zeroed(end.saturating_sub(start));
        self.file.seek(SeekFrom::Start(start as u64))?;
        self.file.read_exact(&mut buffer)?;
        for (index, group) in buffer.chunks(GROUP_BYTES).enumerate() {
            if !group_matches(&self.values, first + index, group, self.len) {
                return Err(ChunkError::Damaged("a group"));
            }
        }
        Ok(buffer.freeze().split_off(offset - start))
    }
}
