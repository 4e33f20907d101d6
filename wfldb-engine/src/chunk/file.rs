//! A chunk file: the bytes, plain or packed group by group, then the hash values of their 64 KiB groups, then a footer.
//!
//! The group values are the chaining values of BLAKE3's own tree over the plain bytes, so the chunk's hash is
//! recomputed from them: a small range costs the values, one check, and the groups that it touches.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use wfldb_core::chunk::{group_count, group_len, group_matches, group_values, root};
use wfldb_core::id::ChunkHash;
use wfldb_core::limits::GROUP_BYTES;

use super::{ChunkError, Resources};

const MAGIC: &[u8; 4] = b"wflc";
const VERSION: u32 = 1;
const FOOTER_BYTES: usize = 16;
pub(super) const VALUE_BYTES: usize = 32;
pub(super) const TABLE_ENTRY_BYTES: usize = 4;
/// The last bytes of a packed file: its name and, big-endian, its version.
pub(super) const PACKED_FOOTER: [u8; 8] = *b"wflz\0\0\0\x01";
/// Groups that are read at once where a whole chunk is gone through.
pub(super) const RUN_GROUPS: usize = 4;

/// How the bytes of a chunk stand in its file. The length of the file tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Packed,
}

/// The hash of a chunk and the values of its groups.
pub(crate) fn seal(chunk: &[u8]) -> (ChunkHash, Vec<[u8; VALUE_BYTES]>) {
    let values = group_values(chunk);
    let hash = root(&values, chunk.len()).unwrap_or_else(|| ChunkHash::of(chunk));
    (hash, values)
}

/// What follows the bytes in a plain file.
pub(super) fn plain_trailer(chunk_len: usize, values: &[[u8; VALUE_BYTES]]) -> Vec<u8> {
    let mut trailer = values.as_flattened().to_vec();
    trailer.extend_from_slice(MAGIC);
    trailer.extend_from_slice(&VERSION.to_be_bytes());
    trailer.extend_from_slice(&(chunk_len as u64).to_be_bytes());
    trailer
}

/// The length of the plain file of a chunk of `chunk_len` bytes.
pub(super) fn plain_file_bytes(chunk_len: usize) -> u64 {
    (chunk_len + group_count(chunk_len) * VALUE_BYTES + FOOTER_BYTES) as u64
}

/// Whether a packed file may have `file_bytes`: less than seven eighths of the plain one.
pub(super) fn packed_fits(chunk_len: usize, file_bytes: u64) -> bool {
    file_bytes.saturating_mul(8) < plain_file_bytes(chunk_len).saturating_mul(7)
}

/// The form of a file of `file_bytes` that holds a chunk of `chunk_len` bytes; `None` when it holds no such chunk.
pub(super) fn form(chunk_len: usize, file_bytes: u64) -> Option<Form> {
    if file_bytes == plain_file_bytes(chunk_len) {
        Some(Form::Plain)
    } else if packed_fits(chunk_len, file_bytes) && file_bytes > packed_trailer_bytes(chunk_len) as u64 {
        Some(Form::Packed)
    } else {
        None
    }
}

/// What follows the groups in a packed file.
pub(super) fn packed_trailer_bytes(chunk_len: usize) -> usize {
    group_count(chunk_len) * (TABLE_ENTRY_BYTES + VALUE_BYTES) + PACKED_FOOTER.len()
}

/// An open chunk whose group values were checked against its hash.
#[derive(Debug)]
pub(crate) struct ChunkReader {
    file: File,
    len: usize,
    values: Vec<[u8; VALUE_BYTES]>,
    packed: Option<PackedGroups>,
    resources: Arc<Resources>,
}

#[derive(Debug)]
struct PackedGroups {
    /// Where each group ends in the file. Every group is in the file, not empty, and not longer than its plain bytes.
    ends: Vec<u32>,
    /// One group as it stands in the file.
    scratch: Vec<u8>,
}

impl ChunkReader {
    /// Opens the file at `path`, which must hold the chunk `hash` of `len` bytes.
    pub(crate) fn open(
        path: &Path,
        hash: &ChunkHash,
        len: usize,
        resources: &Arc<Resources>,
    ) -> Result<Self, ChunkError> {
        let mut file = open_file(path)?;
        let file_bytes = file.metadata()?.len();
        let form = form(len, file_bytes).ok_or(ChunkError::Damaged("its file has another length"))?;
        let (table_bytes, expected) = match form {
            Form::Plain => (0, plain_trailer(len, &[])),
            Form::Packed => (group_count(len) * TABLE_ENTRY_BYTES, PACKED_FOOTER.to_vec()),
        };
        let values_bytes = group_count(len) * VALUE_BYTES;
        let mut trailer = vec![0; table_bytes + values_bytes + expected.len()];
        let body_bytes = file_bytes.saturating_sub(trailer.len() as u64);
        file.seek(SeekFrom::Start(body_bytes))?;
        file.read_exact(&mut trailer).map_err(cut)?;
        let (table, values_and_footer) = trailer.split_at(table_bytes);
        let (values, footer) = values_and_footer.split_at(values_bytes);
        if footer != expected {
            return Err(ChunkError::Damaged("its footer"));
        }
        let (values, _) = values.as_chunks::<VALUE_BYTES>();
        // INVARIANT 3: from here on a group that fits its value is part of exactly the chunk that was named.
        if root(values, len) != Some(*hash) {
            return Err(ChunkError::Damaged("its group values"));
        }
        let packed = match form {
            Form::Plain => None,
            Form::Packed => Some(PackedGroups {
                ends: group_ends(table, len, body_bytes)?,
                scratch: vec![0; GROUP_BYTES],
            }),
        };
        Ok(Self {
            file,
            len,
            values: values.to_vec(),
            packed,
            resources: Arc::clone(resources),
        })
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
        let buffers = self.resources.buffers.clone();
        let mut piece = buffers.filled(end.saturating_sub(start), |buffer| {
            self.fetch(first, buffer)?;
            self.check(first, buffer)
        })?;
        Ok(piece.split_off(offset - start))
    }

