//! What ends by itself: versions whose time to live is over, uploads that were not finished, versions that a bucket's
//! retention does not keep any more. Found here, decided again in the commit. And what is done when nobody writes.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use wfldb_core::id::BucketId;
use wfldb_core::name::ObjectKey;
use wfldb_core::object::Retention;
use wfldb_core::time::UnixMillis;

use crate::commit::plan::{Aged, Due, Mutation};
use crate::engine::Inner;
use crate::error::EngineError;
use crate::link_uses;
use crate::row::{BucketRow, key};
use crate::storage::{Space, prefix_end};

/// How often it is looked for what has ended.
const DUE_EVERY: Duration = Duration::from_secs(1);
/// Looks without a change after which the storage's memory is written out.
const REST_AFTER_TICKS: u32 = 10;
/// Less is not worth a table.
const REST_BYTES_MIN: u64 = 1 << 20;
/// How often the histories of buckets with retention are walked, when nothing was configured meanwhile.
const RETENTION_EVERY: Duration = Duration::from_mins(10);
/// Rows that end in one plan.
const DUE_PER_PLAN: usize = 200;
/// Reads of what is gone that are forgotten in one plan.
const READS_PER_PLAN: usize = 500;
/// Keys whose histories are cut in one plan.
const KEYS_PER_PLAN: usize = 100;
/// Documents that are too old and go in one plan.
const AGED_PER_PLAN: usize = 250;
/// Versions that are looked at in one go of a walk, so that no snapshot is held for long.
const VERSIONS_PER_STEP: usize = 10_000;
/// Removed bodies that are worth a compaction.
const STALE_BYTES_MIN: u64 = 64 << 20;
/// And that are more than one part of so many of the storage.
const STALE_PART: u64 = 4;
/// The pause between plans, so that the committer is left to those who wait for it.
const PAUSE: Duration = Duration::from_millis(2);

