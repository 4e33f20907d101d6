//! What a measurement is: latencies of operations that ran side by side, and what they cost.

use std::time::Duration;

use serde::Serialize;

use crate::histogram::Histogram;
use crate::process::Spent;

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    pub(crate) ops: u64,
    pub(crate) ops_per_s: f64,
    pub(crate) bytes_per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
    /// CPU of the serving process and its children; of the whole process where both sides share one.
    pub(crate) cpu_us_per_op: f64,
    /// CPU of the load generator, which shares the cores; absent where there is no process beside it.
    pub(crate) generator_cpu_us_per_op: Option<f64>,
    /// Most memory that the serving process had at once in this case.
    pub(crate) rss_peak_bytes: Option<u64>,
    /// Bytes that the serving process caused to be written to disk, over the bytes of the bodies that it was given.
    pub(crate) written_per_body_byte: Option<f64>,
    /// Share of the machine's time that its host gave to others: what it stole is in the latencies.
    pub(crate) stolen_share: f64,
    /// Raw counts, named for what was timed.
    pub(crate) histograms: Vec<Part>,
}

/// The latencies of one kind of operation in a case.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Part {
    pub(crate) of: &'static str,
    /// Pairs of a bucket's least value in nanoseconds and its count.
    pub(crate) counts: Histogram,
}

/// What the clients saw.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) parts: Vec<Part>,
    /// Bytes of bodies that were stored or read.
    pub(crate) bytes: u64,
    /// Bytes of bodies that were stored.
    pub(crate) stored_bytes: u64,
    /// How long it took, without the time in which bodies were made.
    pub(crate) wall: Duration,
}

impl Measured {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn new(seen: Seen, server: &Spent, generator: Option<&Spent>) -> Self {
        let mut all = Histogram::default();
        for part in &seen.parts {
            all.add(&part.counts);
        }
        let ops = all.count().max(1) as f64;
        let wall = seen.wall.as_secs_f64().max(1e-9);
        let per_op = |spent: &Spent| spent.cpu.as_secs_f64() * 1e6 / ops;
        let written = server.written_bytes.filter(|_| seen.stored_bytes > 0);
        Self {
            ops: all.count(),
            ops_per_s: all.count() as f64 / wall,
            bytes_per_s: seen.bytes as f64 / wall,
            p50_ms: all.at_ms(0.50),
            p95_ms: all.at_ms(0.95),
            p99_ms: all.at_ms(0.99),
            p999_ms: all.at_ms(0.999),
            max_ms: all.max_ms(),
            cpu_us_per_op: per_op(server),
            generator_cpu_us_per_op: generator.map(per_op),
            rss_peak_bytes: server.rss_peak_bytes,
            written_per_body_byte: written.map(|bytes| bytes as f64 / seen.stored_bytes as f64),
            stolen_share: server.stolen_share,
            histograms: seen.parts,
        }
    }
}
