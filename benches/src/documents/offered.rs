//! Questions at a fixed rate, whether or not the store keeps up: latency counts from when each was due.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::store::{DocumentStore, Task};
use super::{Asker, Terms};
use crate::Failure;
use crate::histogram::Histogram;

/// What was seen at the rate.
#[derive(Debug, Serialize)]
pub(crate) struct Offered {
    task: Task,
    per_second: f64,
    asked: u64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
}

impl Offered {
    pub(super) fn print(&self, wanted_p95_ms: f64) {
        let met = if self.p95_ms <= wanted_p95_ms {
            "met"
        } else {
            "NOT MET"
        };
        eprintln!(
            "{:<11} {:<9} at {:>8.1}/s offered: p50 {:.3}  p95 {:.3}  p99 {:.3} ms, wanted p95 at most {wanted_p95_ms}: {met}",
            "wfldb",
            self.task.name(),
            self.per_second,
            self.p50_ms,
            self.p95_ms,
            self.p99_ms
        );
    }
}

pub(super) fn run<S: DocumentStore>(
    store: &Arc<S>,
    runtime: &Runtime,
    terms: Terms,
    task: Task,
    per_second: f64,
) -> Result<Offered, Failure> {
    let counts = runtime.block_on(offer(store, terms, task, per_second.max(1.0)))?;
    Ok(Offered {
        task,
        per_second,
        asked: counts.count(),
        p50_ms: counts.at_ms(0.50),
        p95_ms: counts.at_ms(0.95),
        p99_ms: counts.at_ms(0.99),
    })
}

async fn offer<S: DocumentStore>(
    store: &Arc<S>,
    terms: Terms,
    task: Task,
    per_second: f64,
) -> Result<Histogram, Failure> {
    let inserted = AtomicU64::new(0);
    let mut asker = Asker::new(task, terms.orders, 0);
    let mut tasks = JoinSet::new();
    let between = Duration::from_secs_f64(1.0 / per_second);
    let start = Instant::now();
    let mut due = start;
    let mut client = 0;
    while due < start + terms.time {
        tokio::time::sleep_until(due.into()).await;
        let (store, question) = (Arc::clone(store), asker.next(&inserted));
        client += 1;
        tasks.spawn(async move {
            store.ask(client, question).await?;
            Ok::<_, Failure>(due.elapsed())
        });
        due += between;
    }
    let mut counts = Histogram::default();
    while let Some(latency) = tasks.join_next().await {
        counts.record(latency??);
    }
    Ok(counts)
}
