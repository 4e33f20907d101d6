//! What scores are computed from, for a caller that may see a part of a bucket only.
//!
//! SECURITY: a score says how rare a word is. Counted over the whole bucket it would tell a caller what documents
//! hold that it may not see: it stores one with a word, and reads from the score how many others have that word. So
//! it is counted over what the caller may see, and deleted documents that are still in the index count for nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use tantivy::query::{
    Bm25StatisticsProvider, BooleanQuery, ConstScoreQuery, EnableScoring, Query as Compiled, RangeQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet, Searcher, SegmentReader, TERMINATED, TantivyError, Term};
use wfldb_core::name::KeyPrefix;

use crate::compile::end_of;
use crate::schema::Layout;

/// The documents below these prefixes: a filter that adds nothing to scores.
pub(crate) fn below(prefixes: &[KeyPrefix], layout: &Layout) -> Box<dyn Compiled> {
    let ranges = prefixes.iter().map(|prefix| {
        let bytes = prefix.as_str().as_bytes();
        let from = Bound::Included(Term::from_field_bytes(layout.key, bytes));
        let to = match end_of(bytes) {
            Some(end) => Bound::Excluded(Term::from_field_bytes(layout.key, &end)),
            None => Bound::Unbounded,
        };
        Box::new(RangeQuery::new(from, to)) as Box<dyn Compiled>
    });
    Box::new(ConstScoreQuery::new(
        Box::new(BooleanQuery::union(ranges.collect())),
        0.0,
    ))
}

/// Counted over a part of the documents.
pub(crate) struct Restricted {
    pub(crate) documents: u64,
    words: BTreeMap<Field, u64>,
    frequencies: BTreeMap<Term, u64>,
}

impl Restricted {
    /// Counts over the documents that `filter` lets through.
    pub(crate) fn count(
        searcher: &Searcher,
        filter: &dyn Compiled,
        layout: &Layout,
        scored: &BTreeSet<Term>,
    ) -> Result<Self, TantivyError> {
        let mut counted = Self {
            documents: 0,
            words: BTreeMap::new(),
            frequencies: scored.iter().map(|term| (term.clone(), 0)).collect(),
        };
        let weight = filter.weight(EnableScoring::disabled_from_searcher(searcher))?;
        for segment in searcher.segment_readers() {
            let mut seen = vec![false; usize::try_from(segment.max_doc()).unwrap_or_default()];
            let mut documents = weight.scorer(segment, 0.0)?;
            let mut document = documents.doc();
            while document != TERMINATED {
                if let Some(seen) = usize::try_from(document).ok().and_then(|at| seen.get_mut(at)) {
                    *seen = !segment.is_deleted(document);
                }
                document = documents.advance();
            }
            counted.add(segment, layout, &seen)?;
        }
        Ok(counted)
    }

    fn add(&mut self, segment: &SegmentReader, layout: &Layout, seen: &[bool]) -> Result<(), TantivyError> {
        let documents = || (0..segment.max_doc()).zip(seen).filter(|(_, seen)| **seen);
        self.documents += documents().count() as u64;
        for field in &layout.texts {
            let lengths = segment.get_fieldnorms_reader(*field)?;
            let words: u64 = documents()
                .map(|(document, _)| u64::from(lengths.fieldnorm(document)))
                .sum();
            *self.words.entry(*field).or_default() += words;
        }
        for (term, count) in &mut self.frequencies {
            let inverted = segment.inverted_index(term.field())?;
            let Some(mut postings) = inverted.read_postings(term, IndexRecordOption::Basic)? else {
                continue;
            };
            let mut document = postings.doc();
            while document != TERMINATED {
                let seen = usize::try_from(document).ok().and_then(|at| seen.get(at));
                *count += u64::from(seen == Some(&true));
                document = postings.advance();
            }
        }
        Ok(())
    }
}

impl Bm25StatisticsProvider for Restricted {
    fn total_num_tokens(&self, field: Field) -> tantivy::Result<u64> {
        Ok(self.words.get(&field).copied().unwrap_or_default())
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.documents)
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        Ok(self.frequencies.get(term).copied().unwrap_or_default())
    }
}
