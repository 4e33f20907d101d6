//! Whether the cost of an indexed question grows with the number of documents that it is not about.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde::Serialize;
use tokio::runtime::Runtime;

use super::data::Orders;
use super::store::{DocumentStore as _, Task};
use super::{Terms, ask, wfldb};
use crate::Failure;
use crate::options::Options;
use crate::peer::Peer;
use crate::process::Meter;

const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];

/// One question against one number of documents.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    documents: u64,
    task: Task,
    /// With one client.
    p50_ms: f64,
    p95_ms: f64,
    server_cpu_us: f64,
    answers: f64,
}

pub(super) fn run(options: &Options, runtime: &Runtime, scratch: &Path) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::new();
    for count in SIZES {
        let peer = Peer::server(&scratch.join(count.to_string()), None)?;
        let store = Arc::new(runtime.block_on(wfldb::Wfldb::new(&peer, options.connections))?);
        let terms = Terms {
            orders: Orders { count },
            clients: 1,
            time: options.time(),
        };
        runtime.block_on(store.load(terms.orders))?;
        runtime.block_on(store.settle())?;
        for task in [Task::Read, Task::Equal, Task::Range, Task::Newest] {
            let inserted = Arc::new(AtomicU64::new(0));
            let warm = Terms {
                time: terms.time / 5,
                ..terms
            };
            runtime.block_on(ask(&store, task, 1, warm, &inserted))?;
            let meter = Meter::of_tree(peer.pid())?;
            let (seen, answers) = runtime.block_on(ask(&store, task, 1, terms, &inserted))?;
            let cpu = meter.spent()?.cpu.as_secs_f64();
            let counts = seen
                .parts
                .first()
                .map(|part| &part.counts)
                .ok_or("nothing was asked")?;
            #[expect(clippy::cast_precision_loss, reason = "figures for people")]
            let (asked, answers) = (counts.count().max(1) as f64, answers as f64);
            let step = Step {
                documents: count,
                task,
                p50_ms: counts.at_ms(0.50),
                p95_ms: counts.at_ms(0.95),
                server_cpu_us: cpu * 1e6 / asked,
                answers: answers / asked,
            };
            eprintln!(
                "{:>8} documents {:<9} p50 {:>7.3}  p95 {:>7.3} ms  cpu {:>7.1} us  {:>5.1} answers",
                step.documents,
                task.name(),
                step.p50_ms,
                step.p95_ms,
                step.server_cpu_us,
                step.answers
            );
            steps.push(step);
        }
    }
    Ok(steps)
}
