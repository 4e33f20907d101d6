//! One case: an operation, by a number of clients in a closed loop, for a time or until there is no more to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Failure;
use crate::body::{Bodies, IN_MEMORY_BYTES_MAX};
use crate::histogram::Histogram;
use crate::measure::{Measured, Part, Seen};
use crate::process::Meter;
use crate::target::{Operation, Target};

/// Writes in one batch.
pub(crate) const BATCH_WRITES: u64 = 100;

/// The keys of a store: numbers from `deleted` to `stored` are there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Keys {
    deleted: u64,
    stored: u64,
}

/// How long a case goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) time: Duration,
    /// Bytes of bodies that one case moves at most.
    pub(crate) bytes_max: u64,
    /// Keys that are read, over and over.
    pub(crate) keys_max: u64,
}

impl Bounds {
    /// Operations in one case at most.
    fn ops_max(&self, size: u64) -> u64 {
        self.bytes_max / size.max(1)
    }

    /// Why a case is too large to be run.
    pub(crate) fn refuses(&self, size: u64, clients: usize) -> Option<String> {
        let moved = size.saturating_mul(clients as u64);
        (moved > self.bytes_max)
            .then(|| format!("one round moves {} MiB, more than --case-bytes", moved >> 20))
    }
}

/// What the clients of a case share.
struct Load<T> {
    target: Arc<T>,
    bodies: Arc<Bodies>,
    operation: Operation,
    keys: Keys,
    readable: u64,
    next: AtomicU64,
    puts: AtomicU64,
    deletes: AtomicU64,
}

/// A step that is ready to be timed.
enum Step<P> {
    Put(String, P),
    Get(String),
    Scan(String),
    Batch(Vec<(String, P)>),
    Delete(String),
}

/// What one client saw.
#[derive(Default)]
struct Timed {
    /// In the order of `PARTS`.
    histograms: [Histogram; PARTS.len()],
    making: Duration,
    bytes: u64,
    stored_bytes: u64,
}

const PARTS: [&str; 5] = ["put", "get", "scan", "batch", "delete"];

/// The key with this number; neighbours are far from each other.
fn key(number: u64) -> String {
    format!("{:08x}", number.wrapping_mul(0x9E37_79B1) & 0xFFFF_FFFF)
}

impl<T: Target> Load<T> {
    fn new(target: &Arc<T>, bodies: &Arc<Bodies>, operation: Operation, keys: Keys, keys_max: u64) -> Self {
        Self {
            target: Arc::clone(target),
            bodies: Arc::clone(bodies),
            operation,
            keys,
            readable: keys.stored.saturating_sub(keys.deleted).min(keys_max).max(1),
            next: AtomicU64::new(0),
            puts: AtomicU64::new(0),
            deletes: AtomicU64::new(0),
        }
    }

    /// The keys after the load.
    fn keys_after(&self) -> Keys {
        Keys {
            deleted: self.keys.deleted + self.deletes.load(Ordering::Relaxed),
            stored: self.keys.stored + self.puts.load(Ordering::Relaxed),
        }
    }

    async fn new_body(&self, client: usize) -> Result<(String, T::Prepared), Failure> {
        let number = self.keys.stored + self.puts.fetch_add(1, Ordering::Relaxed);
        let payload = self.bodies.make(client, number)?;
        Ok((key(number), self.target.prepare(payload).await?))
    }

    async fn prepare(&self, client: usize, number: u64) -> Result<Step<T::Prepared>, Failure> {
        // The keys that are there, in another order than that in which they were stored.
        let known = || key(self.keys.deleted + number.wrapping_mul(7919) % self.readable);
        let put = match self.operation {
            Operation::Put => true,
            Operation::Mixed => number % 5 == 4,
            Operation::Get | Operation::Scan | Operation::Batch | Operation::Delete => false,
        };
        Ok(match self.operation {
            _ if put => {
                let (key, body) = self.new_body(client).await?;
                Step::Put(key, body)
            }
            Operation::Put | Operation::Get | Operation::Mixed => Step::Get(known()),
            Operation::Scan => Step::Scan(key(number)),
            Operation::Batch => {
                let mut bodies = Vec::new();
                for _ in 0..BATCH_WRITES {
                    bodies.push(self.new_body(client).await?);
                }
                Step::Batch(bodies)
            }
            Operation::Delete => {
                let number = self.keys.deleted + self.deletes.fetch_add(1, Ordering::Relaxed);
                Step::Delete(key(number))
            }
        })
    }

    /// Performs a step; says which part it was, and how many bytes were stored and read.
    async fn perform(&self, client: usize, step: Step<T::Prepared>) -> Result<(usize, u64, u64), Failure> {
        let size = self.bodies.len();
        let target = &self.target;
        Ok(match step {
            Step::Put(key, body) => {
                target.put(client, key, body).await?;
                (0, size, 0)
            }
            Step::Get(key) => {
                target.get(client, key, size).await?;
                (1, 0, size)
            }
            Step::Scan(after) => {
                target.scan(client, after).await?;
                (2, 0, 0)
            }
            Step::Batch(bodies) => {
                target.batch(client, bodies).await?;
                (3, size * BATCH_WRITES, 0)
            }
            Step::Delete(key) => {
                target.delete(client, key).await?;
                (4, 0, 0)
            }
        })
    }

