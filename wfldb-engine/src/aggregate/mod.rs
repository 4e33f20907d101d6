//! Aggregation: the documents of a bucket as one snapshot has them, one after the other, into the groups of a pipeline.
//! What a pipeline is and what its groups keep is `wfldb_core::aggregate`'s; which rows are read is `walk`'s.

mod bodies;
mod helpers;
mod parts;
mod walk;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wfldb_core::aggregate::{AggregateRows, Aggregation, Pipeline};
use wfldb_core::auth::{Authorized, Op};
use wfldb_core::limits::{
    AGGREGATE_BYTES_MAX, AGGREGATE_DOCUMENTS_MAX, AGGREGATE_MS_MAX, AGGREGATE_READ_BYTES_MAX,
};
use wfldb_core::object::BucketKind;
use wfldb_core::query::FindRequest;

pub(crate) use self::helpers::Helpers;
use self::walk::Walk;
use crate::bucket::{admits, bucket_of, resolve};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::query::Narrowed;

/// Documents between two looks at what all threads have cost so far, and at the clock.
const TELL_EVERY: u64 = 1024;
/// An index is asked where it leaves at most this part of the documents: reading those one by one takes longer.
const NARROW_PART: u64 = 8;

/// What one aggregation may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AggregateBudget {
    /// Documents that are looked at.
    pub documents: u64,
    /// Bytes of documents that are read.
    pub read_bytes: u64,
    /// How long it may take.
    pub time: Duration,
    /// Memory of the groups, in bytes.
    pub memory_bytes: usize,
}

impl Default for AggregateBudget {
    fn default() -> Self {
        Self {
            documents: AGGREGATE_DOCUMENTS_MAX,
            read_bytes: AGGREGATE_READ_BYTES_MAX,
            time: Duration::from_millis(AGGREGATE_MS_MAX),
            memory_bytes: AGGREGATE_BYTES_MAX,
        }
    }
}

/// The answer to [`Engine::aggregate`].
#[derive(Debug)]
pub struct Aggregated {
    /// The rows, in order.
    pub rows: AggregateRows,
    /// Documents that were looked at.
    pub examined: u64,
    /// Documents that the pipeline's selectors match.
    pub matched: u64,
    /// How long it took.
    pub took: Duration,
}

/// An aggregation that was asked for, and what it has cost in all of its threads.
struct Work {
    pipeline: Arc<Pipeline>,
    budget: AggregateBudget,
    begun: Instant,
    cost: Arc<Cost>,
}

#[derive(Default)]
struct Cost {
    examined: AtomicU64,
    read_bytes: AtomicU64,
}

impl Work {
    fn begin(&self) -> Run {
        self.begin_with(self.budget.memory_bytes)
    }

    fn begin_with(&self, memory_bytes: usize) -> Run {
        Run {
            groups: Aggregation::new(Arc::clone(&self.pipeline), memory_bytes),
            budget: self.budget,
            begun: self.begun,
            cost: Arc::clone(&self.cost),
            untold: 0,
            untold_bytes: 0,
            examined: 0,
            matched: 0,
        }
    }
}

/// A pipeline at work in one thread.
struct Run {
    groups: Aggregation,
    budget: AggregateBudget,
    begun: Instant,
    cost: Arc<Cost>,
    /// Documents, and their bytes, that the others do not know of yet.
    untold: u64,
    untold_bytes: u64,
    examined: u64,
    matched: u64,
}

impl Run {
    /// Takes a document in, given by its stored bytes.
    fn take(&mut self, document: &[u8]) -> Result<(), EngineError> {
        self.examined += 1;
        self.untold += 1;
        self.untold_bytes = self.untold_bytes.saturating_add(document.len() as u64);
        if self.untold == TELL_EVERY {
            self.tell()?;
        }
        self.matched += u64::from(self.groups.take(document)?);
        Ok(())
    }

    /// Adds what this thread has cost to what all have, which has to be within the budget.
    fn tell(&mut self) -> Result<(), EngineError> {
        let add = |all: &AtomicU64, untold: &mut u64| {
            let untold = std::mem::take(untold);
            all.fetch_add(untold, Ordering::Relaxed).saturating_add(untold)
        };
        let examined = add(&self.cost.examined, &mut self.untold);
        let read_bytes = add(&self.cost.read_bytes, &mut self.untold_bytes);
        let is_over = examined > self.budget.documents
            || read_bytes > self.budget.read_bytes
            || self.begun.elapsed() > self.budget.time;
        if is_over {
            return Err(EngineError::OverBudget);
        }
        Ok(())
    }

    /// Takes in what another thread did.
    fn merge(&mut self, other: Self) -> Result<(), EngineError> {
        self.examined += other.examined;
        self.matched += other.matched;
        Ok(self.groups.merge(other.groups)?)
    }
}

impl Engine {
    /// Aggregates the documents of the bucket that `proof` names, as far as it lets its holder see them. Blocks; all of it
    /// is of one snapshot.
    ///
    /// # Errors
    /// `NoSuchBucket`, `SignatureRequired`, `NotDocuments`, `OverBudget`, `AggregateTooLarge` when the groups take more
    /// memory than the budget allows, `Corrupt`.
    #[tracing::instrument(name = "engine::aggregate", level = "debug", skip_all)]
    pub fn aggregate(
        &self,
        proof: &Authorized,
        pipeline: Arc<Pipeline>,
        budget: AggregateBudget,
    ) -> Result<Aggregated, EngineError> {
        let begun = Instant::now();
        let name = bucket_of(proof, Op::Query)?;
        let snapshot = self.inner.storage.snapshot();
        let bucket = resolve(&*snapshot, name)?;
        admits(&bucket, proof)?;
        if bucket.config.kind != BucketKind::Documents {
            return Err(EngineError::NotDocuments);
        }
        let bounds = pipeline.key_bounds();
        let selector = pipeline.selector();
        let work = Work {
            pipeline,
            budget,
            begun,
            cost: Arc::default(),
        };
        let walk = Walk {
            snapshot: &*snapshot,
            bucket: &bucket.id,
            now: self.inner.now(),
        };
        let mut run = work.begin();
        let is_narrowed = match selector {
            Some(selector) if bounds.are_all() => {
                let narrowed = Narrowed {
                    proof,
                    snapshot: &*snapshot,
                    bucket: &bucket,
                    request: &FindRequest::new(selector),
                    now: walk.now,
                };
                let most = walk.counters()?.objects / NARROW_PART;
                narrowed.each(most, &mut |text| run.take(text))?
            }
            _ => false,
        };
        match proof.visible_prefixes() {
            _ if is_narrowed => {}
            None if bounds.are_all() => run = walk.all(&work, &self.inner.helpers)?,
            None => walk.keys(&bounds, &mut run)?,
            // SECURITY: what the caller may not see is not read, let alone grouped.
            Some(prefixes) => {
                for prefix in prefixes {
                    let visible = wfldb_core::aggregate::KeyBounds::beginning_with(prefix.as_str());
                    walk.keys(&visible.and(bounds.clone()), &mut run)?;
                }
            }
        }
        run.tell()?;
        Ok(Aggregated {
            examined: run.examined,
            matched: run.matched,
            rows: run.groups.finish()?,
            took: begun.elapsed(),
        })
    }
}
