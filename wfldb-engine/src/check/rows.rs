//! The rows of one bucket: versions against heads, bodies, references, chunks, tags, due times and counters.

use std::collections::{HashMap, HashSet};

use wfldb_core::id::{BucketId, ChunkHash, Seq, VersionId};
use wfldb_core::name::ObjectKey;

use super::log::writes;
use super::{Check, FindingKind, Place};
use crate::commit::plan::{Due, DueWhat};
use crate::object::inline_body;
use crate::row::{Action, BucketCounters, ChangeRow, Effect, ObjectRow, key};
use crate::storage::{Space, StorageError};

/// What a bucket's rows add up to.
#[derive(Default)]
pub(super) struct Sum {
    pub(super) counters: BucketCounters,
    heads: u64,
    bodies: u64,
    references: u64,
    tags: u64,
    /// Chunks that were counted and read, with their lengths.
    chunks: HashMap<ChunkHash, u64>,
}

impl Check<'_> {
    pub(super) fn bucket(&mut self, bucket: &BucketId, is_live: bool) -> Result<(), StorageError> {
        let mut sum = Sum::default();
        let mut newest: Option<ObjectKey> = None;
        for row in self.range(Space::Versions, &key::of_bucket(bucket)) {
            let (row_key, row) = row?;
            let place = Place::of(bucket);
            let (Ok((object, version)), Ok(row)) = (key::key_of_version(&row_key), ObjectRow::decode(&row))
            else {
                self.find(FindingKind::Version, Some(place), "a version's row is damaged");
                continue;
            };
            let place = place.key(object.as_str()).named(version);
            if row.version != version || row.modified != version.millis() {
                self.find(
                    FindingKind::Version,
                    Some(place),
                    "its row is that of another version",
                );
                continue;
            }
            for grant in &row.charges {
                *self.charged.entry(*grant).or_default() += row.len;
            }
            if !is_live {
                continue;
            }
            let is_newest = newest.as_ref() != Some(&object);
            self.version(bucket, &object, &row, is_newest, &mut sum)?;
            newest = Some(object);
        }
        self.parts(bucket, is_live, &mut sum)?;
        if is_live {
            self.add_up(bucket, &sum)?;
        }
        Ok(())
    }

    fn version(
        &mut self,
        bucket: &BucketId,
        object: &ObjectKey,
        row: &ObjectRow,
        is_newest: bool,
        sum: &mut Sum,
    ) -> Result<(), StorageError> {
        let place = || Place::of(bucket).key(object.as_str()).named(row.version);
        self.report.versions += 1;
        self.report.bytes += row.len;
        sum.counters.versions += 1;
        sum.counters.bytes += row.len;
        sum.counters.last_version = sum.counters.last_version.max(Some(row.version));
        if is_newest {
            self.head(bucket, object, row, sum)?;
        }
        if let Some(at) = row.expires() {
            self.due += 1;
            let what = DueWhat::Version(object.clone(), row.version);
            let due = key::due(bucket, &Due { at, what });
            if self.snapshot.get(Space::Index, &due)?.as_deref() != Some(object.as_str().as_bytes()) {
                self.find(FindingKind::Index, Some(place()), "nothing says when it ends");
            }
        }
        if self
            .snapshot
            .get(Space::Log, &key::evidence(row.position))?
            .is_none()
        {
            self.find(
                FindingKind::Evidence,
                Some(place()),
                "the evidence of its writing is missing",
            );
        }
        if !self.is_logged(bucket, object, row)? {
            self.find(
                FindingKind::Version,
                Some(place()),
                "not what the log says was written",
            );
        }
        *self.shared.entry(row.position).or_default() += 1;
        if row.inline {
            sum.counters.stored_bytes += row.len;
            if row.len > 0 {
                sum.bodies += 1;
            }
            if !row.deleted && inline_body(self.snapshot, bucket, row).is_err() {
                self.find(
                    FindingKind::Body,
                    Some(place()),
                    "its bytes are missing or damaged",
                );
            }
            (self.pace)(row.len);
            return Ok(());
        }
        self.chunked(bucket, object, row, sum)
    }

    /// Whether the change at the row's position wrote this version.
    fn is_logged(
        &self,
        bucket: &BucketId,
        object: &ObjectKey,
        row: &ObjectRow,
    ) -> Result<bool, StorageError> {
        let change = self.snapshot.get(Space::Log, &key::change(row.position))?;
        let Some(Ok(change)) = change.map(|change| ChangeRow::decode(&change)) else {
            return Ok(false);
        };
        let wrote = |effect: Effect| {
            writes(effect.action)
                && effect.version == row.version
                && effect.key == object.as_str()
                && (effect.action == Action::ObjectDeleted) == row.deleted
                && (row.deleted || (effect.etag == Some(row.etag) && effect.len == row.len))
        };
        Ok(change.bucket == *bucket && change.seq == row.seq && change.effects().any(wrote))
    }

    fn head(
        &mut self,
        bucket: &BucketId,
        object: &ObjectKey,
        row: &ObjectRow,
        sum: &mut Sum,
    ) -> Result<(), StorageError> {
        let place = || Place::of(bucket).key(object.as_str()).named(row.version);
        let head = self.snapshot.get(Space::Heads, &key::head(bucket, object))?;
        let head = head.map(|head| ObjectRow::decode(&head));
        if row.deleted {
            if head.is_some() {
                self.find(FindingKind::Head, Some(place()), "a deleted key has a head");
            }
            return Ok(());
        }
        sum.heads += 1;
        sum.counters.objects += 1;
        // What a version learns about those before it is not told to its head.
        let expected = ObjectRow {
            pruned: false,
            ..row.head()
        };
        let found = head.and_then(Result::ok).map(|head| ObjectRow {
            pruned: false,
            ..head
        });
        if found != Some(expected) {
            self.find(FindingKind::Head, Some(place()), "its head is missing or another");
        }
        for (name, value) in row.headers.tags.iter() {
            sum.tags += 1;
            let tag = key::tag(bucket, name, value, object);
            if self.snapshot.get(Space::Index, &tag)?.is_none() {
                self.find(FindingKind::Index, Some(place()), "a tag does not lead to it");
            }
        }
        Ok(())
    }

    fn chunked(
        &mut self,
        bucket: &BucketId,
        object: &ObjectKey,
        row: &ObjectRow,
        sum: &mut Sum,
    ) -> Result<(), StorageError> {
        let chunk_bytes = u64::from(row.chunk_bytes);
        if chunk_bytes == 0 || row.len.div_ceil(chunk_bytes) != row.chunks.len() as u64 {
            let place = Place::of(bucket).key(object.as_str()).named(row.version);
            self.find(
                FindingKind::Version,
                Some(place),
                "its list of chunks does not fit its length",
            );
            return Ok(());
        }
        let lens = lens(row.len, chunk_bytes);
        for (chunk, len) in distinct(&row.chunks, lens) {
            let gone = |check: &Self| -> Result<bool, StorageError> {
                let version = key::version(bucket, object, &row.version);
                let now = check.storage.snapshot();
                Ok(now.get(Space::Versions, &version)?.is_none())
            };
            let place = Place::of(bucket).key(object.as_str()).named(chunk);
            self.chunk(bucket, &row.version, chunk, len, place, &gone, sum)?;
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "one chunk of one of two kinds of owner")]
    pub(super) fn chunk(
        &mut self,
        bucket: &BucketId,
        reference: &VersionId,
        chunk: ChunkHash,
        len: u64,
        place: Place<'_>,
        gone: &dyn Fn(&Self) -> Result<bool, StorageError>,
        sum: &mut Sum,
    ) -> Result<(), StorageError> {
        sum.references += 1;
        let row = key::chunk_reference(bucket, &chunk, reference);
        let stored = self.snapshot.get(Space::Chunks, &row)?;
        let stored = stored.and_then(|len| <[u8; 4]>::try_from(&*len).ok());
        if stored.map(u32::from_be_bytes).map(u64::from) != Some(len) {
            self.find(
                FindingKind::Reference,
                Some(place.clone()),
                "the reference to a chunk is missing",
            );
        }
        if sum.chunks.insert(chunk, len).is_some() {
            return Ok(());
        }
        self.report.chunks += 1;
        let Ok(bytes) = usize::try_from(len) else {
            return Ok(());
        };
        if let Err(error) = (self.read_chunk)(bucket, &chunk, bytes)
            // What was erased since the snapshot may take its files along.
            && !gone(self)?
        {
            self.find(FindingKind::Chunk, Some(place), error.to_string());
        }
        (self.pace)(len);
        Ok(())
    }

    /// The number of rows of each kind, and the counters.
    fn add_up(&mut self, bucket: &BucketId, sum: &Sum) -> Result<(), StorageError> {
        let tags = [bucket.as_bytes().as_slice(), b"t"].concat();
        for (kind, space, prefix, expected) in [
            (
                FindingKind::Head,
                Space::Heads,
                bucket.as_bytes().as_slice(),
                sum.heads,
            ),
            (FindingKind::Body, Space::Bodies, bucket.as_bytes(), sum.bodies),
            (
                FindingKind::Reference,
                Space::Chunks,
                bucket.as_bytes(),
                sum.references,
            ),
            (FindingKind::Index, Space::Index, &tags, sum.tags),
        ] {
            let mut rows = 0;
            for row in self.range(space, prefix) {
                row?;
                rows += 1;
            }
            if rows != expected {
                let detail = format!("{rows} rows in {}, {expected} have an owner", space.name());
                self.find(kind, Some(Place::of(bucket)), detail);
            }
        }
        let stored = self
            .snapshot
            .get(Space::Counters, &key::bucket_counters(bucket))?
            .and_then(|row| BucketCounters::decode(&row).ok());
        let Some(stored) = stored else {
            self.find(
                FindingKind::Counter,
                Some(Place::of(bucket)),
                "its counters are missing or damaged",
            );
            return Ok(());
        };
        self.places(bucket, stored.seq)?;
        let counted = BucketCounters {
            // Only the log knows these; the newest version may have been erased.
            seq: stored.seq,
            last_version: stored.last_version,
            stored_bytes: sum.counters.stored_bytes + sum.chunks.values().sum::<u64>(),
            ..sum.counters
        };
        if counted != stored || sum.counters.last_version > stored.last_version {
            let detail = format!("its counters say {stored:?}, its rows {counted:?}");
            self.find(FindingKind::Counter, Some(Place::of(bucket)), detail);
        }
        Ok(())
    }
}

