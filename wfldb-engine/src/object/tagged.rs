//! The rows behind a listing: all heads of a range of keys, or those that have some tags, found by the index.

use bytes::Bytes;
use wfldb_core::id::BucketId;
use wfldb_core::name::ObjectKey;
use wfldb_core::object::Tags;

use crate::error::EngineError;
use crate::row::{ObjectRow, key};
use crate::storage::{Rows, Snapshot, Space, StorageError, prefix_end};

/// Keys that one page of a listing by tags looks at, at most: a page can be short, its cursor goes on.
const EXAMINED_MAX: usize = 10_000;

/// What the next row of a listing is.
pub(super) enum Found {
    Head(ObjectKey, Box<ObjectRow>),
    /// Enough was looked at; the listing goes on behind this key.
    Pause(ObjectKey),
}

/// The heads of the keys `from <= key < to` of a bucket (`to` empty: no end), in order.
pub(super) enum Heads<'a> {
    All(Rows<'a>),
    Tagged(Tagged<'a>),
}

impl<'a> Heads<'a> {
    pub(super) fn new(
        snapshot: &'a dyn Snapshot,
        bucket: &BucketId,
        tags: &'a Tags,
        (from, to): (&[u8], &[u8]),
        reverse: bool,
    ) -> Self {
        if tags.is_empty() {
            let (from, to) = bounds(&key::of_bucket(bucket), from, to);
            return Self::All(snapshot.range(Space::Heads, &from, &to, reverse));
        }
        Self::Tagged(Tagged {
            snapshot,
            bucket: *bucket,
            wanted: tags
                .iter()
                .map(|(name, value)| ((name, value), key::tagged(bucket, name, value)))
                .collect(),
            from: from.to_vec(),
            to: to.to_vec(),
            reverse,
            stream: None,
            examined: 0,
        })
    }

    pub(super) fn next(&mut self) -> Result<Option<Found>, EngineError> {
        match self {
            Self::All(rows) => {
                let Some(row) = rows.next() else {
                    return Ok(None);
                };
                let (row_key, row) = row?;
                Ok(Some(Found::Head(
                    key::key_of_head(&row_key)?,
                    Box::new(ObjectRow::decode(&row)?),
                )))
            }
            Self::Tagged(tagged) => tagged.next(),
        }
    }
}

/// Bounds of rows from bounds of what stands behind their common prefix.
fn bounds(prefix: &[u8], from: &[u8], to: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let to = if to.is_empty() {
        prefix_end(prefix)
    } else {
        [prefix, to].concat()
    };
    ([prefix, from].concat(), to)
}

/// Keys that have all of the tags: one tag's keys are walked, and where another tag is missing, the walk leaps to the
/// next key that has that one.
pub(super) struct Tagged<'a> {
    snapshot: &'a dyn Snapshot,
    bucket: BucketId,
    /// The tags, with what their rows begin with; not empty.
    wanted: Vec<((&'a str, &'a str), Bytes)>,
    from: Vec<u8>,
    to: Vec<u8>,
    reverse: bool,
    stream: Option<Rows<'a>>,
    examined: usize,
}

impl Tagged<'_> {
    fn next(&mut self) -> Result<Option<Found>, EngineError> {
        loop {
            let Some(object) = self.candidate()? else {
                return Ok(None);
            };
            if self.examined == EXAMINED_MAX {
                return Ok(Some(Found::Pause(object)));
            }
            self.examined += 1;
            let head = self
                .snapshot
                .get(Space::Heads, &key::head(&self.bucket, &object))?;
            // INVARIANT 2: a tag's row goes with the head that has it.
            let head = ObjectRow::decode(&head.ok_or(EngineError::Corrupt("tag"))?)?;
            let has = |wanted: &(&str, &str)| head.headers.tags.iter().any(|tag| tag == *wanted);
            let missing = self.wanted.iter().find(|(tag, _)| !has(tag));
            let Some((_, prefix)) = missing else {
                return Ok(Some(Found::Head(object, Box::new(head))));
            };
            let prefix = prefix.clone();
            if !self.leap(&prefix, &object)? {
                return Ok(None);
            }
        }
    }

    /// The next key of the first tag.
    fn candidate(&mut self) -> Result<Option<ObjectKey>, EngineError> {
        let Some((_, prefix)) = self.wanted.first() else {
            return Ok(None);
        };
        let stream = self.stream.get_or_insert_with(|| {
            let (from, to) = bounds(prefix, &self.from, &self.to);
            self.snapshot.range(Space::Index, &from, &to, self.reverse)
        });
        let row = stream.next().transpose()?;
        row.map(|(row, _)| object_of(&row, prefix)).transpose()
    }

    /// Moves the walk to the next key that has the tag of `prefix`, in the walk's direction; `false` when there is none.
    fn leap(&mut self, prefix: &Bytes, object: &ObjectKey) -> Result<bool, EngineError> {
        let here = object.as_str().as_bytes();
        let (from, to) = if self.reverse {
            bounds(prefix, &self.from, here)
        } else {
            bounds(prefix, here, &self.to)
        };
        let found = self
            .snapshot
            .range(Space::Index, &from, &to, self.reverse)
            .next()
            .transpose()
            .map_err(|error: StorageError| EngineError::from(error))?;
        let Some((row, _)) = found else {
            return Ok(false);
        };
        let next = object_of(&row, prefix)?;
        self.stream = None;
        if self.reverse {
            self.to = [next.as_str().as_bytes(), &[0]].concat();
        } else {
            self.from = next.as_str().as_bytes().to_vec();
        }
        Ok(true)
    }
}

fn object_of(row: &[u8], prefix: &[u8]) -> Result<ObjectKey, EngineError> {
    let text = row
        .strip_prefix(prefix)
        .and_then(|key| std::str::from_utf8(key).ok());
    text.and_then(|text| ObjectKey::parse(text).ok())
        .ok_or(EngineError::Corrupt("tag"))
}
