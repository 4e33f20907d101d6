//! What opens an entry of the audit log that tells of no change: a read or a refusal. Erasable, like the evidence of a
//! change, since the entry itself commits only.

use wfldb_core::id::{BucketId, ContentHash, VersionId};

use super::{EvidenceRow, RowError};

const DAMAGED: RowError = RowError("access");
const NO_VERSION: [u8; 16] = [0; 16];

/// The version that a read showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// The version.
    pub version: VersionId,
    /// Its etag.
    pub etag: ContentHash,
    /// Its whole length in bytes, whatever part of it was sent.
    pub len: u64,
}

/// What a read or a refusal was about, without its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessHead {
    pub(crate) bucket: BucketId,
    /// The object's key, or the bucket's name where it was about the bucket as a whole.
    pub(crate) key: Option<String>,
    pub(crate) shown: Option<Shown>,
}

impl AccessHead {
    /// The row, with the encoded evidence row behind.
    pub(crate) fn encode_with(&self, evidence: &[u8]) -> Vec<u8> {
        let key = self.key.as_deref().unwrap_or_default().as_bytes();
        // A key has at most 1,024 bytes.
        let key_bytes = u16::try_from(key.len()).unwrap_or(u16::MAX);
        let (version, etag, len) = match &self.shown {
            Some(shown) => (shown.version.to_bytes(), *shown.etag.as_bytes(), shown.len),
            None => (NO_VERSION, [0; 32], 0),
        };
        [
            &self.bucket.as_bytes()[..],
            &version,
            &etag,
            &len.to_be_bytes(),
            &key_bytes.to_be_bytes(),
            key,
            evidence,
        ]
        .concat()
    }
}

/// The whole row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessRow {
    pub(crate) head: AccessHead,
    pub(crate) evidence: EvidenceRow,
}

impl AccessRow {
    #[cfg(any(test, fuzzing))]
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.head.encode_with(&self.evidence.encode())
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        let (bucket, rest) = row.split_first_chunk::<16>().ok_or(DAMAGED)?;
        let (version, rest) = rest.split_first_chunk::<16>().ok_or(DAMAGED)?;
        let (etag, rest) = rest.split_first_chunk::<32>().ok_or(DAMAGED)?;
        let (len, rest) = rest.split_first_chunk::<8>().ok_or(DAMAGED)?;
        let (key_bytes, rest) = rest.split_first_chunk::<2>().ok_or(DAMAGED)?;
        let (key, evidence) = rest
            .split_at_checked(usize::from(u16::from_be_bytes(*key_bytes)))
            .ok_or(DAMAGED)?;
        let key = std::str::from_utf8(key).map_err(|_| DAMAGED)?;
        let (etag, len) = (ContentHash::from_bytes(*etag), u64::from_be_bytes(*len));
        let shown = (*version != NO_VERSION).then(|| Shown {
            version: VersionId::from_bytes(*version),
            etag,
            len,
        });
        // One spelling: without a version there is nothing of one.
        if shown.is_none() && (etag != ContentHash::from_bytes([0; 32]) || len != 0) {
            return Err(DAMAGED);
        }
        Ok(Self {
            head: AccessHead {
                bucket: BucketId::from_bytes(*bucket),
                key: (!key.is_empty()).then(|| key.to_owned()),
                shown,
            },
            evidence: EvidenceRow::decode(evidence)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(shown: Option<Shown>, key: Option<&str>) -> AccessRow {
        AccessRow {
            head: AccessHead {
                bucket: BucketId::from_bytes([1; 16]),
                key: key.map(str::to_owned),
                shown,
            },
            evidence: EvidenceRow {
                salt: [9; 32],
                actor: "local:test".to_owned(),
                packet: Some("a.b.c".to_owned()),
                canonical: b"WFLDB".to_vec(),
                signature: vec![7; 64],
            },
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_nothing_cut_short_is() {
        let shown = Shown {
            version: VersionId::from_bytes([2; 16]),
            etag: ContentHash::of(b"x"),
            len: 1,
        };
        for row in [
            row(Some(shown), Some("a b")),
            row(None, Some("a")),
            row(None, None),
        ] {
            let bytes = row.encode();
            assert_eq!(AccessRow::decode(&bytes), Ok(row));
            for end in 0..80.min(bytes.len()) {
                assert!(AccessRow::decode(&bytes[..end]).is_err(), "{end}");
            }
        }
        let mut of_nothing = row(None, Some("a")).encode();
        of_nothing[40] = 1;
        assert!(AccessRow::decode(&of_nothing).is_err());
    }
}
