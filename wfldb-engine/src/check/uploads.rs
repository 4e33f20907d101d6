//! Uploads in parts: their rows, their ends, and the chunks of what is not finished.

use std::collections::HashSet;

use wfldb_core::id::{BucketId, UploadId};

use super::rows::{Sum, distinct, lens};
use super::{Check, FindingKind, Place};
use crate::commit::plan::{Due, DueWhat};
use crate::row::{PartRow, UploadRow, key};
use crate::storage::{Space, StorageError};

impl Check<'_> {
    /// Uploads and their parts.
    pub(super) fn parts(
        &mut self,
        bucket: &BucketId,
        is_live: bool,
        sum: &mut Sum,
    ) -> Result<(), StorageError> {
        let mut uploads: HashSet<Vec<u8>> = HashSet::new();
        let prefix = [bucket.as_bytes().as_slice(), b"u"].concat();
        for row in self.range(Space::Index, &prefix) {
            let (row_key, row) = row?;
            let id = row_key.get(prefix.len()..).unwrap_or_default();
            let (Ok(id), Ok(upload)) = (<[u8; 16]>::try_from(id), UploadRow::decode(&row)) else {
                self.find(
                    FindingKind::Index,
                    Some(Place::of(bucket)),
                    "an upload's row is damaged",
                );
                continue;
            };
            uploads.insert(id.to_vec());
            if is_live {
                self.due += 1;
                let what = DueWhat::Upload(UploadId::from_bytes(id));
                let due = key::due(
                    bucket,
                    &Due {
                        at: upload.expires,
                        what,
                    },
                );
                if self.snapshot.get(Space::Index, &due)?.is_none() {
                    self.find(
                        FindingKind::Index,
                        Some(Place::of(bucket)),
                        "nothing says when an upload ends",
                    );
                }
            }
        }
        let prefix = [bucket.as_bytes().as_slice(), b"p"].concat();
        for row in self.range(Space::Index, &prefix) {
            let (row_key, row) = row?;
            let Ok(part) = PartRow::decode(&row) else {
                self.find(
                    FindingKind::Index,
                    Some(Place::of(bucket)),
                    "a part's row is damaged",
                );
                continue;
            };
            for grant in &part.charges {
                *self.charged.entry(*grant).or_default() += part.len;
            }
            if !is_live {
                continue;
            }
            let upload = row_key.get(prefix.len()..prefix.len() + 16).unwrap_or_default();
            if !uploads.contains(upload) {
                self.find(FindingKind::Index, Some(Place::of(bucket)), "a part of no upload");
            }
            self.part(bucket, &row_key, &part, sum)?;
        }
        Ok(())
    }

    fn part(
        &mut self,
        bucket: &BucketId,
        row_key: &[u8],
        part: &PartRow,
        sum: &mut Sum,
    ) -> Result<(), StorageError> {
        sum.counters.parts_bytes += part.len;
        let count = part.chunks.len() as u64;
        // The size of the upload's chunks, by the powers of two that it can be.
        let size = (20..=22)
            .map(|power| 1u64 << power)
            .find(|size| part.len.div_ceil(*size) == count);
        let Some(size) = size else {
            self.find(
                FindingKind::Index,
                Some(Place::of(bucket)),
                "a part's chunks do not fit its length",
            );
            return Ok(());
        };
        for (chunk, len) in distinct(&part.chunks, lens(part.len, size)) {
            let gone = |check: &Self| -> Result<bool, StorageError> {
                Ok(check.storage.snapshot().get(Space::Index, row_key)?.is_none())
            };
            let place = Place::of(bucket).named(chunk);
            self.chunk(bucket, &part.reference, chunk, len, place, &gone, sum)?;
        }
        Ok(())
    }
}
