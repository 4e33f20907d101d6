//! What a transaction has read, as far as its commit has to hold it against what is there by then: names of buckets, keys
//! with the version that was seen or that there was none, and ranges with what was in them. Pure but for the rows that
//! it is held against.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use wfldb_core::id::{BucketId, VersionId};
use wfldb_core::limits::{TX_BUCKETS_MAX, TX_KEYS_READ_MAX, TX_KEYS_SCANNED_MAX, TX_RANGES_MAX};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::time::UnixMillis;

use crate::error::EngineError;
use crate::object::KeyRange;
use crate::row::{BucketCounters, ObjectRow, key};
use crate::storage::{Row, Snapshot, Space, StorageError, prefix_end};

/// Rows as somebody must see them: a snapshot, or one with writes above it.
pub(crate) trait View {
    /// The value at `key`.
    fn value(&self, space: Space, key: &Bytes) -> Result<Option<Bytes>, StorageError>;

    /// The rows with `from <= key < to` (`to` empty: to the end), in order.
    fn between(
        &self,
        space: Space,
        from: &Bytes,
        to: Vec<u8>,
    ) -> impl Iterator<Item = Result<Row, StorageError>>;
}

impl View for dyn Snapshot {
    fn value(&self, space: Space, key: &Bytes) -> Result<Option<Bytes>, StorageError> {
        self.get(space, key)
    }

    fn between(
        &self,
        space: Space,
        from: &Bytes,
        to: Vec<u8>,
    ) -> impl Iterator<Item = Result<Row, StorageError>> {
        self.range(space, from, &to, false)
    }
}

/// What was changed since a transaction read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// What the name stands for: the bucket was made or deleted.
    Bucket(BucketName),
    /// The newest version of the key.
    Key(BucketName, ObjectKey),
    /// Some key of a range, or whether it is there: `from` is what the range begins with.
    Range(BucketName, String),
}

impl fmt::Display for Changed {
    // For logs: without the names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bucket(_) => "a bucket",
            Self::Key(..) => "a key",
            Self::Range(..) => "a range",
        })
    }
}

impl From<Changed> for EngineError {
    fn from(changed: Changed) -> Self {
        Self::TransactionConflict(Box::new(changed))
    }
}

/// Bounds of object keys in a bucket: `from <= key < to`; `to` empty: no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyBounds {
    pub(super) from: Vec<u8>,
    pub(super) to: Vec<u8>,
}

impl From<KeyRange> for KeyBounds {
    fn from(KeyRange { from, to }: KeyRange) -> Self {
        Self { from, to }
    }
}

impl KeyBounds {
    /// The same as bounds of rows in `heads`.
    pub(super) fn rows(&self, bucket: &BucketId) -> (Bytes, Vec<u8>) {
        let bucket = key::of_bucket(bucket);
        let to = if self.to.is_empty() {
            prefix_end(&bucket)
        } else {
            [&bucket, self.to.as_slice()].concat()
        };
        ([&bucket, self.from.as_slice()].concat().into(), to)
    }
}

/// What was in a range.
#[derive(Debug, Clone)]
struct RangeRead {
    bounds: KeyBounds,
    keys: usize,
    seen: [u8; 32],
}

/// What stands in a range, in order, as one hash: each live key with its newest version.
#[derive(Default)]
pub(super) struct RangeSum {
    hash: blake3::Hasher,
    pub(super) keys: usize,
}

impl RangeSum {
    pub(super) fn add(&mut self, object: &ObjectKey, version: &VersionId) {
        let object = object.as_str().as_bytes();
        self.hash.update(&(object.len() as u64).to_be_bytes());
        self.hash.update(object);
        self.hash.update(&version.to_bytes());
        self.keys += 1;
    }

    fn seen(&self) -> [u8; 32] {
        *self.hash.finalize().as_bytes()
    }
}

