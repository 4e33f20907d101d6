//! The documents that a selector wants, by an index, for who would else read all of them one after the other.

use wfldb_core::auth::Authorized;
use wfldb_core::query::{Access, Evaluator, FindRequest, Known, Plan, plan};
use wfldb_core::time::UnixMillis;

use super::budget::Budget;
use super::rows::Rows;
use super::run::Run;
use crate::error::EngineError;
use crate::index::ready;
use crate::row::BucketRow;
use crate::storage::Snapshot;

/// Of whose documents, as of when.
#[derive(Clone, Copy)]
pub(crate) struct Narrowed<'a> {
    pub(crate) proof: &'a Authorized,
    pub(crate) snapshot: &'a dyn Snapshot,
    pub(crate) bucket: &'a BucketRow,
    pub(crate) request: &'a FindRequest,
    pub(crate) now: UnixMillis,
}

impl Narrowed<'_> {
    /// Hands the text of each document that is wanted to `take`, once; `false`, and nothing handed out, where no index has
    /// fewer than `most` entries to look at.
    pub(crate) fn each(
        self,
        most: u64,
        take: &mut dyn FnMut(&[u8]) -> Result<(), EngineError>,
    ) -> Result<bool, EngineError> {
        let known: Vec<Known<'_>> = ready(self.bucket)
            .map(|(number, definition)| Known { number, definition })
            .collect();
        let plan = plan(self.request, &known, None).map_err(EngineError::Query)?;
        let Access::Index { number, .. } = &plan.access else {
            return Ok(false);
        };
        let index = known.iter().find(|known| known.number == *number);
        let mut run = Run {
            proof: self.proof,
            snapshot: self.snapshot,
            bucket: self.bucket,
            request: self.request,
            evaluator: Evaluator::new(self.request),
            plan: &plan,
            index: index.map(|known| known.definition),
            visible: self.proof.visible_prefixes(),
            now: self.now,
            budget: Budget::new(),
        };
        for (seen, row) in (0..).zip(self.rows(&plan)) {
            row?;
            if seen == most {
                return Ok(false);
            }
        }
        for row in self.rows(&plan) {
            if let Some(wanted) = run.wanted(row?)? {
                take(&wanted.text)?;
            }
        }
        Ok(true)
    }

    fn rows(&self, plan: &Plan) -> Rows<'_> {
        Rows::new(self.snapshot, self.bucket.id, &plan.access, None, None)
    }
}
