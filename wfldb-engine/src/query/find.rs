//! Asking, and asking how it is answered.

use wfldb_core::auth::{Authorized, Op};
use wfldb_core::doc::Value;
use wfldb_core::index::{IndexDefinition, IndexName};
use wfldb_core::object::BucketKind;
use wfldb_core::query::{Access, FindRequest, IndexWish, Known, Plan, plan};

use super::budget::{Budget, FindStats};
use super::position::FindPosition;
use super::run::Run;
use crate::bucket::{admits, bucket_of, resolve};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::index::ready;

/// The answer to a question.
#[derive(Debug, Default)]
pub struct Found {
    /// The documents, as far as they were asked for.
    pub documents: Vec<Value>,
    /// Where the next answer goes on; `None`: there is no more.
    pub next: Option<FindPosition>,
    /// How many documents there are, where that was asked.
    pub count: Option<u64>,
    /// What it did cost.
    pub stats: FindStats,
    /// How it was found.
    pub plan: PlanSummary,
}

/// How a question is answered.
#[derive(Debug, Default)]
pub struct PlanSummary {
    /// By this index; `None`: by the keys of the documents.
    pub index: Option<IndexName>,
    /// In so many ranges of it.
    pub ranges: usize,
    /// From the end.
    pub reverse: bool,
    /// The walk gives the order; else all that is wanted is sorted.
    pub in_order: bool,
    /// The index that would have been better.
    pub wish: Option<IndexWish>,
}

impl PlanSummary {
    fn of(plan: &Plan, index: Option<&IndexDefinition>) -> Self {
        let (Access::Documents { ranges, reverse } | Access::Index { ranges, reverse, .. }) = &plan.access;
        Self {
            index: index.map(|index| index.name.clone()),
            ranges: ranges.len(),
            reverse: *reverse,
            in_order: plan.sorted,
            wish: plan.wish.clone(),
        }
    }
}

/// How a question was answered.
#[derive(Debug)]
pub struct Explained {
    /// The plan.
    pub plan: PlanSummary,
    /// What it did cost.
    pub stats: FindStats,
    /// The question asks for more than one may.
    pub over_budget: bool,
}

impl Engine {
    /// The documents that a question wants, of those that `proof` lets its holder query. `from`: where an earlier answer
    /// to the same question ended. Blocks.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NotDocuments`, `SignatureRequired`, `Query` for an index that cannot answer, `OverBudget`,
    /// `Forbidden` where an index is named by a caller who may not see the whole bucket, `Corrupt`.
    #[tracing::instrument(name = "engine::query::find", level = "debug", skip_all)]
    pub fn find(
        &self,
        proof: &Authorized,
        request: &FindRequest,
        from: Option<&FindPosition>,
    ) -> Result<Found, EngineError> {
        let (answer, summary, stats) = self.answer(proof, request, from)?;
        let mut found = answer?;
        found.stats = FindStats {
            returned: found.documents.len() as u64,
            ..stats
        };
        found.plan = summary;
        Ok(found)
    }

    /// How a question is answered, and what that costs: it is carried out.
    ///
    /// # Errors
    /// As [`Engine::find`]; `Forbidden` for a caller who may not see the whole bucket.
    pub fn explain(&self, proof: &Authorized, request: &FindRequest) -> Result<Explained, EngineError> {
        if proof.visible_prefixes().is_some() {
            return Err(EngineError::Forbidden);
        }
        let (answer, plan, stats) = self.answer(proof, request, None)?;
        let (returned, over_budget) = match answer {
            Ok(found) => (found.documents.len() as u64, false),
            Err(EngineError::OverBudget) => (0, true),
            Err(error) => return Err(error),
        };
        Ok(Explained {
            plan,
            stats: FindStats { returned, ..stats },
            over_budget,
        })
    }

    /// Plans and carries out.
    #[expect(clippy::type_complexity, reason = "an answer that failed still has a plan and a cost")]
    fn answer(
        &self,
        proof: &Authorized,
        request: &FindRequest,
        from: Option<&FindPosition>,
    ) -> Result<(Result<Found, EngineError>, PlanSummary, FindStats), EngineError> {
        let name = bucket_of(proof, Op::Query)?;
        let snapshot = self.inner.storage.snapshot();
        let bucket = resolve(&*snapshot, name)?;
        admits(&bucket, proof)?;
        if bucket.config.kind != BucketKind::Documents {
            return Err(EngineError::NotDocuments);
        }
        let visible = proof.visible_prefixes();
        // SECURITY: which indexes there are is for those who may see the whole bucket.
        if request.use_index.is_some() && visible.is_some() {
            return Err(EngineError::Forbidden);
        }
        if request.selector.text().is_some() {
            return Err(EngineError::NotSupportedYet("$text"));
        }
        let known: Vec<Known<'_>> = ready(&bucket)
            .map(|(number, definition)| Known { number, definition })
            .collect();
        let plan = plan(request, &known, from.map(FindPosition::walk)).map_err(EngineError::Query)?;
        let index = match &plan.access {
            Access::Index { number, .. } => known.iter().find(|known| known.number == *number),
            Access::Documents { .. } => None,
        };
        let index = index.map(|known| known.definition);
        let mut run = Run {
            proof,
            snapshot: &*snapshot,
            bucket: &bucket,
            request,
            plan: &plan,
            index,
            visible,
            now: self.inner.now(),
            budget: Budget::new(),
        };
        let answer = if plan.sorted {
            run.in_order(from)
        } else {
            run.sorted(from)
        };
        Ok((answer, PlanSummary::of(&plan, index), run.budget.stats()))
    }
}
