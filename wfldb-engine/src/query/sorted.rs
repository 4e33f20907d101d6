//! An order that no index gives: all that is wanted is looked at, and as much is held as the answer needs.

use std::collections::BinaryHeap;

use bytes::Bytes;
use wfldb_core::id::VersionId;
use wfldb_core::limits::{BOOKMARK_POSITION_BYTES_MAX, FIND_SORT_BYTES_MAX};
use wfldb_core::name::ObjectKey;

use super::budget::UsedUp;
use super::rows::Rows;
use super::run::{Page, Run, Wanted};
use super::{FindPosition, Found};
use crate::error::EngineError;
use crate::row::{ObjectRow, key};
use crate::storage::Space;

/// A document that a search of the full text found.
#[derive(Clone, Debug)]
pub struct TextMatch {
    /// Its key.
    pub key: ObjectKey,
    /// The version that was found: another one may be current since.
    pub version: VersionId,
    /// How well it matches: larger is better.
    pub score: f32,
}

/// The first of what was added, as many as fit.
struct First {
    most: usize,
    bytes: usize,
    held: BinaryHeap<(Vec<u8>, ObjectKey)>,
    /// Something was added that is not held any more.
    more: bool,
}

impl First {
    fn new(most: usize) -> Self {
        Self {
            most,
            bytes: 0,
            held: BinaryHeap::new(),
            more: false,
        }
    }

    fn add(&mut self, by: Vec<u8>, object: ObjectKey) -> Result<(), EngineError> {
        self.bytes += by.len() + object.as_str().len();
        self.held.push((by, object));
        if self.held.len() > self.most {
            self.more = true;
            if let Some((by, object)) = self.held.pop() {
                self.bytes -= by.len() + object.as_str().len();
            }
        }
        if self.bytes > FIND_SORT_BYTES_MAX {
            return Err(EngineError::OverBudget);
        }
        Ok(())
    }
}

impl Run<'_> {
    /// The documents in the order of the request; equal ones in that of their keys.
    pub(super) fn sorted(&mut self, from: Option<&FindPosition>) -> Result<Found, EngineError> {
        let mut first = First::new(self.passed_over(from).saturating_add(self.request.limit));
        let mut count = 0;
        let (snapshot, bucket, plan) = (self.snapshot, self.bucket.id, self.plan);
        for row in Rows::new(snapshot, bucket, &plan.access, self.visible.as_deref(), None) {
            let row = row?;
            if self.budget.row() == Err(UsedUp) {
                return Err(EngineError::OverBudget);
            }
            let object = row.object.clone();
            let Some(wanted) = self.wanted(row)? else { continue };
            count += 1;
            let by = self.evaluator.sort_key(&wanted.text);
            if is_behind(&by, &object, from) {
                first.add(by, object)?;
            }
        }
        self.page(first, count, from)
    }

    /// The documents among those that a search of the full text found: in the order of the request, or else the best
    /// match first.
    pub(super) fn matching(
        &mut self,
        matches: &[TextMatch],
        from: Option<&FindPosition>,
    ) -> Result<Found, EngineError> {
        let mut first = First::new(self.passed_over(from).saturating_add(self.request.limit));
        let mut count = 0;
        for found in matches {
            if self.budget.row() == Err(UsedUp) {
                return Err(EngineError::OverBudget);
            }
            // SECURITY: whoever searched may have seen more than this caller.
            if !self.proof.sees_key(&found.key) {
                continue;
            }
            let Some(text) = self.as_found(found)? else {
                continue;
            };
            count += 1;
            let by = if self.request.sort.is_empty() {
                best_first(found.score).to_vec()
            } else {
                self.evaluator.sort_key(&text)
            };
            if is_behind(&by, &found.key, from) {
                first.add(by, found.key.clone())?;
            }
        }
        self.page(first, count, from)
    }

    /// The document that a search found, if it is still that version and the rest of the selector wants it.
    fn as_found(&mut self, found: &TextMatch) -> Result<Option<Bytes>, EngineError> {
        let head = self
            .snapshot
            .get(Space::Heads, &key::head(&self.bucket.id, &found.key))?;
        let Some(head) = head else { return Ok(None) };
        let head = ObjectRow::decode(&head)?;
        if head.version != found.version || !head.is_live(self.now) {
            return Ok(None);
        }
        let text = self.read(&head)?;
        Ok(self.evaluator.matches(&text).then_some(text))
    }

    fn passed_over(&self, from: Option<&FindPosition>) -> usize {
        if from.is_some() { 0 } else { self.request.skip }
    }

    /// The page of what comes first.
    fn page(&mut self, first: First, count: u64, from: Option<&FindPosition>) -> Result<Found, EngineError> {
        let skip = self.passed_over(from);
        let mut page = Page::default();
        let mut found = Found::default();
        let mut last = None;
        let mut more = first.more;
        for (by, object) in first.held.into_sorted_vec().into_iter().skip(skip) {
            if page.is_full(self.request) {
                more = true;
                break;
            }
            let row = self.head(&object)?;
            let text = self.read(&row)?;
            page.add(&self.evaluator, &Wanted { row, text });
            let key = object.as_str().as_bytes().to_vec();
            last = Some(FindPosition::Sorted { by, key });
        }
        found.next = last.filter(|_| more);
        // It has to come back in a body of bounded size.
        if found
            .next
            .as_ref()
            .is_some_and(|next| next.to_bytes().len() > BOOKMARK_POSITION_BYTES_MAX)
        {
            return Err(EngineError::OverBudget);
        }
        found.count = self.request.count.then_some(count);
        found.documents = page.documents;
        Ok(found)
    }
}

/// Bytes that compare as scores do, the larger first.
fn best_first(score: f32) -> [u8; 4] {
    let bits = score.to_bits();
    let ascending = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    (!ascending).to_be_bytes()
}

fn is_behind(by: &[u8], object: &ObjectKey, from: Option<&FindPosition>) -> bool {
    match from {
        Some(FindPosition::Sorted { by: last, key }) => {
            (by, object.as_str().as_bytes()) > (last.as_slice(), key.as_slice())
        }
        _ => true,
    }
}
