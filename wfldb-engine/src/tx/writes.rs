//! What a transaction is to write: for each key the last thing that was said, and behind it what has to come back when
//! it is rolled back to a savepoint. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use wfldb_core::auth::{Authorized, Charge};
use wfldb_core::id::{BucketId, ContentHash};
use wfldb_core::limits::{TX_BYTES_MAX, TX_SAVEPOINTS_MAX, TX_WRITES_MAX};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::ObjectHeaders;

use super::reads::KeyBounds;
use crate::error::EngineError;

/// What is to become of a key.
#[derive(Debug, Clone)]
pub(super) struct Write {
    /// Which of the transaction's writes it is, from 0.
    pub(super) place: usize,
    pub(super) action: WriteAction,
    /// The grant allows new keys only, or one did of what was said of this key before.
    pub(super) create_only: bool,
}

#[derive(Debug, Clone)]
pub(super) enum WriteAction {
    Put(Box<PendingPut>),
    Delete,
}

/// A version that is to be written.
#[derive(Debug, Clone)]
pub(super) struct PendingPut {
    pub(super) body: Bytes,
    pub(super) etag: ContentHash,
    pub(super) headers: ObjectHeaders,
    pub(super) charges: Vec<Charge>,
    /// In a bucket of documents: what the version is planned by, in the commit.
    pub(super) planned_by: Option<Arc<Authorized>>,
}

impl Write {
    fn weight(&self, object: &ObjectKey) -> usize {
        const ROW: usize = 512;
        let body = match &self.action {
            WriteAction::Put(put) => put.body.len() + headers_bytes(&put.headers),
            WriteAction::Delete => 0,
        };
        ROW + object.as_str().len() + body
    }
}

fn headers_bytes(headers: &ObjectHeaders) -> usize {
    let kept = [&headers.content_type, &headers.cache_control, &headers.expires];
    let kept: usize = kept.into_iter().flatten().map(|text| text.as_str().len()).sum();
    let meta: usize = headers
        .meta
        .iter()
        .map(|(name, value)| name.len() + value.as_str().len())
        .sum();
    let tags: usize = headers
        .tags
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    kept + meta + tags
}

type At = (BucketId, ObjectKey);

/// A place that writes can be rolled back to.
#[derive(Debug, Clone)]
struct Mark {
    /// `None`: where a nested transaction began.
    name: Option<String>,
    undo: usize,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct WriteSet {
    writes: BTreeMap<BucketId, BTreeMap<ObjectKey, Write>>,
    number: usize,
    /// What stood at a key before it was written, since the first mark.
    undo: Vec<(At, Option<Write>)>,
    marks: Vec<Mark>,
    bytes: usize,
    places: usize,
}

impl WriteSet {
    pub(super) fn is_empty(&self) -> bool {
        self.number == 0
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn at(&self, bucket: &BucketId, object: &ObjectKey) -> Option<&Write> {
        self.writes.get(bucket)?.get(object)
    }

    /// All of them, by bucket and key.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (&BucketId, &BTreeMap<ObjectKey, Write>)> {
        self.writes.iter().filter(|(_, writes)| !writes.is_empty())
    }

