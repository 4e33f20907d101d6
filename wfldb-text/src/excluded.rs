//! What a search excludes. tantivy asks an excluded clause about documents that lie before the one where the clause
//! already is, which its phrases do not expect (an assertion of theirs fails); here such a question is answered without
//! asking.

use tantivy::query::{EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::{DocId, DocSet, Score, SeekDangerResult, SegmentReader, Term};

/// A query that is excluded.
#[derive(Debug)]
pub(crate) struct Excluded(pub(crate) Box<dyn Query>);

impl Clone for Excluded {
    fn clone(&self) -> Self {
        Self(self.0.box_clone())
    }
}

impl Query for Excluded {
    fn weight(&self, scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(ExcludedWeight(self.0.weight(scoring)?)))
    }

    fn query_terms<'a>(&'a self, visitor: &mut dyn FnMut(&'a Term, bool)) {
        self.0.query_terms(visitor);
    }
}

struct ExcludedWeight(Box<dyn Weight>);

impl Weight for ExcludedWeight {
    fn scorer(&self, segment: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let inner = self.0.scorer(segment, boost)?;
        Ok(Box::new(ExcludedScorer {
            at_least: inner.doc(),
            inner,
        }))
    }

    fn explain(&self, segment: &SegmentReader, document: DocId) -> tantivy::Result<Explanation> {
        self.0.explain(segment, document)
    }
}

struct ExcludedScorer {
    inner: Box<dyn Scorer>,
    /// No document before this one matches that was not answered already.
    at_least: DocId,
}

impl DocSet for ExcludedScorer {
    fn advance(&mut self) -> DocId {
        self.at_least = self.inner.advance();
        self.at_least
    }

    fn seek(&mut self, target: DocId) -> DocId {
        self.at_least = self.inner.seek(target);
        self.at_least
    }

    fn seek_danger(&mut self, target: DocId) -> SeekDangerResult {
        if target < self.at_least {
            return SeekDangerResult::SeekLowerBound(self.at_least);
        }
        let found = self.inner.seek_danger(target);
        self.at_least = match &found {
            SeekDangerResult::Found => target,
            SeekDangerResult::SeekLowerBound(bound) => *bound,
        };
        found
    }

    fn doc(&self) -> DocId {
        self.inner.doc()
    }

    fn size_hint(&self) -> u32 {
        self.inner.size_hint()
    }
}

impl Scorer for ExcludedScorer {
    fn score(&mut self) -> Score {
        self.inner.score()
    }
}