    /// Compares the whole chunk with its values.
    pub(super) fn check_all(&mut self) -> Result<(), ChunkError> {
        self.for_each_run(|reader, first, run| reader.check(first, run).map(|()| true))
            .map(|_| ())
    }

    /// Whether the file holds exactly `bytes`. Compared with them, and not with the values, which they fit already.
    pub(super) fn holds(&mut self, bytes: &[u8]) -> Result<bool, ChunkError> {
        if bytes.len() != self.len {
            return Ok(false);
        }
        self.for_each_run(|_, first, run| {
            let start = first * GROUP_BYTES;
            Ok(bytes.get(start..start + run.len()) == Some(run))
        })
    }

    /// Goes through the plain bytes, a few groups at a time, until `look` says `false`.
    fn for_each_run(
        &mut self,
        look: impl Fn(&Self, usize, &[u8]) -> Result<bool, ChunkError>,
    ) -> Result<bool, ChunkError> {
        let mut buffer = vec![0; self.len.min(RUN_GROUPS * GROUP_BYTES)];
        for first in (0..group_count(self.len)).step_by(RUN_GROUPS) {
            let left = self.len - first * GROUP_BYTES;
            let run = buffer.len().min(left);
            let Some(run) = buffer.get_mut(..run) else {
                return Ok(false);
            };
            self.fetch(first, run)?;
            if !look(self, first, run)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Fills `plain` with the groups from `first` on. They are not checked.
    fn fetch(&mut self, first: usize, plain: &mut [u8]) -> Result<(), ChunkError> {
        let Some(packed) = &mut self.packed else {
            let start = (first * GROUP_BYTES) as u64;
            return self.file.read_exact_at(plain, start).map_err(cut);
        };
        for (index, group) in plain.chunks_mut(GROUP_BYTES).enumerate() {
            packed.fetch(&self.file, &self.resources, first + index, group)?;
        }
        Ok(())
    }

    fn check(&self, first: usize, groups: &[u8]) -> Result<(), ChunkError> {
        for (index, group) in groups.chunks(GROUP_BYTES).enumerate() {
            if !group_matches(&self.values, first + index, group, self.len) {
                return Err(ChunkError::Damaged("a group"));
            }
        }
        Ok(())
    }
}

impl PackedGroups {
    fn fetch(
        &mut self,
        file: &File,
        resources: &Resources,
        index: usize,
        plain: &mut [u8],
    ) -> Result<(), ChunkError> {
        let damaged = ChunkError::Damaged("a packed group");
        let start = match index.checked_sub(1) {
            None => 0,
            Some(before) => *self.ends.get(before).ok_or(ChunkError::Damaged("its table"))?,
        };
        let end = *self.ends.get(index).ok_or(ChunkError::Damaged("its table"))?;
        let len = end.saturating_sub(start) as usize;
        if len == plain.len() {
            return file.read_exact_at(plain, u64::from(start)).map_err(cut);
        }
        let Some(packed) = self.scratch.get_mut(..len) else {
            return Err(damaged);
        };
        file.read_exact_at(packed, u64::from(start)).map_err(cut)?;
        if resources.packer.unpack(packed, plain)? {
            Ok(())
        } else {
            Err(damaged)
        }
    }
}

/// The table of a packed file, checked: groups in order, none empty, none longer than its plain bytes, and together
/// exactly the `body_bytes` before the table.
fn group_ends(table: &[u8], chunk_len: usize, body_bytes: u64) -> Result<Vec<u32>, ChunkError> {
    let (table, _) = table.as_chunks::<TABLE_ENTRY_BYTES>();
    let mut ends = Vec::with_capacity(table.len());
    let mut start = 0;
    for (index, end) in table.iter().enumerate() {
        let end = u32::from_be_bytes(*end);
        let packed = end.checked_sub(start).filter(|len| *len > 0);
        let fits = match (packed, group_len(chunk_len, index)) {
            (Some(packed), Some(plain)) => packed as usize <= plain,
            _ => false,
        };
        if !fits {
            return Err(ChunkError::Damaged("its table"));
        }
        ends.push(end);
        start = end;
    }
    if u64::from(start) == body_bytes {
        Ok(ends)
    } else {
        Err(ChunkError::Damaged("its table"))
    }
}

fn open_file(path: &Path) -> Result<File, ChunkError> {
    File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => ChunkError::Damaged("its file is missing"),
        _ => error.into(),
    })
}

/// A file that ends before its length said it would was cut; another failure is the file system's.
fn cut(error: std::io::Error) -> ChunkError {
    match error.kind() {
        ErrorKind::UnexpectedEof => ChunkError::Damaged("its file was cut"),
        _ => error.into(),
    }
}
