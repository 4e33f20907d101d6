//! Running a search: from the words to the keys that have them, best first. Whether a hit still is what the index
//! says, and whether the caller may see it, is asked by who calls.

use tantivy::collector::TopDocs;
use tantivy::collector::sort_key::{SortByBytes, SortBySimilarityScore};
use tantivy::query::{BooleanQuery, Occur, Query as Compiled};
use tantivy::{DocAddress, Order, Searcher};
use wfldb_core::id::VersionId;
use wfldb_core::name::{KeyPrefix, ObjectKey};

use crate::compile::Plan;
use crate::error::TextViewError;
use crate::index::Searchable;
use crate::schema::{KEY, VERSION_HIGH, VERSION_LOW, version};
use crate::statistics::{Restricted, below};

/// A hit with what it is ordered by: its score, then its key.
type Found = ((f32, Option<Vec<u8>>), DocAddress);

/// What an index says of a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hit {
    pub(crate) key: ObjectKey,
    pub(crate) version: VersionId,
    pub(crate) score: f32,
}

/// The `limit` best hits below the prefixes (`None`: all of the bucket), equal scores by key.
pub(crate) fn hits(
    searchable: &Searchable,
    searcher: &Searcher,
    plan: &Plan,
    prefixes: Option<&[KeyPrefix]>,
    limit: usize,
) -> Result<Vec<Hit>, TextViewError> {
    let best = TopDocs::with_limit(limit).order_by((
        (SortBySimilarityScore, Order::Desc),
        (SortByBytes::for_field(KEY), Order::Asc),
    ));
    let layout = &searchable.layout;
    let found: Vec<Found> = match prefixes {
        None => searcher.search(&plan.query, &best)?,
        Some(prefixes) => {
            let filter = below(prefixes, layout);
            let counted = Restricted::count(searcher, &*filter, layout, &plan.scored)?;
            if counted.documents == 0 {
                return Ok(Vec::new());
            }
            let clauses: Vec<(Occur, Box<dyn Compiled>)> =
                vec![(Occur::Must, plan.query.box_clone()), (Occur::Must, filter)];
            searcher.search_with_statistics_provider(&BooleanQuery::new(clauses), &best, &counted)?
        }
    };
    let mut hits = Vec::with_capacity(found.len());
    for ((score, key), address) in found {
        let columns = searcher.segment_reader(address.segment_ord).fast_fields();
        let half = |name| -> Result<u64, TextViewError> {
            let column = columns.u64(name)?;
            column.first(address.doc_id).ok_or_else(damaged)
        };
        let key = key
            .and_then(|key| String::from_utf8(key).ok())
            .ok_or_else(damaged)?;
        hits.push(Hit {
            key: ObjectKey::parse(&key).map_err(|_| damaged())?,
            version: version(half(VERSION_HIGH)?, half(VERSION_LOW)?),
            score,
        });
    }
    Ok(hits)
}

fn damaged() -> TextViewError {
    TextViewError::Index("a row of it is not what was written".to_owned())
}
