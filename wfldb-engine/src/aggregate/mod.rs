//! Aggregation: the documents of a bucket as one snapshot has them, one after the other, into the groups of a pipeline.
//! What a pipeline is and what its groups keep is `wfldb_core::aggregate`'s; which rows are read is `walk`'s.

mod walk;

use std::sync::Arc;
use std::time::{Duration, Instant};

use wfldb_core::aggregate::{AggregateRows, Aggregation, Pipeline};
use wfldb_core::auth::{Authorized, Op};
use wfldb_core::limits::{
    AGGREGATE_BYTES_MAX, AGGREGATE_DOCUMENTS_MAX, AGGREGATE_MS_MAX, AGGREGATE_READ_BYTES_MAX,
};
use wfldb_core::object::BucketKind;

use self::walk::Walk;
use crate::bucket::{admits, bucket_of, resolve};
use crate::engine::Engine;
use crate::error::EngineError;

/// Documents between two looks at the clock.
const CLOCK_EVERY: u64 = 1024;

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

/// A pipeline at work, with what it has cost.
struct Run {
    groups: Aggregation,
    budget: AggregateBudget,
    begun: Instant,
    examined: u64,
    matched: u64,
    read_bytes: u64,
}

impl Run {
    /// Takes a document in, given by its stored bytes.
    fn take(&mut self, document: &[u8]) -> Result<(), EngineError> {
        self.examined += 1;
        self.read_bytes = self.read_bytes.saturating_add(document.len() as u64);
        if self.examined > self.budget.documents || self.read_bytes > self.budget.read_bytes {
            return Err(EngineError::OverBudget);
        }
        if self.examined.is_multiple_of(CLOCK_EVERY) && self.begun.elapsed() > self.budget.time {
            return Err(EngineError::OverBudget);
        }
        self.matched += u64::from(self.groups.take(document)?);
        Ok(())
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
        let mut run = Run {
            groups: Aggregation::new(pipeline, budget.memory_bytes),
            budget,
            begun,
            examined: 0,
            matched: 0,
            read_bytes: 0,
        };
        let walk = Walk {
            snapshot: &*snapshot,
            bucket: &bucket.id,
            now: self.inner.now(),
        };
        match proof.visible_prefixes() {
            None if bounds.are_all() => walk.all(&mut run)?,
            None => walk.keys(&bounds, &mut run)?,
            // SECURITY: what the caller may not see is not read, let alone grouped.
            Some(prefixes) => {
                for prefix in prefixes {
                    let visible = wfldb_core::aggregate::KeyBounds::beginning_with(prefix.as_str());
                    walk.keys(&visible.and(bounds.clone()), &mut run)?;
                }
            }
        }
        Ok(Aggregated {
            examined: run.examined,
            matched: run.matched,
            rows: run.groups.finish()?,
            took: begun.elapsed(),
        })
    }
}
