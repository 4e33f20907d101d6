//! Ranges of keys as a transaction sees them: the heads of its snapshot, with what it is to write among them.

use wfldb_core::auth::{Authorized, Op};
use wfldb_core::id::{BucketId, ContentHash, VersionId};
use wfldb_core::limits::SCAN_LIMIT_MAX;
use wfldb_core::name::{KeyPrefix, ObjectKey};

use super::Transaction;
use super::reads::{KeyBounds, RangeSum};
use super::writes::WriteAction;
use crate::bucket::{admits, bucket_of};
use crate::error::EngineError;
use crate::object::visible_ranges;
use crate::row::{ObjectRow, key};
use crate::storage::Space;

/// Which keys to list, in order.
#[derive(Debug, Clone)]
pub struct TxRange {
    /// Only keys that begin with this.
    pub prefix: KeyPrefix,
    /// Only keys behind this.
    pub after: Option<String>,
    /// Only keys before this.
    pub before: Option<String>,
    /// At most so many: 1 to 1000.
    pub limit: usize,
}

impl Default for TxRange {
    fn default() -> Self {
        Self {
            prefix: KeyPrefix::all(),
            after: None,
            before: None,
            limit: SCAN_LIMIT_MAX,
        }
    }
}

/// One key of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxKey {
    /// The key.
    pub key: ObjectKey,
    /// Its newest version; `None` of what the transaction itself is to write.
    pub version: Option<VersionId>,
    /// BLAKE3 of the stored bytes; `None` of a document that is still to be made.
    pub etag: Option<ContentHash>,
    /// Length in bytes.
    pub len: u64,
}

/// Keys of a range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TxPage {
    /// In order.
    pub items: Vec<TxKey>,
    /// The limit was reached: whoever goes on behind the last key may find more.
    pub more: bool,
}

impl Transaction {
    /// The keys of a range of the bucket that `proof` (for `list`) names, as far as it lets its holder see them. What was in
    /// the range, as far as it was walked, is part of what the transaction has read: keys that others add to it are
    /// noticed.
    ///
    /// # Errors
    /// `NoSuchBucket`; `TransactionLimit` when the ranges of the transaction hold too many keys.
    pub fn scan(&mut self, proof: &Authorized, range: &TxRange) -> Result<TxPage, EngineError> {
        self.check_owner(proof)?;
        let name = bucket_of(proof, Op::List)?;
        let bucket = self.bucket(name)?;
        admits(&bucket, proof)?;
        let limit = range.limit.clamp(1, SCAN_LIMIT_MAX);
        let mut page = TxPage::default();
        for bounds in visible_ranges(proof, &range.prefix) {
            let Some(bounds) = cut(bounds.into(), range) else {
                continue;
            };
            self.walk(&bucket.id, bounds, limit, &mut page)?;
            if page.more {
                break;
            }
        }
        Ok(page)
    }

    /// Adds what a range holds to the page, and notes what was seen of it.
    fn walk(
        &mut self,
        bucket: &BucketId,
        mut bounds: KeyBounds,
        limit: usize,
        page: &mut TxPage,
    ) -> Result<(), EngineError> {
        let budget = self.reads.scannable()?;
        let now = self.inner.now();
        let (from, to) = bounds.rows(bucket);
        let mut rows = self.snapshot.range(Space::Heads, &from, &to, false);
        let mut own = self.writes.between(bucket, &bounds).peekable();
        let mut sum = RangeSum::default();
        let mut expires = None;
        let mut next_row = || -> Result<Option<(ObjectKey, ObjectRow)>, EngineError> {
            loop {
                let Some(row) = rows.next().transpose()? else {
                    return Ok(None);
                };
                let found = (key::key_of_head(&row.0)?, ObjectRow::decode(&row.1)?);
                if found.1.is_live(now) {
                    return Ok(Some(found));
                }
            }
        };
        let mut row = next_row()?;
        while page.items.len() < limit {
            let own_first = match (&row, own.peek()) {
                (None, None) => break,
                (Some((object, _)), Some((written, _))) => *written <= object,
                (row, _) => row.is_none(),
            };
            let mut item = None;
            if own_first {
                let Some((object, write)) = own.next() else { break };
                if let WriteAction::Put(put) = &write.action {
                    item = Some(TxKey {
                        key: object.clone(),
                        version: None,
                        etag: put.planned_by.is_none().then_some(put.etag),
                        len: put.body.len() as u64,
                    });
                }
                if row.as_ref().is_none_or(|(found, _)| found != object) {
                    page.items.extend(item);
                    continue;
                }
            }
            // A row that is hidden by a write of the transaction's own was looked at all the same.
            let Some((object, found)) = row.take() else { break };
            if sum.keys >= budget {
                return Err(EngineError::TransactionLimit("ranges"));
            }
            sum.add(&object, &found.version);
            expires = match (expires, found.expires()) {
                (Some(known), Some(other)) if known <= other => Some(known),
                (known, other) => other.or(known),
            };
            if own_first {
                page.items.extend(item);
            } else {
                page.items.push(TxKey {
                    version: Some(found.version),
                    etag: Some(found.etag),
                    len: found.len,
                    key: object,
                });
            }
            row = next_row()?;
        }
        drop(rows);
        if page.items.len() >= limit {
            page.more = true;
            // What lies behind the last key of the page was not seen.
            if let Some(last) = page.items.last() {
                bounds.to = [last.key.as_str().as_bytes(), &[0]].concat();
            }
        }
        self.reads.note_range(bucket, bounds, &sum, expires)
    }
}

/// What of a range lies between `after` and `before`; `None`: nothing.
fn cut(mut bounds: KeyBounds, range: &TxRange) -> Option<KeyBounds> {
    if let Some(after) = &range.after {
        let behind = [after.as_bytes(), &[0]].concat();
        bounds.from = behind.max(bounds.from);
    }
    if let Some(before) = &range.before
        && (bounds.to.is_empty() || before.as_bytes() < bounds.to.as_slice())
    {
        bounds.to = before.as_bytes().to_vec();
        if bounds.to.is_empty() {
            return None;
        }
    }
    (bounds.to.is_empty() || bounds.from < bounds.to).then_some(bounds)
}
