//! What the machine can do at all, measured in the same run: a signature, the storage without a server, files, the
//! loopback device.

pub(crate) mod file;
pub(crate) mod fjall;
pub(crate) mod loopback;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wfldb_core::id::SecretKey;

use crate::Failure;
use crate::histogram::Histogram;
use crate::measure::{Measured, Part, Seen};
use crate::process::Meter;

/// Microseconds of one `verify_strict` over a canonical string's length, on every core at once: what a signature costs
/// under load. Two cores that share a body of execution units are slower together than one alone.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn verify_strict_us(time: Duration) -> Result<f64, Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let key = SecretKey::from_seed(seed);
    let message = vec![b'x'; 400];
    let signature = key.sign(&message);
    let public = key.public_key();
    let end = Instant::now() + time.min(Duration::from_secs(2));
    let count = AtomicU64::new(0);
    let meter = Meter::of_self()?;
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while Instant::now() < end && public.verify_strict(&message, &signature) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    Ok(meter.spent()?.cpu.as_secs_f64() * 1e6 / count.into_inner().max(1) as f64)
}

/// How a limit is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) of: &'static str,
    pub(crate) size: u64,
    pub(crate) clients: usize,
    pub(crate) time: Duration,
    /// Operations of all clients together at most.
    pub(crate) ops_max: u64,
    /// Whether the bytes are stored, rather than read or passed on.
    pub(crate) stores: bool,
}

impl Limit {
    /// Runs a step on a thread for each client, in a closed loop. `start` makes what a client needs, before the clock.
    pub(crate) fn run<S, O>(&self, start: S) -> Result<Measured, Failure>
    where
        S: Fn(usize) -> Result<O, Failure>,
        O: FnMut(u64) -> Result<(), Failure> + Send,
    {
        let mut steps = (0..self.clients).map(start).collect::<Result<Vec<_>, _>>()?;
        let next = AtomicU64::new(0);
        let meter = Meter::of_self()?;
        let began = Instant::now();
        let end = began + self.time;
        let histograms = std::thread::scope(|scope| {
            let threads: Vec<_> = steps
                .iter_mut()
                .map(|step| {
                    let next = &next;
                    scope.spawn(move || -> Result<Histogram, Failure> {
                        let mut histogram = Histogram::default();
                        let mut first = true;
                        while first || Instant::now() < end {
                            first = false;
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            if number >= self.ops_max {
                                break;
                            }
                            let start = Instant::now();
                            step(number)?;
                            histogram.record(start.elapsed());
                        }
                        Ok(histogram)
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| "a thread panicked")?)
                .collect::<Result<Vec<_>, Failure>>()
        })?;
        let wall = began.elapsed();
        let spent = meter.spent()?;
        let mut counts = Histogram::default();
        for histogram in &histograms {
            counts.add(histogram);
        }
        let bytes = counts.count() * self.size;
        let seen = Seen {
            parts: vec![Part { of: self.of, counts }],
            bytes,
            stored_bytes: if self.stores { bytes } else { 0 },
            wall,
        };
        Ok(Measured::new(seen, &spent, None))
    }
}
