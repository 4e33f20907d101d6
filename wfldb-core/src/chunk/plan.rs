//! Which bytes of an object are in which chunk.

use crate::limits::CHUNK_BYTES;

/// One chunk's place in its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSpan {
    /// The chunk's number, from 0.
    pub index: u64,
    /// Where it begins in the object, in bytes.
    pub offset: u64,
    /// Its length: `CHUNK_BYTES`, the last of an object 1 to `CHUNK_BYTES`.
    pub len: usize,
}

/// The chunks of an object of a given length, in order. An empty object has none.
///
/// ```
/// use wfldb_core::{chunk::ChunkPlan, limits::CHUNK_BYTES};
///
/// let spans: Vec<_> = ChunkPlan::new(CHUNK_BYTES as u64 + 5).collect();
/// assert_eq!(spans.len(), 2);
/// assert_eq!(spans[1].offset, CHUNK_BYTES as u64);
/// assert_eq!(spans[1].len, 5);
/// ```
#[derive(Clone, Debug)]
pub struct ChunkPlan {
    next_index: u64,
    object_len: u64,
}

impl ChunkPlan {
    /// The plan for an object of `object_len` bytes.
    pub fn new(object_len: u64) -> Self {
        Self {
            next_index: 0,
            object_len,
        }
    }

    /// How many chunks the object has.
    pub fn count(object_len: u64) -> u64 {
        object_len.div_ceil(CHUNK_BYTES as u64)
    }

    /// The span of chunk `index`, or `None` when the object has no such chunk.
    pub fn span(object_len: u64, index: u64) -> Option<ChunkSpan> {
        let offset = index.checked_mul(CHUNK_BYTES as u64)?;
        let rest = object_len.checked_sub(offset).filter(|rest| *rest > 0)?;
        let len = usize::try_from(rest).map_or(CHUNK_BYTES, |rest| rest.min(CHUNK_BYTES));
        Some(ChunkSpan { index, offset, len })
    }

    /// The chunks that hold the bytes `start..end` of the object, in order.
    pub fn covering(object_len: u64, start: u64, end: u64) -> impl Iterator<Item = ChunkSpan> {
        let end = end.min(object_len);
        let first = start / CHUNK_BYTES as u64;
        let after_last = if start < end {
            end.div_ceil(CHUNK_BYTES as u64)
        } else {
            first
        };
        (first..after_last).filter_map(move |index| Self::span(object_len, index))
    }
}

impl Iterator for ChunkPlan {
    type Item = ChunkSpan;

    fn next(&mut self) -> Option<ChunkSpan> {
        let span = Self::span(self.object_len, self.next_index)?;
        self.next_index += 1;
        Some(span)
    }
}
