//! What a measurement is: latencies of operations that ran side by side for a time, and the CPU that they cost.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cpu::Spent;

/// One line of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) ops: u64,
    pub(crate) ops_per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    /// CPU of the serving process (or of the whole process, where producers and storage share one).
    pub(crate) cpu_us_per_op: f64,
    /// Share of the machine's time that its host gave to others: what it stole is in the latencies.
    pub(crate) stolen_share: f64,
    /// CPU of the load generator, which shares the cores; absent where there is no process beside it.
    pub(crate) generator_cpu_us_per_op: Option<f64>,
}

impl Measured {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn new(
        name: &'static str,
        mut latencies: Vec<Duration>,
        wall: Duration,
        spent: &Spent,
    ) -> Self {
        latencies.sort_unstable();
        let ops = latencies.len().max(1);
        let at = |share: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of a length"
            )]
            let index = ((ops as f64 * share) as usize).min(ops - 1);
            latencies
                .get(index)
                .map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
        };
        Self {
            name,
            ops: ops as u64,
            ops_per_s: ops as f64 / wall.as_secs_f64(),
            p50_ms: at(0.50),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: at(1.0),
            cpu_us_per_op: spent.cpu.as_secs_f64() * 1e6 / ops as f64,
            stolen_share: spent.stolen_share,
            generator_cpu_us_per_op: None,
        }
    }

    /// The same with what the load generator spent itself.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn generated_with(self, cpu: Duration) -> Self {
        Self {
            generator_cpu_us_per_op: Some(cpu.as_secs_f64() * 1e6 / self.ops as f64),
            ..self
        }
    }
}

/// Runs `operation(number)` from `clients` tasks for `time`; numbers are given out once each.
pub(crate) async fn side_by_side<F, Fut, E>(
    clients: usize,
    time: Duration,
    operation: F,
) -> Result<Vec<Duration>, E>
where
    F: Fn(u64) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    E: Send + 'static,
{
    let next = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + time;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let (next, operation) = (Arc::clone(&next), operation.clone());
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while Instant::now() < end {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let start = Instant::now();
                operation(number).await?;
                latencies.push(start.elapsed());
            }
            Ok(latencies)
        });
    }
    let mut all = Vec::new();
    while let Some(latencies) = tasks.join_next().await {
        match latencies {
            Ok(latencies) => all.extend(latencies?),
            // A task that panicked has printed why; its latencies are missing.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    Ok(all)
}
