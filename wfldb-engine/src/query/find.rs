//! Asking, and asking how it is answered.

use wfldb_core::auth::{Authorized, Op};
use wfldb_core::index::{IndexDefinition, IndexName};
use wfldb_core::object::BucketKind;
use wfldb_core::query::{Access, Evaluator, FindRequest, IndexWish, Known, Plan, plan};

use super::budget::{Budget, FindStats};
use super::position::FindPosition;
use super::run::Run;
use super::sorted::TextMatch;
use crate::bucket::{admits, bucket_of, resolve};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::index::ready;

/// The answer to a question.
#[derive(Debug, Default)]
pub struct Found {
    /// The documents in JSON, as far as they were asked for.
    pub documents: Vec<Vec<u8>>,
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

    /// What a search of the full text found is looked at one by one, the best match first.
    fn of_search(request: &FindRequest) -> Self {
        Self {
            in_order: request.sort.is_empty(),
            ..Self::default()
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

/// An answer; one that failed has a plan and a cost too.
struct Answer {
    found: Result<Found, EngineError>,
    plan: PlanSummary,
    stats: FindStats,
}

impl Answer {
    fn found(self) -> Result<Found, EngineError> {
        let mut found = self.found?;
        found.stats = FindStats {
            returned: found.documents.len() as u64,
            ..self.stats
        };
        found.plan = self.plan;
        Ok(found)
    }
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
        if request.selector.text().is_some() {
            return Err(EngineError::NotSupportedYet("$text"));
        }
        self.answer(proof, request, None, from)?.found()
    }

    /// The same for a selector with `$text`: of the documents that a search of the full text found, those that the rest
    /// of the selector wants, the best match first where the request names no order. Blocks.
    ///
    /// # Errors
    /// As [`Engine::find`].
    pub fn find_matching(
        &self,
        proof: &Authorized,
        request: &FindRequest,
        matches: &[TextMatch],
        from: Option<&FindPosition>,
    ) -> Result<Found, EngineError> {
        self.answer(proof, request, Some(matches), from)?.found()
    }

    /// How a question is answered, and what that costs: it is carried out.
    ///
    /// # Errors
    /// As [`Engine::find`]; `Forbidden` for a caller who may not see the whole bucket.
    pub fn explain(&self, proof: &Authorized, request: &FindRequest) -> Result<Explained, EngineError> {
        if request.selector.text().is_some() {
            return Err(EngineError::NotSupportedYet("$text"));
        }
        self.explained(proof, request, None)
    }

    /// The same for a selector with `$text`, of the documents that a search of the full text found.
    ///
    /// # Errors
    /// As [`Engine::explain`].
    pub fn explain_matching(
        &self,
        proof: &Authorized,
        request: &FindRequest,
        matches: &[TextMatch],
    ) -> Result<Explained, EngineError> {
        self.explained(proof, request, Some(matches))
    }

    fn explained(
        &self,
        proof: &Authorized,
        request: &FindRequest,
        matches: Option<&[TextMatch]>,
    ) -> Result<Explained, EngineError> {
        if proof.visible_prefixes().is_some() {
            return Err(EngineError::Forbidden);
        }
        let Answer { found, plan, stats } = self.answer(proof, request, matches, None)?;
        let (returned, over_budget) = match found {
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
    fn answer(
        &self,
        proof: &Authorized,
        request: &FindRequest,
        matches: Option<&[TextMatch]>,
        from: Option<&FindPosition>,
    ) -> Result<Answer, EngineError> {
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
            evaluator: Evaluator::new(request),
            plan: &plan,
            index,
            visible,
            now: self.inner.now(),
            budget: Budget::new(),
        };
        let found = match matches {
            Some(matches) => run.matching(matches, from),
            None if plan.sorted => run.in_order(from),
            None => run.sorted(from),
        };
        let stats = run.budget.stats();
        // What is looked at after a search is what it found, which no index changes.
        if matches.is_some() {
            return Ok(Answer {
                found,
                plan: PlanSummary::of_search(request),
                stats,
            });
        }
        // What a request asks for is read before it is carried out, so a wish is a definition.
        let wish = plan.wish.as_ref();
        if let Some(Ok(wish)) = wish.map(|wish| IndexDefinition::parse(&wish.to_value())) {
            let returned = found.as_ref().map_or(0, |found| found.documents.len());
            self.inner
                .wish_index(&bucket, &wish, stats.documents, returned as u64);
        }
        Ok(Answer {
            found,
            plan: PlanSummary::of(&plan, index),
            stats,
        })
    }
}
