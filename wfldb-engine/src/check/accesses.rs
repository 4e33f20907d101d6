//! What opens entries of reads and refusals: each of the leaf that it names, each read of a version that is there, and as
//! many such leaves as no change has.

use wfldb_core::audit::Entry;
use wfldb_core::name::ObjectKey;

use super::{Check, FindingKind, Place};
use crate::audit::{Sealed, entry_of_access};
use crate::row::{AccessRow, key};
use crate::storage::{Space, StorageError};

impl Check<'_> {
    pub(super) fn accesses(&mut self) -> Result<(), StorageError> {
        let mut read = 0;
        let mut of_versions = 0_u64;
        for row in self.range(Space::Log, key::ACCESS) {
            let (row_key, row) = row?;
            let (Ok(leaf), Ok(access)) = (key::leaf_of_access(&row_key), AccessRow::decode(&row)) else {
                self.find(
                    FindingKind::Evidence,
                    None,
                    "that of a read or a refusal is damaged",
                );
                continue;
            };
            let place = Place::of(&access.head.bucket).named(leaf);
            let entry = self.snapshot.get(Space::Log, &key::leaf(leaf))?;
            let parsed = entry.as_deref().and_then(|entry| Entry::parse(entry).ok());
            let sealed = Sealed::of(&access.evidence);
            let expected = parsed
                .filter(Entry::is_access)
                .map(|it| entry_of_access(&access.head, &sealed, &it.op, it.outcome, leaf, it.at));
            if expected.is_none() || expected != entry {
                self.find(
                    FindingKind::Audit,
                    Some(place.clone()),
                    "the leaf is not that of its evidence",
                );
            }
            if let Some(shown) = &access.head.shown {
                of_versions += 1;
                let row = key::read_of(&access.head.bucket, &shown.version, leaf);
                if self.snapshot.get(Space::Log, &row)?.is_none() {
                    self.find(
                        FindingKind::Evidence,
                        Some(place),
                        "it would stay when the version that was read goes",
                    );
                }
                if self.outlived(&access)? {
                    self.find(
                        FindingKind::Evidence,
                        Some(Place::of(&access.head.bucket).named(leaf)),
                        "the version that was read is gone",
                    );
                }
            }
            read += row.len() as u64;
            if read > 1 << 20 {
                (self.pace)(std::mem::take(&mut read));
            }
        }
        self.reads(of_versions)
    }

    /// Whether a read names a version of a bucket that is there which is gone and will not be forgotten.
    fn outlived(&self, access: &AccessRow) -> Result<bool, StorageError> {
        let head = &access.head;
        let name = head.key.as_deref().and_then(|key| ObjectKey::parse(key).ok());
        let (Some(name), Some(shown)) = (name, &head.shown) else {
            return Ok(true);
        };
        let has = |space, row: &[u8]| Ok(self.snapshot.get(space, row)?.is_some());
        Ok(has(Space::Meta, &key::bucket_row(&head.bucket))?
            && !has(
                Space::Versions,
                &key::version(&head.bucket, &name, &shown.version),
            )?
            && !has(Space::Log, &key::forgotten_reads(&head.bucket, &shown.version))?)
    }

    /// The rows that lead from a version to its reads.
    fn reads(&mut self, expected: u64) -> Result<(), StorageError> {
        let mut found = 0;
        for row in self.range(Space::Log, key::READS) {
            let (row_key, _) = row?;
            // The one that says that there are some in the bucket.
            if key::is_reads_of_bucket(&row_key) {
                continue;
            }
            found += 1;
            let leaf = key::leaf_of_read(&row_key);
            let leads = match leaf {
                Ok(leaf) => self.snapshot.get(Space::Log, &key::access(leaf))?.is_some(),
                Err(_) => false,
            };
            if !leads {
                self.find(FindingKind::Evidence, None, "a read without evidence");
            }
        }
        if found != expected {
            let detail = format!("{expected} reads of versions have evidence, {found} are known by version");
            self.find(FindingKind::Evidence, None, detail);
        }
        Ok(())
    }
}
