//! Which rows an aggregation reads.
//!
//! `bodies` has the documents of a bucket by version. Where each version of the bucket is the newest of its key, which the
//! counters tell, one pass over them is a pass over the documents: it reads no head, and blocks of the storage one after
//! the other. Otherwise, and for a range of keys, heads are read first and the bodies that they name one by one, in the
//! order of their versions, in which they stand.
//!
//! Conditions that an index narrows to few documents are asked of that index instead.
//!
//! A pass over `bodies` alone has no etag to compare a body with. The storage compares each block with a checksum of its
//! own when it reads it.

use std::collections::HashSet;

use wfldb_core::aggregate::KeyBounds;
use wfldb_core::id::BucketId;
use wfldb_core::time::UnixMillis;

use super::bodies::Bodies;
use super::helpers::Helpers;
use super::{Run, Work};
use crate::commit::plan::DueWhat;
use crate::error::EngineError;
use crate::object::inline_body;
use crate::row::{BucketCounters, ObjectRow, key};
use crate::storage::{Snapshot, Space, prefix_end};

/// Heads whose bodies are read together.
const HEADS_AT_ONCE: usize = 4096;
/// Versions at their end that are remembered; more of them wait for the worker only when it is far behind.
const ENDED_MAX: usize = 100_000;

/// A bucket of documents in one snapshot.
pub(super) struct Walk<'a> {
    pub(super) snapshot: &'a dyn Snapshot,
    pub(super) bucket: &'a BucketId,
    /// What has ended by now is not there.
    pub(super) now: UnixMillis,
}

impl Walk<'_> {
    /// All documents of the bucket.
    pub(super) fn all(&self, work: &Work, helpers: &Helpers) -> Result<Run, EngineError> {
        let counters = self.counters()?;
        let ended = if counters.objects == counters.versions {
            self.ended()?
        } else {
            None
        };
        let Some(ended) = ended else {
            let mut run = work.begin();
            self.keys(&KeyBounds::default(), &mut run)?;
            return Ok(run);
        };
        let bodies = Bodies {
            snapshot: self.snapshot,
            bucket: self.bucket,
            ended,
            documents: counters.objects,
        };
        bodies.run(work, helpers)
    }

    /// What the bucket has.
    pub(super) fn counters(&self) -> Result<BucketCounters, EngineError> {
        let counters = self
            .snapshot
            .get(Space::Counters, &key::bucket_counters(self.bucket))?;
        Ok(BucketCounters::decode(
            &counters.ok_or(EngineError::Corrupt("counters"))?,
        )?)
    }

    /// The versions of the bucket that have ended and are not removed yet; `None`: too many.
    fn ended(&self) -> Result<Option<HashSet<[u8; 16]>>, EngineError> {
        let mut ended = HashSet::new();
        let end = key::due_before(self.now.plus_ms(1));
        for (seen, row) in self
            .snapshot
            .range(Space::Index, key::DUE, &end, false)
            .enumerate()
        {
            if seen == ENDED_MAX {
                return Ok(None);
            }
            let (row_key, value) = row?;
            let (bucket, due) = key::parse_due(&row_key, &value)?;
            if let (true, DueWhat::Version(_, version)) = (bucket == *self.bucket, due.what) {
                ended.insert(version.to_bytes());
            }
        }
        Ok(Some(ended))
    }

    /// The documents between two keys.
    pub(super) fn keys(&self, bounds: &KeyBounds, run: &mut Run) -> Result<(), EngineError> {
        if bounds.are_none() {
            return Ok(());
        }
        let prefix = key::of_bucket(self.bucket);
        let from = [&*prefix, bounds.from.as_slice()].concat();
        let to = match &bounds.to {
            Some(to) => [&*prefix, to.as_slice()].concat(),
            None => prefix_end(&prefix),
        };
        let mut heads = Vec::with_capacity(HEADS_AT_ONCE);
        for row in self.snapshot.range(Space::Heads, &from, &to, false) {
            let (_, row) = row?;
            let row = ObjectRow::decode(&row)?;
            if row.is_live(self.now) {
                heads.push(row);
            }
            if heads.len() == HEADS_AT_ONCE {
                self.bodies(&mut heads, run)?;
            }
        }
        self.bodies(&mut heads, run)
    }

    /// Reads the bodies of some heads, each compared with its etag.
    fn bodies(&self, heads: &mut Vec<ObjectRow>, run: &mut Run) -> Result<(), EngineError> {
        heads.sort_unstable_by_key(|head| head.version);
        for head in heads.drain(..) {
            run.take(&inline_body(self.snapshot, self.bucket, &head)?)?;
        }
        Ok(())
    }
}
