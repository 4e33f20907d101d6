//! A pass over the bodies of a bucket, by several threads where there are many.

use std::collections::HashSet;

use wfldb_core::id::BucketId;

use super::helpers::Helpers;
use super::parts::{Part, Parts, Taken};
use super::{Run, Work};
use crate::error::EngineError;
use crate::row::key;
use crate::storage::{Snapshot, Space, prefix_end};

/// Documents that are worth another thread; few in unit tests, so that all of them have some.
const MANY_DOCUMENTS: u64 = if cfg!(test) { 8 } else { 10_000 };
/// Documents between two looks at whether somebody has nothing to do.
const SHARE_EVERY: u64 = if cfg!(test) { 2 } else { 512 };
/// The groups of all threads take this part of the memory, so that there is room to put them together.
const MEMORY_PARTS: usize = 2;

/// All bodies of a bucket in which each is the newest of its key.
pub(super) struct Bodies<'a> {
    pub(super) snapshot: &'a dyn Snapshot,
    pub(super) bucket: &'a BucketId,
    /// Versions that are at their end.
    pub(super) ended: HashSet<[u8; 16]>,
    /// How many documents there are.
    pub(super) documents: u64,
}

impl Bodies<'_> {
    pub(super) fn run(&self, work: &Work, helpers: &Helpers) -> Result<Run, EngineError> {
        let Some(all) = self.versions()? else {
            return Ok(work.begin());
        };
        if self.documents >= MANY_DOCUMENTS {
            let taken = helpers.take();
            if taken.count > 0 {
                match self.by_threads(work, all, taken.count + 1) {
                    // One thread has all of the memory.
                    Err(EngineError::TooManyGroups(_)) => {}
                    done => return done,
                }
            }
        }
        let parts = Parts::new(all);
        self.part_by_part(&parts, work.begin())
    }

    /// From the first version to the last.
    fn versions(&self) -> Result<Option<Part>, EngineError> {
        let prefix = key::of_bucket(self.bucket);
        let end = |reverse| {
            let mut rows = self
                .snapshot
                .range(Space::Bodies, &prefix, &prefix_end(&prefix), reverse);
            rows.next()
                .map(|row| version_of(&row?.0, prefix.len()))
                .transpose()
        };
        let ends = end(false)?.zip(end(true)?);
        Ok(ends.map(|(first, last)| Part { first, last }))
    }

    fn by_threads(&self, work: &Work, all: Part, threads: usize) -> Result<Run, EngineError> {
        let parts = Parts::new(all);
        let begin = || work.begin_with(work.budget.memory_bytes / threads / MEMORY_PARTS);
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads)
                .filter_map(|_| {
                    let run = || self.part_by_part(&parts, begin());
                    let thread = std::thread::Builder::new().name("aggregate".to_owned());
                    // Without it the rest do its part.
                    thread.spawn_scoped(scope, run).ok()
                })
                .collect();
            let own = self.part_by_part(&parts, begin());
            let mut whole = work.begin();
            let done = others.into_iter().map(|other| match other.join() {
                Ok(run) => run,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            // All are waited for, whichever fails.
            let done: Vec<_> = std::iter::once(own).chain(done).collect();
            for run in done {
                whole.merge(run?)?;
            }
            Ok(whole)
        })
    }

    fn part_by_part(&self, parts: &Parts, mut run: Run) -> Result<Run, EngineError> {
        while let Some(mut part) = parts.next() {
            self.part(&mut part, &mut run)?;
            part.done();
        }
        run.tell()?;
        Ok(run)
    }

    fn part(&self, taken: &mut Taken<'_>, run: &mut Run) -> Result<(), EngineError> {
        let prefix = key::of_bucket(self.bucket);
        let Part { first, last } = taken.part();
        let from = [&*prefix, &first.to_be_bytes()].concat();
        let to = match last.checked_add(1) {
            Some(behind) => [&*prefix, &behind.to_be_bytes()].concat(),
            None => prefix_end(&prefix),
        };
        let rows = self.snapshot.range(Space::Bodies, &from, &to, false);
        for (seen, row) in (1..).zip(rows) {
            let (row_key, body) = row?;
            let version = version_of(&row_key, prefix.len())?;
            if !taken.has(version) {
                break;
            }
            if self.ended.is_empty() || !self.ended.contains(&version.to_be_bytes()) {
                run.take(&body)?;
            }
            if u64::is_multiple_of(seen, SHARE_EVERY) {
                taken.share(version);
            }
        }
        Ok(())
    }
}

/// The version that a body is of, from its row's key.
fn version_of(row_key: &[u8], prefix: usize) -> Result<u128, EngineError> {
    let version = row_key.get(prefix..).and_then(|version| version.try_into().ok());
    Ok(u128::from_be_bytes(version.ok_or(EngineError::Corrupt("body"))?))
}