    async fn client(&self, client: usize, end: Instant, ops_max: u64) -> Result<Timed, Failure> {
        let mut timed = Timed::default();
        let mut first = true;
        // However short the time, each client does something.
        while first || Instant::now() < end {
            first = false;
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= ops_max {
                break;
            }
            let making = Instant::now();
            let step = self.prepare(client, number).await?;
            let start = Instant::now();
            timed.making += start - making;
            let (part, stored, read) = self.perform(client, step).await?;
            if let Some(histogram) = timed.histograms.get_mut(part) {
                histogram.record(start.elapsed());
            }
            timed.stored_bytes += stored;
            timed.bytes += stored + read;
        }
        Ok(timed)
    }

    async fn run(self: &Arc<Self>, clients: usize, time: Duration, ops_max: u64) -> Result<Seen, Failure> {
        self.next.store(0, Ordering::Relaxed);
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for client in 0..clients {
            let load = Arc::clone(self);
            tasks.spawn(async move { load.client(client, start + time, ops_max).await });
        }
        let mut all = Timed::default();
        while let Some(timed) = tasks.join_next().await {
            let timed = timed??;
            for (histogram, more) in all.histograms.iter_mut().zip(&timed.histograms) {
                histogram.add(more);
            }
            all.making += timed.making;
            all.bytes += timed.bytes;
            all.stored_bytes += timed.stored_bytes;
        }
        let making = all.making / u32::try_from(clients)?.max(1);
        let parts = PARTS.iter().zip(all.histograms);
        Ok(Seen {
            parts: parts
                .filter(|(_, counts)| counts.count() > 0)
                .map(|(of, counts)| Part { of, counts })
                .collect(),
            bytes: all.bytes,
            stored_bytes: all.stored_bytes,
            wall: start.elapsed().saturating_sub(making),
        })
    }
}

/// Stores keys until there are enough to read or delete. Not measured.
async fn fill<T: Target>(
    target: &Arc<T>,
    bodies: &Arc<Bodies>,
    keys: &mut Keys,
    wanted: u64,
) -> Result<(), Failure> {
    let missing = wanted.saturating_sub(keys.stored.saturating_sub(keys.deleted));
    if missing > 0 {
        let load = Arc::new(Load::new(target, bodies, Operation::Put, *keys, 1));
        let clients = usize::try_from(missing.min(16))?;
        load.run(clients, Duration::from_hours(1), missing).await?;
        *keys = load.keys_after();
    }
    Ok(())
}

/// Runs a case against the process `pid`.
pub(crate) async fn run<T: Target>(
    target: &Arc<T>,
    pid: u32,
    bodies: &Arc<Bodies>,
    keys: &mut Keys,
    operation: Operation,
    clients: usize,
    bounds: &Bounds,
) -> Result<Measured, Failure> {
    let size = bodies.len();
    let mut ops_max = bounds.ops_max(size).max(1);
    if !matches!(operation, Operation::Put | Operation::Batch) {
        // All targets are read with as many keys, however fast they stored some: at most a sixteenth of what a case may
        // move, but one for each client.
        let wanted = (ops_max / 16).min(bounds.keys_max).max(clients as u64);
        fill(target, bodies, keys, wanted).await?;
    }
    let load = Arc::new(Load::new(target, bodies, operation, *keys, bounds.keys_max));
    if operation == Operation::Delete {
        ops_max = keys.stored.saturating_sub(keys.deleted);
    } else if size <= IN_MEMORY_BYTES_MAX {
        // Connections, caches and the allocator settle first.
        load.run(clients, bounds.time / 5, ops_max / 4 + 1).await?;
    }
    let (server, own) = (Meter::of_tree(pid)?, Meter::of_self()?);
    let seen = load.run(clients, bounds.time, ops_max).await?;
    let (server, own) = (server.spent()?, own.spent()?);
    *keys = load.keys_after();
    Ok(Measured::new(seen, &server, Some(&own)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_do_not_repeat() {
        let keys: BTreeSet<String> = (0..10_000).map(key).collect();
        assert_eq!(keys.len(), 10_000);
        assert_eq!(key(1), "9e3779b1");
    }

    #[test]
    fn a_case_that_moves_too_much_is_refused() {
        let bounds = Bounds {
            time: Duration::ZERO,
            bytes_max: 4 << 30,
            keys_max: 1,
        };
        assert_eq!(bounds.refuses(64 << 20, 64), None);
        assert!(bounds.refuses(1 << 30, 16).is_some());
        assert_eq!(bounds.ops_max(1 << 30), 4);
    }
}
