//! Removing what deleted buckets held: rows in bounded commits, then the chunk directory. Resumable: the detached
//! mark in `meta` goes last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use wfldb_core::auth::GrantId;
use wfldb_core::id::BucketId;

use crate::commit::plan::Mutation;
use crate::engine::Inner;
use crate::error::EngineError;
use crate::row::{ObjectRow, PartRow, key};
use crate::storage::{Space, prefix_end};

/// Rows that one commit removes.
const ROWS_PER_COMMIT: usize = 500;
/// The pause between commits, so that the sweep leaves the committer to those who wait for it.
const PAUSE: Duration = Duration::from_millis(2);
/// A failed sweep is tried again after this.
const RETRY: Duration = Duration::from_secs(30);

/// The spaces whose keys begin with the bucket's id. Heads first: what cannot be found is gone for readers.
const SWEPT: [Space; 5] = [
    Space::Heads,
    Space::Versions,
    Space::Bodies,
    Space::Chunks,
    Space::Index,
];

/// The worker: sweeps once at start, then whenever it is woken.
pub(crate) fn run(inner: &std::sync::Weak<Inner>, wake: &Receiver<()>) {
    loop {
        let Some(inner) = inner.upgrade() else { return };
        let swept = sweep_all(&inner);
        drop(inner);
        let wait = match swept {
            Ok(()) => Duration::from_hours(1),
            // A store that takes no writes sweeps nothing; it is not worth a line each time.
            Err(EngineError::ReadOnly | EngineError::Closing) => RETRY,
            Err(error) => {
                tracing::warn!(%error, "removing a deleted bucket failed; it is tried again");
                RETRY
            }
        };
        match wake.recv_timeout(wait) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn sweep_all(inner: &Arc<Inner>) -> Result<(), EngineError> {
    let mut detached = Vec::new();
    let snapshot = inner.storage.snapshot();
    let end = prefix_end(key::BUCKET_DETACHED);
    for row in snapshot.range(Space::Meta, key::BUCKET_DETACHED, &end, false) {
        let (row, _) = row?;
        let id = row.strip_prefix(key::BUCKET_DETACHED).unwrap_or_default();
        let id: [u8; 16] = id
            .try_into()
            .map_err(|_| EngineError::Corrupt("detached bucket"))?;
        detached.push(BucketId::from_bytes(id));
    }
    drop(snapshot);
    for bucket in detached {
        sweep_bucket(inner, bucket)?;
    }
    Ok(())
}

fn sweep_bucket(inner: &Arc<Inner>, bucket: BucketId) -> Result<(), EngineError> {
    let prefix = key::of_bucket(&bucket);
    let end = prefix_end(&prefix);
    for space in SWEPT {
        loop {
            // A snapshot per commit: none is held while the sweep goes on.
            let snapshot = inner.storage.snapshot();
            let mut rows = Vec::new();
            let mut credits: BTreeMap<GrantId, u64> = BTreeMap::new();
            for row in snapshot.range(space, &prefix, &end, false).take(ROWS_PER_COMMIT) {
                let (row, value) = row?;
                if space == Space::Versions {
                    let version = ObjectRow::decode(&value)?;
                    for grant in version.charges {
                        *credits.entry(grant).or_default() += version.len;
                    }
                }
                if space == Space::Index && key::is_part(&row) {
                    let part = PartRow::decode(&value)?;
                    for grant in part.charges {
                        *credits.entry(grant).or_default() += part.len;
                    }
                }
                rows.push((space, row));
            }
            drop(snapshot);
            if rows.is_empty() {
                break;
            }
            let credits = credits.into_iter().collect();
            inner.submit_system(
                "sweep",
                Mutation::SweepRows {
                    bucket,
                    rows,
                    credits,
                    last: false,
                },
            )?;
            std::thread::sleep(PAUSE);
        }
    }
    // ORDER: the files go after the commits that removed every row that names them, the mark after the files.
    inner
        .chunks
        .remove_bucket(&bucket)
        .map_err(|error| EngineError::Read(error.to_string()))?;
    let last = Mutation::SweepRows {
        bucket,
        rows: Vec::new(),
        credits: Vec::new(),
        last: true,
    };
    inner.submit_system("sweep", last)
}