/// What was read in one bucket.
#[derive(Debug, Clone)]
struct BucketReads {
    name: BucketName,
    /// The bucket's last change when it was read. While that is the last, nothing in it has changed.
    seq: u64,
    /// When the first of what was seen ends by itself, which is no change at that moment.
    expires: Option<UnixMillis>,
    keys: BTreeMap<ObjectKey, Option<VersionId>>,
    ranges: Vec<RangeRead>,
}

/// Everything that a transaction has read.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadSet {
    /// What names of buckets stood for.
    names: BTreeMap<BucketName, Option<BucketId>>,
    buckets: BTreeMap<BucketId, BucketReads>,
    keys: usize,
    ranges: usize,
    scanned: usize,
}

impl ReadSet {
    /// What a name stood for, if it was asked for.
    pub(super) fn bucket(&self, name: &BucketName) -> Option<&Option<BucketId>> {
        self.names.get(name)
    }

    /// The buckets that were asked for and are there.
    pub(super) fn names(&self) -> Vec<(BucketId, BucketName)> {
        let names = self.names.iter();
        names
            .filter_map(|(name, id)| Some(((*id)?, name.clone())))
            .collect()
    }

    /// Notes what a name stands for, and of a bucket its last change.
    pub(super) fn note_bucket(
        &mut self,
        name: &BucketName,
        found: Option<(BucketId, u64)>,
    ) -> Result<(), EngineError> {
        if self.names.len() >= TX_BUCKETS_MAX {
            return Err(EngineError::TransactionLimit("buckets"));
        }
        self.names.insert(name.clone(), found.map(|(id, _)| id));
        if let Some((id, seq)) = found {
            self.buckets.entry(id).or_insert_with(|| BucketReads {
                name: name.clone(),
                seq,
                expires: None,
                keys: BTreeMap::new(),
                ranges: Vec::new(),
            });
        }
        Ok(())
    }

    /// Notes which version of a key is the newest live one.
    ///
    /// # Errors
    /// A conflict when it was another one at an earlier look: something has ended in between.
    pub(super) fn note_key(
        &mut self,
        bucket: &BucketId,
        object: &ObjectKey,
        found: Option<&ObjectRow>,
    ) -> Result<(), EngineError> {
        let Some(reads) = self.buckets.get_mut(bucket) else {
            return Err(EngineError::NoSuchBucket);
        };
        let version = found.map(|row| row.version);
        if let Some(before) = reads.keys.get(object) {
            if *before == version {
                return Ok(());
            }
            return Err(Changed::Key(reads.name.clone(), object.clone()).into());
        }
        if self.keys >= TX_KEYS_READ_MAX {
            return Err(EngineError::TransactionLimit("keys read"));
        }
        self.keys += 1;
        reads.keys.insert(object.clone(), version);
        reads.note_end(found.and_then(ObjectRow::expires));
        Ok(())
    }

    /// How many keys of ranges can still be read.
    pub(super) fn scannable(&self) -> Result<usize, EngineError> {
        if self.ranges >= TX_RANGES_MAX || self.scanned >= TX_KEYS_SCANNED_MAX {
            return Err(EngineError::TransactionLimit("ranges"));
        }
        Ok(TX_KEYS_SCANNED_MAX - self.scanned)
    }

    /// Notes what was in a range, and when the first of it ends.
    pub(super) fn note_range(
        &mut self,
        bucket: &BucketId,
        bounds: KeyBounds,
        sum: &RangeSum,
        expires: Option<UnixMillis>,
    ) -> Result<(), EngineError> {
        let Some(reads) = self.buckets.get_mut(bucket) else {
            return Err(EngineError::NoSuchBucket);
        };
        self.ranges += 1;
        self.scanned += sum.keys;
        reads.note_end(expires);
        reads.ranges.push(RangeRead {
            bounds,
            keys: sum.keys,
            seen: sum.seen(),
        });
        Ok(())
    }

    /// About what it costs to hold it against the rows, in the terms of a plan's bytes.
    pub(crate) fn cost_bytes(&self) -> usize {
        const KEY: usize = 256;
        const SCANNED: usize = 32;
        (self.keys + self.ranges) * KEY + self.scanned * SCANNED
    }