    /// Those of a range, by key.
    pub(super) fn between<'a>(
        &'a self,
        bucket: &BucketId,
        bounds: &KeyBounds,
    ) -> impl Iterator<Item = (&'a ObjectKey, &'a Write)> + use<'a> {
        let KeyBounds { from, to } = bounds.clone();
        let writes = self.writes.get(bucket).into_iter().flatten();
        writes.filter(move |(object, _)| {
            let object = object.as_str().as_bytes();
            object >= from.as_slice() && (to.is_empty() || object < to.as_slice())
        })
    }

    /// Says what is to become of a key, in place of what was said before.
    ///
    /// # Errors
    /// `TransactionLimit`; nothing is changed then.
    pub(super) fn write(
        &mut self,
        bucket: BucketId,
        object: ObjectKey,
        action: WriteAction,
        create_only: bool,
    ) -> Result<(), EngineError> {
        let at = (bucket, object);
        let before = self.at(&at.0, &at.1);
        let write = Write {
            place: self.places,
            action,
            create_only: create_only || before.is_some_and(|before| before.create_only),
        };
        if before.is_none() && self.number >= TX_WRITES_MAX {
            return Err(EngineError::TransactionLimit("writes"));
        }
        let freed = match before {
            Some(before) if self.marks.is_empty() => before.weight(&at.1),
            // It has to be kept for a roll-back.
            Some(_) | None => 0,
        };
        let bytes = self.bytes - freed.min(self.bytes) + write.weight(&at.1);
        // A key that is written again and again below a savepoint grows the undo log by what it had.
        if bytes > TX_BYTES_MAX || self.undo.len() >= 4 * TX_WRITES_MAX {
            return Err(EngineError::TransactionLimit("bytes"));
        }
        self.bytes = bytes;
        self.places += 1;
        let before = self.set(at.clone(), Some(write));
        if !self.marks.is_empty() {
            self.undo.push((at, before));
        }
        Ok(())
    }

    /// Puts a write in its place, or none, and answers what was there.
    fn set(&mut self, (bucket, object): At, write: Option<Write>) -> Option<Write> {
        let writes = self.writes.entry(bucket).or_default();
        let is_there = write.is_some();
        let before = match write {
            Some(write) => writes.insert(object, write),
            None => writes.remove(&object),
        };
        self.number = self.number + usize::from(is_there) - usize::from(before.is_some());
        before
    }

    /// Sets a savepoint. A name that is there already is hidden until it is gone.
    pub(super) fn savepoint(&mut self, name: Option<String>) -> Result<(), EngineError> {
        if self.marks.len() >= TX_SAVEPOINTS_MAX {
            return Err(EngineError::TransactionLimit("savepoints"));
        }
        let undo = self.undo.len();
        self.marks.push(Mark { name, undo });
        Ok(())
    }

    /// Takes back everything that was written since the newest savepoint of that name, which stays.
    ///
    /// # Errors
    /// `NoSuchSavepoint`, also where it was set outside of the nested transaction that asks.
    pub(super) fn roll_back_to(&mut self, name: &str) -> Result<(), EngineError> {
        let own = self.marks.iter().rposition(|mark| mark.name.is_none());
        let own = own.map_or(0, |frame| frame + 1);
        let mut marks = self.marks.iter().enumerate().skip(own);
        let found = marks.rfind(|(_, mark)| mark.name.as_deref() == Some(name));
        let Some((place, undo)) = found.map(|(place, mark)| (place, mark.undo)) else {
            return Err(EngineError::NoSuchSavepoint);
        };
        self.marks.truncate(place + 1);
        self.undo_to(undo);
        Ok(())
    }

    pub(super) fn is_nested(&self) -> bool {
        self.marks.iter().any(|mark| mark.name.is_none())
    }

    /// Ends the innermost nested transaction: what it wrote becomes its parent's, or is taken back.
    pub(super) fn end_nested(&mut self, keep: bool) {
        let Some(frame) = self.marks.iter().rposition(|mark| mark.name.is_none()) else {
            return;
        };
        let undo = self.marks.get(frame).map_or(0, |mark| mark.undo);
        self.marks.truncate(frame);
        if !keep {
            self.undo_to(undo);
        }
        if self.marks.is_empty() {
            let weight =
                |(at, before): &(At, Option<Write>)| before.as_ref().map_or(0, |it| it.weight(&at.1));
            let freed: usize = self.undo.iter().map(weight).sum();
            self.bytes -= freed.min(self.bytes);
            self.undo.clear();
        }
    }

    fn undo_to(&mut self, len: usize) {
        while self.undo.len() > len {
            let Some((at, before)) = self.undo.pop() else {
                return;
            };
            let now = self.set(at.clone(), before);
            let freed = now.map_or(0, |now| now.weight(&at.1));
            self.bytes -= freed.min(self.bytes);
        }
    }
}