impl Check<'_> {
    /// The places of the bucket's changes in the log: one for each `seq` without a gap, and each the right one.
    fn places(&mut self, bucket: &BucketId, newest: u64) -> Result<(), StorageError> {
        let mut last = Seq::default();
        for row in self.range(Space::Index, &key::changes_of(bucket)) {
            let (row_key, row) = row?;
            let place = Place::of(bucket).named(last.next());
            let Ok((seq, position)) = key::parse_bucket_change(&row_key, &row) else {
                self.find(
                    FindingKind::Index,
                    Some(place),
                    "the place of a change is damaged",
                );
                continue;
            };
            // None are removed yet, so the first one is 1.
            if seq != last.next() {
                self.find(
                    FindingKind::Index,
                    Some(place),
                    "the place of a change is missing",
                );
            }
            last = seq;
            let change = self.snapshot.get(Space::Log, &key::change(position))?;
            let change = change.map(|change| ChangeRow::decode(&change));
            let is_its = |change: &ChangeRow| change.touched().any(|touched| touched == (*bucket, seq));
            if !matches!(change, Some(Ok(change)) if is_its(&change)) {
                let place = Place::of(bucket).named(seq);
                self.find(
                    FindingKind::Index,
                    Some(place),
                    "its place in the log is another's",
                );
            }
        }
        if last.get() != newest {
            let detail = format!("the places of its changes end at {last}, its counters say {newest}");
            self.find(FindingKind::Index, Some(Place::of(bucket)), detail);
        }
        Ok(())
    }
}

/// The lengths of the chunks of `len` bytes.
pub(super) fn lens(len: u64, chunk_bytes: u64) -> impl Iterator<Item = u64> {
    let mut left = len;
    std::iter::from_fn(move || {
        let next = left.min(chunk_bytes);
        left -= next;
        (next > 0).then_some(next)
    })
}

/// Each chunk once, with its length.
pub(super) fn distinct(chunks: &[ChunkHash], lens: impl Iterator<Item = u64>) -> Vec<(ChunkHash, u64)> {
    let mut seen = HashSet::new();
    let all = chunks.iter().copied().zip(lens);
    all.filter(|(chunk, _)| seen.insert(*chunk)).collect()
}