    /// Whether everything that was read is so in `view` too, at time `at`.
    ///
    /// # Errors
    /// `TransactionConflict` with the first that is not.
    pub(crate) fn check<V: View + ?Sized>(&self, view: &V, at: UnixMillis) -> Result<(), EngineError> {
        for (name, seen) in &self.names {
            let found = view.value(Space::Meta, &key::bucket_name(name))?;
            if found.as_deref() != seen.as_ref().map(|id| id.as_bytes().as_slice()) {
                return Err(Changed::Bucket(name.clone()).into());
            }
        }
        for (bucket, reads) in &self.buckets {
            if !reads.is_unchanged(view, bucket, at)? {
                reads.check(view, bucket, at)?;
            }
        }
        Ok(())
    }

    /// Takes note of where the buckets stand in `view`, in which everything that was read is the same.
    pub(super) fn moved_to<V: View + ?Sized>(&mut self, view: &V) -> Result<(), EngineError> {
        for (bucket, reads) in &mut self.buckets {
            reads.seq = last_change(view, bucket)?.ok_or(EngineError::Corrupt("counters"))?;
        }
        Ok(())
    }
}

/// The number of a bucket's last change.
pub(super) fn last_change<V: View + ?Sized>(view: &V, bucket: &BucketId) -> Result<Option<u64>, EngineError> {
    let row = view.value(Space::Counters, &key::bucket_counters(bucket))?;
    Ok(row
        .map(|row| BucketCounters::decode(&row))
        .transpose()?
        .map(|counters| counters.seq))
}

impl BucketReads {
    fn note_end(&mut self, expires: Option<UnixMillis>) {
        self.expires = match (self.expires, expires) {
            (Some(known), Some(other)) => Some(known.min(other)),
            (known, other) => known.or(other),
        };
    }

    /// Whether nothing at all has changed in the bucket: then no row has to be looked at.
    fn is_unchanged<V: View + ?Sized>(
        &self,
        view: &V,
        bucket: &BucketId,
        at: UnixMillis,
    ) -> Result<bool, EngineError> {
        let ended = self.expires.is_some_and(|expires| expires <= at);
        Ok(!ended && last_change(view, bucket)? == Some(self.seq))
    }

    fn check<V: View + ?Sized>(
        &self,
        view: &V,
        bucket: &BucketId,
        at: UnixMillis,
    ) -> Result<(), EngineError> {
        for (object, seen) in &self.keys {
            let row = view.value(Space::Heads, &key::head(bucket, object))?;
            let row = row.map(|row| ObjectRow::decode(&row)).transpose()?;
            let found = row.filter(|row| row.is_live(at)).map(|row| row.version);
            if found != *seen {
                return Err(Changed::Key(self.name.clone(), object.clone()).into());
            }
        }
        for range in &self.ranges {
            if !range.is_as_seen(view, bucket, at)? {
                let from = String::from_utf8_lossy(&range.bounds.from).into_owned();
                return Err(Changed::Range(self.name.clone(), from).into());
            }
        }
        Ok(())
    }
}

impl RangeRead {
    fn is_as_seen<V: View + ?Sized>(
        &self,
        view: &V,
        bucket: &BucketId,
        at: UnixMillis,
    ) -> Result<bool, EngineError> {
        let (from, to) = self.bounds.rows(bucket);
        let mut sum = RangeSum::default();
        let mut over = 0;
        for row in view.between(Space::Heads, &from, to) {
            let (row_key, row) = row?;
            let row = ObjectRow::decode(&row)?;
            if !row.is_live(at) {
                // What has ended is soon removed. A range full of it is not walked here.
                over += 1;
                if over > TX_KEYS_SCANNED_MAX {
                    return Ok(false);
                }
                continue;
            }
            sum.add(&key::key_of_head(&row_key)?, &row.version);
            if sum.keys > self.keys {
                return Ok(false);
            }
        }
        Ok(sum.keys == self.keys && sum.seen() == self.seen)
    }
}
