//! Buffers for chunks, used again. For pieces on their way out: a new one has to be zeroed and its pages found, which
//! costs a tenth of a read (docs/decisions/0007-reading-chunks.md). For chunks on their way in: what is given back to
//! the allocator stays in the process for a second or so, and a part of a large object takes less than that.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use wfldb_core::limits::{CHUNK_BYTES, GROUP_BYTES};

/// A piece of 1 MiB that begins within a group.
const BUFFER_BYTES: usize = 17 * GROUP_BYTES;
/// Smaller pieces would hold a buffer of which they use little.
const SMALL_BYTES: usize = BUFFER_BYTES / 2;
/// Idle buffers that are kept, 17 MiB. How many are in use is bounded by who asks for pieces.
const IDLE_MAX: usize = 16;

#[derive(Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Box<[u8]>>>>);

impl std::fmt::Debug for Buffers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffers").finish_non_exhaustive()
    }
}

/// A buffer of which `len` bytes are a piece. It goes back when the last reference to the piece goes.
struct Piece {
    buffer: Box<[u8]>,
    len: usize,
    buffers: Buffers,
}

impl Buffers {
    /// `len` bytes as `fill` leaves them.
    ///
    /// SECURITY: what `fill` is given may hold bytes of another object. It has to write every one of them, or fail.
    pub(super) fn filled<E>(
        &self,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        if !(SMALL_BYTES..=BUFFER_BYTES).contains(&len) {
            let mut buffer = vec![0; len];
            fill(&mut buffer)?;
            return Ok(Bytes::from(buffer));
        }
        let idle = self.lock().pop();
        let buffer = idle.unwrap_or_else(|| vec![0; BUFFER_BYTES].into_boxed_slice());
        let buffers = self.clone();
        let mut piece = Piece { buffer, len, buffers };
        fill(piece.buffer.get_mut(..len).unwrap_or_default())?;
        Ok(Bytes::from_owner(piece))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Box<[u8]>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut idle = self.buffers.lock();
        if idle.len() < IDLE_MAX {
            idle.push(std::mem::take(&mut self.buffer));
        }
    }
}

/// Idle buffers for chunks on their way in that are kept, 16 MiB.
const IDLE_CHUNKS_MAX: usize = 4;

#[derive(Debug, Default)]
pub(super) struct ChunkBuffers(Mutex<Vec<Vec<u8>>>);

/// The bytes of one chunk as they come in.
#[derive(Debug)]
pub(crate) struct ChunkBuffer {
    bytes: Vec<u8>,
    buffers: Arc<ChunkBuffers>,
}

impl ChunkBuffers {
    /// An empty buffer for chunks of a body of `len` bytes. It goes back when it is dropped, if it holds a whole chunk.
    pub(super) fn take(self: &Arc<Self>, len: u64) -> ChunkBuffer {
        let bytes = match usize::try_from(len) {
            Ok(len) if len < CHUNK_BYTES => Vec::with_capacity(len),
            _ => self
                .lock()
                .pop()
                .unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES)),
        };
        ChunkBuffer {
            bytes,
            buffers: Arc::clone(self),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::ops::Deref for ChunkBuffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl std::ops::DerefMut for ChunkBuffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for ChunkBuffer {
    fn drop(&mut self) {
        let mut idle = self.buffers.lock();
        if self.bytes.capacity() == CHUNK_BYTES && idle.len() < IDLE_CHUNKS_MAX {
            self.bytes.clear();
            idle.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Defects it catches: a buffer that comes back with another body's bytes; small or too many ones that are kept.
    #[test]
    fn a_chunk_buffer_comes_back_empty_and_few_are_kept() {
        let buffers = Arc::new(ChunkBuffers::default());
        let mut first = buffers.take(u64::MAX);
        first.extend_from_slice(b"secret");
        let place = first.as_ptr();
        drop((first, buffers.take(70_000)));
        assert_eq!(buffers.lock().len(), 1);
        let again = buffers.take(CHUNK_BYTES as u64);
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
        drop((0..10).map(|_| buffers.take(u64::MAX)).collect::<Vec<_>>());
        assert_eq!(buffers.lock().len(), IDLE_CHUNKS_MAX);
    }

    /// Defects it catches: a piece that is as long as its buffer; buffers that are kept beyond the bound.
    #[test]
    fn a_buffer_goes_back_with_the_last_part_of_its_piece_and_few_are_kept() {
        let buffers = Buffers::default();
        let piece = |fill: u8, len| {
            let filled = buffers.filled(len, |bytes| {
                bytes.fill(fill);
                Ok::<(), ()>(())
            });
            filled.unwrap()
        };
        let first = piece(1, 1 << 20);
        let part = first.slice(5..10);
        drop(first);
        let second = piece(2, BUFFER_BYTES);
        assert_eq!(part, [1; 5].as_slice());
        assert_eq!(
            (second.len(), second.iter().all(|byte| *byte == 2)),
            (BUFFER_BYTES, true)
        );
        drop((part, second));
        assert_eq!(buffers.lock().len(), 2);
        assert_eq!(piece(3, 600_000).len(), 600_000);
        for len in [0, 1, 65_536, BUFFER_BYTES + 1] {
            assert_eq!(piece(4, len), vec![4; len]);
        }
        assert_eq!(buffers.lock().len(), 2, "those are buffers of their own");
        assert!(buffers.filled(1 << 20, |_| Err(())).is_err());
        drop((0..40).map(|_| piece(5, 1 << 20)).collect::<Vec<_>>());
        assert_eq!(buffers.lock().len(), IDLE_MAX);
    }
}
