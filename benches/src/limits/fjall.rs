//! The storage alone: the same bytes as merged, synced fjall batches from as many producers.

use std::path::Path;
use std::sync::mpsc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};

use super::Limit;
use crate::Failure;
use crate::measure::Measured;

/// Plans in one group, as in the engine.
const GROUP_MAX: usize = 1024;
/// Bytes in one group, as in the engine.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// A key of the length that an object's has in the engine, and whom to tell.
type Submitted = ([u8; 40], mpsc::SyncSender<()>);

/// Durable writes of the limit's size.
pub(crate) fn merged(dir: &Path, limit: &Limit) -> Result<Measured, Failure> {
    let database = Database::builder(dir)
        .journal_compression(fjall::CompressionType::None)
        // As the engine has it on few cores (docs/decisions/0013).
        .worker_threads(1)
        .open()?;
    let bodies = database.keyspace("bodies", || {
        let separated = KvSeparationOptions::default().compression(fjall::CompressionType::None);
        KeyspaceCreateOptions::default().with_kv_separation(Some(separated))
    })?;
    let (submit, submitted) = mpsc::sync_channel::<Submitted>(GROUP_MAX);
    let mut body = vec![0; usize::try_from(limit.size)?];
    getrandom::fill(&mut body)?;
    let committer = std::thread::spawn(move || commit(&database, &bodies, &body, &submitted));
    let measured = limit.run(|_| {
        let submit = submit.clone();
        let (done, wait) = mpsc::sync_channel(1);
        Ok(move |number: u64| {
            let mut key = [0; 40];
            key[..8].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
            submit.send((key, done.clone()))?;
            Ok(wait.recv()?)
        })
    });
    drop(submit);
    committer.join().map_err(|_| "the committer panicked")??;
    measured
}

fn commit(
    database: &Database,
    bodies: &Keyspace,
    body: &[u8],
    submitted: &mpsc::Receiver<Submitted>,
) -> Result<(), fjall::Error> {
    while let Ok(first) = submitted.recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX
            && group.len() * body.len() < GROUP_BYTES_MAX
            && let Ok(next) = submitted.try_recv()
        {
            group.push(next);
        }
        let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
        for (key, _) in &group {
            batch.insert(bodies, key.as_slice(), body);
        }
        batch.commit()?;
        for (_, done) in group {
            // A producer whose time is over no longer listens.
            let _ = done.send(());
        }
    }
    Ok(())
}
