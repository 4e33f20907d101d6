//! How parts become an object: pure rules over part rows.

use wfldb_core::chunk;
use wfldb_core::id::{ChunkHash, ContentHash};
use wfldb_core::limits::CHUNK_BYTES;

use crate::error::EngineError;
use crate::row::PartRow;

/// The largest chunk, of 1, 2 or 4 MiB, of which a whole number makes a part: so all chunks of the object but its last
/// are of one size.
pub(super) fn chunk_bytes_of(part_bytes: u64) -> usize {
    let largest_power = 1u64 << part_bytes.trailing_zeros().min(63);
    usize::try_from(largest_power).map_or(CHUNK_BYTES, |power| power.min(CHUNK_BYTES))
}

/// BLAKE3 over a list of parts, by which the same completion is known again.
pub(super) fn list_hash(list: &[(u16, ContentHash)]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for (number, etag) in list {
        hasher.update(&number.to_be_bytes()).update(etag.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// An object made of parts.
pub(super) struct Assembled {
    pub(super) etag: ContentHash,
    pub(super) len: u64,
    pub(super) chunks: Vec<ChunkHash>,
}

/// The object of the listed parts, which are those that are stored, from the first on.
pub(super) fn assemble(
    stored: &[(u16, PartRow)],
    list: &[(u16, ContentHash)],
    part_bytes: u64,
) -> Result<Assembled, EngineError> {
    let invalid = || EngineError::InvalidPart;
    let mut object = Assembled {
        etag: ContentHash::of(b""),
        len: 0,
        chunks: Vec::new(),
    };
    let mut values = Vec::new();
    for (place, (number, etag)) in list.iter().enumerate() {
        let (stored_number, part) = stored.get(place).ok_or_else(invalid)?;
        let is_last = place + 1 == list.len();
        if usize::from(*number) != place + 1
            || stored_number != number
            || part.etag != *etag
            || (!is_last && part.len != part_bytes)
        {
            return Err(invalid());
        }
        object.len += part.len;
        object.chunks.extend_from_slice(&part.chunks);
        values.extend_from_slice(&part.values);
        object.etag = part.etag;
    }
    if values.is_empty() {
        return Err(invalid());
    }
    // The only chunk's own hash is the object's: that of its only part.
    object.etag = chunk::object_root(&values).unwrap_or(object.etag);
    Ok(object)
}
