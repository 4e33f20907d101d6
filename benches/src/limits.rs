//! What the machine can do at all: the storage without a server, and one signature.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use fjall::{Database, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};
use wfldb_core::id::SecretKey;

use crate::cpu;
use crate::measure::Measured;

/// Plans in one group, as in the engine.
const GROUP_MAX: usize = 1024;

/// Microseconds of one `verify_strict` over a canonical string's length, on every core at once: what a signature costs
/// under load. Two cores that share a body of execution units are slower together than one alone.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn verify_strict_us(time: Duration) -> Result<f64, Box<dyn Error>> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let key = SecretKey::from_seed(seed);
    let message = vec![b'x'; 400];
    let signature = key.sign(&message);
    let public = key.public_key();
    let end = Instant::now() + time.min(Duration::from_secs(2));
    let count = AtomicU64::new(0);
    let meter = cpu::Meter::of_self()?;
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while Instant::now() < end && public.verify_strict(&message, &signature) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    Ok(meter.spent()?.cpu.as_secs_f64() * 1e6 / count.into_inner() as f64)
}

/// The same bytes as merged, synced fjall batches from as many producers.
pub(crate) fn fjall_merged(
    dir: &Path,
    producers: usize,
    size: usize,
    time: Duration,
) -> Result<Measured, Box<dyn Error>> {
    let database = Database::builder(dir)
        .journal_compression(fjall::CompressionType::None)
        .open()?;
    let bodies = database.keyspace("bodies", || {
        let separated = KvSeparationOptions::default().compression(fjall::CompressionType::None);
        KeyspaceCreateOptions::default().with_kv_separation(Some(separated))
    })?;
    let (submit, submitted) = mpsc::sync_channel::<([u8; 40], mpsc::SyncSender<()>)>(GROUP_MAX);
    let body = vec![b'x'; size];
    let meter = cpu::Meter::of_self()?;
    let start = Instant::now();
    let end = start + time;
    let committer = std::thread::spawn(move || -> Result<(), fjall::Error> {
        while let Ok(first) = submitted.recv() {
            let mut group = vec![first];
            while group.len() < GROUP_MAX
                && let Ok(next) = submitted.try_recv()
            {
                group.push(next);
            }
            let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
            for (key, _) in &group {
                batch.insert(&bodies, key.as_slice(), body.as_slice());
            }
            batch.commit()?;
            for (_, done) in group {
                // A producer whose time is over no longer listens.
                let _ = done.send(());
            }
        }
        Ok(())
    });
    let producers: Vec<_> = (0..producers)
        .map(|producer| {
            let submit = submit.clone();
            std::thread::spawn(move || {
                let mut latencies = Vec::new();
                let mut key = [0; 40];
                key[..8].copy_from_slice(&(producer as u64).to_be_bytes());
                let (done, wait) = mpsc::sync_channel(1);
                let mut number = 0u64;
                while Instant::now() < end {
                    number += 1;
                    key[8..16].copy_from_slice(&number.to_be_bytes());
                    let start = Instant::now();
                    if submit.send((key, done.clone())).is_err() || wait.recv().is_err() {
                        break;
                    }
                    latencies.push(start.elapsed());
                }
                latencies
            })
        })
        .collect();
    drop(submit);
    let mut latencies = Vec::new();
    for producer in producers {
        latencies.extend(producer.join().map_err(|_| "a producer panicked")?);
    }
    committer.join().map_err(|_| "the committer panicked")??;
    let wall = start.elapsed();
    Ok(Measured::new("fjall_merged", latencies, wall, &meter.spent()?))
}