/// The worker: until the engine goes or closes. A message makes it walk histories at once.
pub(crate) fn run(inner: &Weak<Inner>, wake: &Receiver<()>) {
    let mut walked: Option<Instant> = None;
    let mut quiet = Quiet::default();
    loop {
        let Some(engine) = inner.upgrade() else { return };
        report(quiet.look(&engine), "writing out memory");
        report(expire(&engine), "ending what is over");
        report(link_uses::forget(&engine), "forgetting links that are over");
        report(forget_reads(&engine), "forgetting who read what is gone");
        if walked.is_none_or(|walked| walked.elapsed() >= RETENTION_EVERY) {
            report(retain(&engine), "applying retention");
            report(age(&engine), "dropping documents that are too old");
            report(reclaim(&engine), "giving back space");
            walked = Some(Instant::now());
        }
        drop(engine);
        match wake.recv_timeout(DUE_EVERY) {
            Ok(()) => walked = None,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn report(done: Result<(), EngineError>, what: &'static str) {
    match done {
        // A store that takes no writes ends nothing; it is not worth a line each time.
        Ok(()) | Err(EngineError::ReadOnly | EngineError::Closing | EngineError::OutcomeUnknown) => {}
        Err(error) => tracing::warn!(%error, "{what} failed; it is tried again"),
    }
}

/// How long the log has stood still.
#[derive(Default)]
pub(crate) struct Quiet {
    /// Every change has a leaf, and so have reads that are logged.
    leaves: u64,
    ticks: u32,
}

impl Quiet {
    /// Has the storage write out its memory once nobody has changed anything for a while.
    pub(crate) fn look(&mut self, inner: &Inner) -> Result<(), EngineError> {
        let leaves = inner.committer().mark().leaves;
        if leaves != self.leaves {
            *self = Self { leaves, ticks: 0 };
        }
        self.ticks = self.ticks.saturating_add(1);
        if self.ticks == REST_AFTER_TICKS && inner.storage.write_buffer_bytes() >= REST_BYTES_MIN {
            inner.storage.rest()?;
        }
        Ok(())
    }
}

/// Removes what opens entries of reads of versions that are gone, as far as the commit that removed them left it.
fn forget_reads(inner: &Arc<Inner>) -> Result<(), EngineError> {
    loop {
        let snapshot = inner.storage.snapshot();
        let end = prefix_end(key::FORGOTTEN_READS);
        let next = snapshot
            .range(Space::Log, key::FORGOTTEN_READS, &end, false)
            .next();
        let Some((row_key, _)) = next.transpose()? else {
            return Ok(());
        };
        let (bucket, version) = key::parse_forgotten_reads(&row_key)?;
        let reads = key::reads_of(&bucket, &version);
        let rows: Result<Vec<_>, _> = snapshot
            .range(Space::Log, &reads, &prefix_end(&reads), false)
            .take(READS_PER_PLAN)
            .map(|row| row.map(|(row_key, _)| row_key))
            .collect();
        let rows = rows?;
        drop(snapshot);
        let last = rows.len() < READS_PER_PLAN;
        let mutation = Mutation::ForgetReads {
            bucket,
            version,
            rows,
            last,
        };
        inner.submit_system("forget-reads", mutation)?;
        std::thread::sleep(PAUSE);
    }
}

/// Merges the storage when much of what it holds was overwritten or removed.
fn reclaim(inner: &Arc<Inner>) -> Result<(), EngineError> {
    let figures = inner.storage.figures();
    if figures.stale_bytes > STALE_BYTES_MIN && figures.stale_bytes > figures.disk_bytes / STALE_PART {
        inner.storage.compact()?;
    }
    Ok(())
}

/// Ends everything that is due now.
pub(crate) fn expire(inner: &Arc<Inner>) -> Result<(), EngineError> {
    let mut from = key::DUE.to_vec();
    loop {
        let (due, last) = due_now(inner, &from)?;
        let Some(last) = last else {
            return Ok(());
        };
        for (bucket, due) in due {
            // A bucket that goes at the same time takes its rows along; the next round finds what is left.
            match inner.submit_system("expiry", Mutation::Expire { bucket, due }) {
                Ok(()) | Err(EngineError::NoSuchBucket) => {}
                Err(error) => return Err(error),
            }
            std::thread::sleep(PAUSE);
        }
        // Behind what was handled: a row that a plan left alone must not hold up the rest.
        from = [last.as_slice(), &[0]].concat();
    }
}

type DueByBucket = BTreeMap<BucketId, Vec<Due>>;

/// A bounded number of due rows behind `from`, by bucket, and the last of their keys.
fn due_now(inner: &Inner, from: &[u8]) -> Result<(DueByBucket, Option<Vec<u8>>), EngineError> {
    let snapshot = inner.storage.snapshot();
    let end = key::due_before(UnixMillis::new(inner.now().get().saturating_add(1)));
    let mut due = DueByBucket::new();
    let mut last = None;
    for row in snapshot.range(Space::Index, from, &end, false).take(DUE_PER_PLAN) {
        let (row_key, value) = row?;
        let (bucket, ended) = key::parse_due(&row_key, &value)?;
        due.entry(bucket).or_default().push(ended);
        last = Some(row_key.to_vec());
    }
    Ok((due, last))
}

/// Removes from every bucket what its retention does not keep.
pub(crate) fn retain(inner: &Arc<Inner>) -> Result<(), EngineError> {
    let mut buckets = Vec::new();
    let end = prefix_end(key::BUCKET_ROW);
    for row in inner
        .storage
        .snapshot()
        .range(Space::Meta, key::BUCKET_ROW, &end, false)
    {
        let (_, row) = row?;
        let bucket = BucketRow::decode(&row)?;
        if let Some(retention) = bucket.config.versions {
            buckets.push((bucket.id, retention));
        }
    }
    for (bucket, retention) in buckets {
        match retain_bucket(inner, bucket, retention) {
            Ok(()) | Err(EngineError::NoSuchBucket) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn retain_bucket(inner: &Arc<Inner>, bucket: BucketId, retention: Retention) -> Result<(), EngineError> {
    let Some(kept) = retention.newest_kept() else {
        return Ok(());
    };
    let mut walk = Walk {
        before: retention.goes_before(inner.now()),
        kept,
        only_days: retention.keep.is_none(),
        current: None,
        rank: 0,
    };
    let prefix = key::of_bucket(&bucket);
    let end = prefix_end(&prefix);
    let mut from = prefix.to_vec();
    loop {
        let mut keys: Vec<ObjectKey> = Vec::new();
        let mut looked_at = 0;
        let snapshot = inner.storage.snapshot();
        for row in snapshot.range(Space::Versions, &from, &end, false) {
            let (row_key, _) = row?;
            from = [&*row_key, &[0]].concat();
            looked_at += 1;
            if walk.goes(&row_key)? && keys.last() != walk.current.as_ref() {
                keys.extend(walk.current.clone());
            }
            if keys.len() == KEYS_PER_PLAN || looked_at == VERSIONS_PER_STEP {
                break;
            }
        }
        drop(snapshot);
        if !keys.is_empty() {
            inner.submit_system("retention", Mutation::Prune { bucket, keys })?;
            std::thread::sleep(PAUSE);
        } else if looked_at < VERSIONS_PER_STEP {
            return Ok(());
        }
    }
}

/// Removes from every bucket the documents that are too old by their own time.
pub(crate) fn age(inner: &Arc<Inner>) -> Result<(), EngineError> {
    let now = inner.now();
    let mut buckets = Vec::new();
    let end = prefix_end(key::BUCKET_ROW);
    for row in inner
        .storage
        .snapshot()
        .range(Space::Meta, key::BUCKET_ROW, &end, false)
    {
        let bucket = BucketRow::decode(&row?.1)?;
        if let Some(before) = bucket.config.too_old_before(now) {
            buckets.push((bucket.id, before));
        }
    }
    for (bucket, before) in buckets {
        match age_bucket(inner, bucket, before) {
            Ok(()) | Err(EngineError::NoSuchBucket) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The oldest first, and a bounded number at once: what is left when this is cut off is found by the next walk.
fn age_bucket(inner: &Arc<Inner>, bucket: BucketId, before: UnixMillis) -> Result<(), EngineError> {
    let end = key::timed_before(&bucket, before);
    let mut from = key::timed_all(&bucket).to_vec();
    loop {
        let mut aged = Vec::new();
        let snapshot = inner.storage.snapshot();
        for row in snapshot
            .range(Space::Index, &from, &end, false)
            .take(AGED_PER_PLAN)
        {
            let (row_key, _) = row?;
            let (at, key) = key::parse_timed(&row_key)?;
            aged.push(Aged { at, key });
            from = [&*row_key, &[0]].concat();
        }
        drop(snapshot);
        if aged.is_empty() {
            return Ok(());
        }
        inner.submit_system("retention", Mutation::Age { bucket, aged })?;
        std::thread::sleep(PAUSE);
    }
}

/// Where a walk through the versions of a bucket stands.
struct Walk {
    before: Option<UnixMillis>,
    kept: u64,
    only_days: bool,
    current: Option<ObjectKey>,
    rank: u64,
}

impl Walk {
    /// Whether the version of this row is one that retention does not keep. A lone tombstone by its age may be one.
    fn goes(&mut self, row_key: &[u8]) -> Result<bool, EngineError> {
        let (object, version) = key::key_of_version(row_key)?;
        if self.current.as_ref() == Some(&object) {
            self.rank += 1;
        } else {
            self.current = Some(object);
            self.rank = 0;
        }
        let is_old = self.before.is_none_or(|before| version.millis() < before);
        Ok(is_old && (self.rank >= self.kept || self.only_days))
    }
}
