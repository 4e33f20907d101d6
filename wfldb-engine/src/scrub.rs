//! The scrub: reads all bodies and chunks again, slowly and for ever, so that what a disk lost is noticed while there is
//! a backup that still has it. It names damage in the log and counts it; it repairs nothing. Rows against rows are the
//! full check's, in `check`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::Duration;

use wfldb_core::id::BucketId;

use crate::engine::Inner;
use crate::error::EngineError;
use crate::object::inline_body;
use crate::row::{ObjectRow, key};
use crate::storage::{Snapshot, Space, prefix_end};

/// Versions that are looked at on one snapshot.
const VERSIONS_PER_STEP: usize = 64;
/// What is read in a second, at most.
const BYTES_PER_SECOND: u64 = 16 << 20;
/// The first round begins so long after the start, so that restarts do not read everything each time.
const FIRST_AFTER: Duration = Duration::from_mins(10);

/// Figures since the start.
#[derive(Debug, Default)]
pub(crate) struct ScrubFigures {
    pub(crate) rounds: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) damaged: AtomicU64,
}

/// How a round ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    Done,
    Stopped,
}

/// The worker.
pub(crate) fn run(inner: &Weak<Inner>, wake: &Receiver<()>) {
    let mut wait = FIRST_AFTER;
    loop {
        match wake.recv_timeout(wait) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let Some(engine) = inner.upgrade() else { return };
        let Some(every) = engine.options.scrub_every else {
            return;
        };
        drop(engine);
        // Waiting is how the rate is kept, and the end of the engine ends the wait.
        let rest = |bytes: u64| {
            let millis = bytes.saturating_mul(1000) / BYTES_PER_SECOND;
            let waited = wake.recv_timeout(Duration::from_millis(millis));
            waited != Err(RecvTimeoutError::Disconnected)
        };
        match round(inner, &rest) {
            Ok(Round::Done) => {}
            Ok(Round::Stopped) => return,
            Err(error) => tracing::warn!(%error, "the scrub could not read a part of the store"),
        }
        wait = every;
    }
}

/// Reads everything once. `rest` answers whether to go on.
fn round(inner: &Weak<Inner>, rest: &dyn Fn(u64) -> bool) -> Result<Round, EngineError> {
    let mut from = Vec::new();
    loop {
        let Some(engine) = inner.upgrade() else {
            return Ok(Round::Stopped);
        };
        let (read, next) = step(&engine, &from)?;
        engine.scrub.bytes.fetch_add(read, Ordering::Relaxed);
        let Some(next) = next else {
            engine.scrub.rounds.fetch_add(1, Ordering::Relaxed);
            return Ok(Round::Done);
        };
        from = next;
        // No engine is held while it rests, or it could not close.
        drop(engine);
        if !rest(read) {
            return Ok(Round::Stopped);
        }
    }
}

/// A bounded number of versions from `from` on: how many bytes were read, and where to go on.
fn step(inner: &Arc<Inner>, from: &[u8]) -> Result<(u64, Option<Vec<u8>>), EngineError> {
    let snapshot = inner.storage.snapshot();
    let mut read = 0;
    let mut last = None;
    for row in snapshot
        .range(Space::Versions, from, &[], false)
        .take(VERSIONS_PER_STEP)
    {
        let (row_key, row) = row?;
        read += look_at(inner, &*snapshot, &row_key, &row);
        last = Some([&*row_key, &[0]].concat());
    }
    Ok((read, last))
}

/// Reads the bytes of one version, and says when they are damaged.
fn look_at(inner: &Arc<Inner>, snapshot: &dyn Snapshot, row_key: &[u8], row: &[u8]) -> u64 {
    let (Some((bucket, _)), Ok(row)) = (row_key.split_first_chunk::<16>(), ObjectRow::decode(row)) else {
        damaged(inner, &"a version's row", &"it is damaged");
        return 0;
    };
    let bucket = BucketId::from_bytes(*bucket);
    if row.deleted || row.len == 0 {
        return 0;
    }
    if row.inline {
        if let Err(error) = inline_body(snapshot, &bucket, &row)
            && is_there(inner, row_key)
        {
            damaged(inner, &format_args!("body {bucket} {}", row.version), &error);
        }
        return row.len;
    }
    let mut read = 0;
    let mut left = row.len;
    for chunk in &row.chunks {
        let len = left.min(u64::from(row.chunk_bytes));
        left -= len;
        // Of those that share a chunk, the first reference has it read.
        let references = key::chunk_references(&bucket, chunk);
        let first = snapshot
            .range(Space::Chunks, &references, &prefix_end(&references), false)
            .next();
        let own = key::chunk_reference(&bucket, chunk, &row.version);
        if !first.is_some_and(|first| first.is_ok_and(|(found, _)| found == own)) {
            continue;
        }
        let Ok(bytes) = usize::try_from(len) else { continue };
        if let Err(error) = inner.chunks.check(&bucket, chunk, bytes)
            && is_there(inner, row_key)
        {
            damaged(inner, &format_args!("chunk {bucket} {chunk}"), &error);
        }
        read += len;
    }
    read
}

/// What was erased meanwhile takes its bytes along.
fn is_there(inner: &Arc<Inner>, row_key: &[u8]) -> bool {
    let found = inner.storage.snapshot().get(Space::Versions, row_key);
    !matches!(found, Ok(None))
}

fn damaged(inner: &Arc<Inner>, what: &dyn std::fmt::Display, error: &dyn std::fmt::Display) {
    inner.scrub.damaged.fetch_add(1, Ordering::Relaxed);
    tracing::error!(%what, %error, "the scrub found damage: restore it from a backup, or store it again");
}

#[cfg(test)]
pub(crate) fn whole_round(inner: &Arc<Inner>) {
    assert_eq!(round(&Arc::downgrade(inner), &|_| true).unwrap(), Round::Done);
}
