//! From a row to a document that is wanted, and the walk in the order of the rows.

use std::cmp::Ordering;

use bytes::Bytes;
use wfldb_core::auth::Authorized;
use wfldb_core::index::IndexDefinition;
use wfldb_core::limits::FIND_ANSWER_BYTES_MAX;
use wfldb_core::name::{KeyPrefix, ObjectKey};
use wfldb_core::query::{Access, Evaluator, FindRequest, Plan};
use wfldb_core::time::UnixMillis;

use super::budget::{Budget, UsedUp};
use super::rows::{Row, RowOf, Rows};
use super::{FindPosition, Found};
use crate::error::EngineError;
use crate::object::inline_body;
use crate::row::{BucketRow, ObjectRow, key};
use crate::storage::{Snapshot, Space};

/// A question at work.
pub(super) struct Run<'a> {
    pub(super) proof: &'a Authorized,
    pub(super) snapshot: &'a dyn Snapshot,
    pub(super) bucket: &'a BucketRow,
    pub(super) request: &'a FindRequest,
    pub(super) evaluator: Evaluator<'a>,
    pub(super) plan: &'a Plan,
    /// The index that the plan walks.
    pub(super) index: Option<&'a IndexDefinition>,
    pub(super) visible: Option<Vec<KeyPrefix>>,
    pub(super) now: UnixMillis,
    pub(super) budget: Budget,
}

/// A document that is wanted.
pub(super) struct Wanted {
    pub(super) row: ObjectRow,
    /// The stored text.
    pub(super) text: Bytes,
}

/// A page that is being filled.
#[derive(Default)]
pub(super) struct Page {
    pub(super) documents: Vec<Vec<u8>>,
    bytes: usize,
}

impl Page {
    /// Whether another document has no place.
    pub(super) fn is_full(&self, request: &FindRequest) -> bool {
        self.documents.len() >= request.limit || self.bytes >= FIND_ANSWER_BYTES_MAX
    }

    /// Adds a document as it is answered.
    pub(super) fn add(&mut self, evaluator: &Evaluator<'_>, wanted: &Wanted) {
        let Wanted { row, text } = wanted;
        self.bytes = self
            .bytes
            .saturating_add(usize::try_from(row.len).unwrap_or(usize::MAX));
        self.documents
            .push(evaluator.answer(text, row.signature.as_ref()));
    }
}

impl Run<'_> {
    /// The documents in the order of the rows.
    pub(super) fn in_order(&mut self, from: Option<&FindPosition>) -> Result<Found, EngineError> {
        let place = from.and_then(FindPosition::place);
        // Who counts looks at all rows, and passes over those that were answered.
        let (after, passed) = if self.request.count {
            (None, place)
        } else {
            (place, None)
        };
        let mut skip = if from.is_some() { 0 } else { self.request.skip };
        let mut page = Page::default();
        let mut found = Found::default();
        let mut count = 0;
        let mut last = None;
        let (snapshot, bucket, plan) = (self.snapshot, self.bucket.id, self.plan);
        for row in Rows::new(snapshot, bucket, &plan.access, self.visible.as_deref(), after) {
            let row = row?;
            if page.is_full(self.request) && !self.request.count {
                found.next = last.filter(|_| self.request.limit > 0);
                break;
            }
            if self.budget.row() == Err(UsedUp) {
                // What was passed over and counted so far would be lost.
                if skip > 0 || self.request.count || last.is_none() {
                    return Err(EngineError::OverBudget);
                }
                found.next = last;
                break;
            }
            let position = self.position(&row);
            let again = passed.is_some_and(|passed| self.is_before(&row.place, passed));
            if let Some(wanted) = self.wanted(row)? {
                count += 1;
                if again {
                    continue;
                }
                if skip > 0 {
                    skip -= 1;
                } else if page.is_full(self.request) {
                    found.next = found
                        .next
                        .or_else(|| last.clone())
                        .filter(|_| self.request.limit > 0);
                } else {
                    page.add(&self.evaluator, &wanted);
                    last = Some(position);
                    continue;
                }
            }
            if !page.is_full(self.request) {
                last = Some(position);
            }
        }
        found.count = self.request.count.then_some(count);
        found.documents = page.documents;
        Ok(found)
    }

    fn position(&self, row: &Row) -> FindPosition {
        match &self.plan.access {
            Access::Documents { .. } => FindPosition::Document(row.place.clone()),
            Access::Index { number, .. } => FindPosition::Entry {
                index: *number,
                place: row.place.clone(),
            },
        }
    }

    /// Whether a row comes before another one, or is it.
    fn is_before(&self, place: &[u8], other: &[u8]) -> bool {
        let (Access::Documents { reverse, .. } | Access::Index { reverse, .. }) = &self.plan.access;
        match place.cmp(other) {
            Ordering::Equal => true,
            Ordering::Less => !reverse,
            Ordering::Greater => *reverse,
        }
    }

    /// The document of a row, if it is wanted and this row is the one that stands for it.
    pub(super) fn wanted(&mut self, row: Row) -> Result<Option<Wanted>, EngineError> {
        let whole = matches!(self.plan.access, Access::Index { whole: true, .. });
        let (head, entry) = match row.of {
            RowOf::Head(head) => (*head, None),
            RowOf::Entry(entry) if whole && entry.elements != 0 => return Ok(None),
            RowOf::Entry(entry) => {
                // SECURITY: an index has the documents of the whole bucket.
                if !self.proof.sees_key(&row.object) {
                    return Ok(None);
                }
                (self.head(&row.object)?, Some(entry))
            }
        };
        if !head.is_live(self.now) {
            return Ok(None);
        }
        let text = self.read(&head)?;
        if !self.evaluator.matches(&text) {
            return Ok(None);
        }
        if entry.is_some() && !whole && !self.is_first(&row.object, &row.place, &text)? {
            return Ok(None);
        }
        Ok(Some(Wanted { row: head, text }))
    }

    /// INVARIANT 2: an entry goes with the head that has it.
    pub(super) fn head(&self, object: &ObjectKey) -> Result<ObjectRow, EngineError> {
        let head = self
            .snapshot
            .get(Space::Heads, &key::head(&self.bucket.id, object))?;
        let head = head.ok_or(EngineError::Corrupt("index entry"))?;
        Ok(ObjectRow::decode(&head)?)
    }

    /// The text of a stored document.
    pub(super) fn read(&mut self, head: &ObjectRow) -> Result<Bytes, EngineError> {
        let text = inline_body(self.snapshot, &self.bucket.id, head)?;
        self.budget.document(text.len());
        Ok(text)
    }

    /// Whether an entry is the first one of its document within the ranges, in the direction of the walk.
    fn is_first(&self, object: &ObjectKey, place: &[u8], text: &[u8]) -> Result<bool, EngineError> {
        let (Some(index), Access::Index { ranges, reverse, .. }) = (self.index, &self.plan.access) else {
            return Ok(true);
        };
        let document = serde_json::from_slice(text).map_err(|_| EngineError::Corrupt("document"))?;
        let entries = index
            .entries(&document)
            .map_err(|_| EngineError::Corrupt("index entry"))?;
        let mut places: Vec<Vec<u8>> = entries.iter().map(|entry| entry.key(object)).collect();
        places.retain(|place| {
            ranges
                .iter()
                .any(|range| range.from <= *place && (range.to.is_empty() || *place < range.to))
        });
        let first = if *reverse {
            places.iter().max()
        } else {
            places.iter().min()
        };
        Ok(first.is_some_and(|first| first.as_slice() == place))
    }
}
