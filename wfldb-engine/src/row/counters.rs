//! Exact usage of a bucket, kept in the same commit as the change that moved it. Nothing is ever counted by scanning.

use wfldb_core::id::{Seq, VersionId};

use super::RowError;

const BYTES: usize = 8 * 6 + 16;

/// What a bucket holds, and where its numbering stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BucketCounters {
    /// The last `seq` given out; 0 before the first.
    pub(crate) seq: u64,
    /// The last version given out; `None` before the first.
    pub(crate) last_version: Option<VersionId>,
    /// Keys with a live version.
    pub(crate) objects: u64,
    /// Versions, tombstones included.
    pub(crate) versions: u64,
    /// Bytes of all versions.
    pub(crate) bytes: u64,
    /// Bytes on disk: inline bodies, and each distinct chunk once.
    pub(crate) stored_bytes: u64,
    /// Bytes of the parts of unfinished uploads.
    pub(crate) parts_bytes: u64,
}

impl BucketCounters {
    pub(crate) fn next_seq(&self) -> Seq {
        Seq::new(self.seq + 1)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let version = self.last_version.map_or([0; 16], VersionId::to_bytes);
        let mut row = Vec::with_capacity(BYTES);
        row.extend_from_slice(&self.seq.to_be_bytes());
        row.extend_from_slice(&version);
        for number in [
            self.objects,
            self.versions,
            self.bytes,
            self.stored_bytes,
            self.parts_bytes,
        ] {
            row.extend_from_slice(&number.to_be_bytes());
        }
        row
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        let damaged = RowError("counters");
        let (seq, rest) = row.split_first_chunk::<8>().ok_or(damaged)?;
        let (version, rest) = rest.split_first_chunk::<16>().ok_or(damaged)?;
        let (objects, rest) = rest.split_first_chunk::<8>().ok_or(damaged)?;
        let (versions, rest) = rest.split_first_chunk::<8>().ok_or(damaged)?;
        let (bytes, rest) = rest.split_first_chunk::<8>().ok_or(damaged)?;
        let (stored, rest) = rest.split_first_chunk::<8>().ok_or(damaged)?;
        // Format 1 knew no parts.
        let parts: [u8; 8] = match rest {
            [] => [0; 8],
            _ => rest.try_into().map_err(|_| damaged)?,
        };
        let last_version = (*version != [0; 16]).then(|| VersionId::from_bytes(*version));
        Ok(Self {
            seq: u64::from_be_bytes(*seq),
            last_version,
            objects: u64::from_be_bytes(*objects),
            versions: u64::from_be_bytes(*versions),
            bytes: u64::from_be_bytes(*bytes),
            stored_bytes: u64::from_be_bytes(*stored),
            parts_bytes: u64::from_be_bytes(parts),
        })
    }
}

/// A grant's charged bytes.
pub(crate) fn decode_charged(row: &[u8]) -> Result<u64, RowError> {
    let bytes: [u8; 8] = row.try_into().map_err(|_| RowError("grant counter"))?;
    Ok(u64::from_be_bytes(bytes))
}
