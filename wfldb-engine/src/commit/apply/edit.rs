//! One plan's work in one bucket: what every rule needs (configuration, counters, numbers), and the steps that rules
//! are made of: adding a version, removing one, moving the head, charging and crediting. The rules are beside it.
//!
//! INVARIANT 2: rows, head, tags, due times, references, counters and the change row of a plan are written here, into
//! one overlay, so they are in one batch.

use std::sync::Arc;

use wfldb_core::auth::{Charge, GrantId};
use wfldb_core::id::{BucketId, ChunkHash, LogPosition, Seq, VersionId};
use wfldb_core::name::ObjectKey;
use wfldb_core::time::UnixMillis;

use super::counters_of;
use crate::commit::overlay::Overlay;
use crate::commit::plan::{Due, DueWhat, WritePlan};
use crate::error::EngineError;
use crate::index::IndexHints;
use crate::row::{
    Action, BucketChange, BucketCounters, BucketRow, ChangeRow, CommitMark, Effect, ObjectRow, counters, key,
};
use crate::storage::Space;

/// Work in a bucket that is there.
pub(super) struct Edit<'s> {
    pub(super) state: &'s mut Overlay,
    pub(super) bucket: Arc<BucketRow>,
    pub(super) counters: BucketCounters,
    /// Commit time: it never decreases.
    pub(super) at: UnixMillis,
    pub(super) position: LogPosition,
    pub(super) seq: Seq,
    entropy: [u8; 10],
    effects: Vec<Effect>,
    /// Versions that this change wrote.
    written: u32,
}

/// Effects of one change: with the buckets, less than the tables that a row may have.
const CHANGE_EFFECTS_MAX: usize = 4000;
/// About how large the row of a change may become; no row is read that is larger than 4 MiB.
const CHANGE_BYTES_MAX: usize = 3 << 20;

/// Refuses a change with more effects than a row of the log can hold.
pub(super) fn check_effects<'a>(effects: impl IntoIterator<Item = &'a Effect>) -> Result<(), EngineError> {
    let (mut number, mut bytes) = (0, 0);
    for effect in effects {
        number += 1;
        bytes += effect.key.len() + 128;
    }
    if number > CHANGE_EFFECTS_MAX || bytes > CHANGE_BYTES_MAX {
        Err(EngineError::TooLarge)
    } else {
        Ok(())
    }
}

/// What is left of the work in a bucket once its counters are written.
pub(super) struct Closed<'s> {
    pub(super) state: &'s mut Overlay,
    /// Versions that the change wrote there.
    pub(super) written: u32,
    pub(super) change: BucketChange,
}

/// Logs a change of one bucket. `several` names a change that has no main effect.
pub(super) fn log_one(
    plan: &WritePlan,
    change: BucketChange,
    several: Option<Action>,
    written: u32,
    state: &mut Overlay,
    mark: &mut CommitMark,
) {
    let BucketChange {
        bucket,
        seq,
        effects: mut entries,
    } = change;
    let main = (several.is_none() && !entries.is_empty()).then(|| entries.remove(0));
    let action = several.or(main.as_ref().map(|main| main.action));
    let change = ChangeRow {
        prev: mark.chain,
        position: mark.position.next(),
        at: plan.at.max(mark.at),
        bucket,
        seq,
        action: action.unwrap_or(Action::Batch),
        version: main.as_ref().map(|main| main.version),
        etag: main.as_ref().and_then(|main| main.etag),
        len: main.as_ref().map_or(0, |main| main.len),
        key: main.map(|main| main.key).unwrap_or_default(),
        config: None,
        evidence: plan.evidence.hash,
        entries,
        buckets: Vec::new(),
        leaf: None,
    };
    share_evidence(&change, written, state);
    super::log(plan, change, state, mark);
}

/// Notes how many versions the evidence of a change stands for, where that is more than one.
pub(super) fn share_evidence(change: &ChangeRow, written: u32, state: &mut Overlay) {
    if written > 1 {
        let shares = key::evidence_shares(change.position);
        state.put(Space::Log, shares, written.to_be_bytes().to_vec());
    }
}

impl<'s> Edit<'s> {
    pub(super) fn begin(
        plan: &WritePlan,
        bucket: &BucketId,
        state: &'s mut Overlay,
        mark: &CommitMark,
    ) -> Result<Self, EngineError> {
        let bucket = state.bucket(bucket)?.ok_or(EngineError::NoSuchBucket)?;
        let counters = counters_of(state, &bucket.id)?;
        Ok(Self {
            at: plan.at.max(mark.at),
            position: mark.position.next(),
            seq: counters.next_seq(),
            entropy: plan.entropy,
            effects: Vec::new(),
            written: 0,
            state,
            bucket,
            counters,
        })
    }

    pub(super) fn id(&self) -> &BucketId {
        &self.bucket.id
    }

    /// Whether the plan has changed anything that is logged.
    pub(super) fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// Puts the counters back; for work that is not a change of the log.
    pub(super) fn write_counters(self) {
        let row = key::bucket_counters(&self.bucket.id);
        self.state.put(Space::Counters, row, self.counters.encode());
    }

    /// Refuses a change with more effects than a row of the log can hold.
    pub(super) fn check_effects(&self) -> Result<(), EngineError> {
        check_effects(&self.effects)
    }

    /// Writes the bucket's counters with the number of the change, and answers what the log has to say of the bucket.
    pub(super) fn close(mut self) -> Closed<'s> {
        self.counters.seq = self.seq.get();
        let row = key::bucket_counters(&self.bucket.id);
        self.state.put(Space::Counters, row, self.counters.encode());
        Closed {
            state: self.state,
            written: self.written,
            change: BucketChange {
                bucket: self.bucket.id,
                seq: self.seq,
                effects: self.effects,
            },
        }
    }

    /// Writes counters, change and evidence, and moves the mark. `several` names a change that has no main effect.
    pub(super) fn log(self, plan: &WritePlan, mark: &mut CommitMark, several: Option<Action>) {
        let Closed {
            state,
            written,
            change,
        } = self.close();
        log_one(plan, change, several, written, state, mark);
    }

    /// The row in `heads`, live or at its end.
    pub(super) fn head(&self, object: &ObjectKey) -> Result<Option<ObjectRow>, EngineError> {
        let row = self.state.value(Space::Heads, &key::head(self.id(), object))?;
        Ok(row.map(|row| ObjectRow::decode(&row)).transpose()?)
    }

    /// The newest version, tombstones included.
    pub(super) fn newest(&self, object: &ObjectKey) -> Result<Option<ObjectRow>, EngineError> {
        let row = self
            .state
            .first(Space::Versions, &key::versions_of(self.id(), object))?;
        Ok(row.map(|(_, row)| ObjectRow::decode(&row)).transpose()?)
    }

    /// The newest version but for this one.
    pub(super) fn newest_but(
        &self,
        object: &ObjectKey,
        version: &VersionId,
    ) -> Result<Option<ObjectRow>, EngineError> {
        let prefix = key::versions_of(self.id(), object);
        for row in self.state.rows(Space::Versions, &prefix, &prefix).take(2) {
            let row = ObjectRow::decode(&row?.1)?;
            if row.version != *version {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    pub(super) fn version(
        &self,
        object: &ObjectKey,
        version: &VersionId,
    ) -> Result<Option<ObjectRow>, EngineError> {
        let row = self
            .state
            .value(Space::Versions, &key::version(self.id(), object, version))?;
        Ok(row.map(|row| ObjectRow::decode(&row)).transpose()?)
    }

    /// The next version of the bucket: the commit time's, or the last plus one.
    pub(super) fn next_version(&mut self) -> Result<VersionId, EngineError> {
        let version = match self.counters.last_version {
            Some(last) if last.millis() >= self.at => last.next().ok_or(EngineError::Corrupt("version"))?,
            _ => VersionId::from_parts(self.at, self.entropy),
        };
        self.counters.last_version = Some(version);
        Ok(version)
    }

    /// Writes a version and makes it the newest in place of `old`, the row that stood in `heads`.
    pub(super) fn add_version(
        &mut self,
        object: &ObjectKey,
        old: Option<&ObjectRow>,
        row: &ObjectRow,
        action: Action,
        hints: Option<&IndexHints>,
    ) -> Result<(), EngineError> {
        let version_key = key::version(self.id(), object, &row.version);
        self.state.put(Space::Versions, version_key, row.encode());
        if let Some(at) = row.expires() {
            let due = self.due(object, row.version, at);
            self.state
                .put(Space::Index, due, object.as_str().as_bytes().to_vec());
        }
        self.counters.versions += 1;
        self.written += 1;
        self.move_head(object, old, (!row.deleted).then_some(row), hints)?;
        self.note(action, object, row);
        Ok(())
    }

    pub(super) fn note(&mut self, action: Action, object: &ObjectKey, row: &ObjectRow) {
        let stored = matches!(action, Action::ObjectPut | Action::ObjectRestored);
        self.effects.push(Effect {
            action,
            key: object.as_str().to_owned(),
            version: row.version,
            etag: stored.then_some(row.etag),
            len: if stored { row.len } else { 0 },
        });
    }

    /// The key of the row that says when a version ends.
    pub(super) fn due(&self, object: &ObjectKey, version: VersionId, at: UnixMillis) -> bytes::Bytes {
        let what = DueWhat::Version(object.clone(), version);
        key::due(self.id(), &Due { at, what })
    }

    /// Replaces the key's row in `heads`, and what `index` says of its tags.
    pub(super) fn move_head(
        &mut self,
        object: &ObjectKey,
        old: Option<&ObjectRow>,
        new: Option<&ObjectRow>,
        hints: Option<&IndexHints>,
    ) -> Result<(), EngineError> {
        self.index(object, old, new, hints)?;
        self.move_time(object, old, new);
        let bucket = self.bucket.id;
        let head = key::head(&bucket, object);
        match new {
            Some(row) => self.state.put(Space::Heads, head, row.head().encode()),
            None if old.is_some() => self.state.remove(Space::Heads, head),
            None => {}
        }
        let has = |row: Option<&ObjectRow>, tag: (&str, &str)| {
            row.is_some_and(|row| row.headers.tags.iter().any(|other| other == tag))
        };
        for (name, value) in old.iter().flat_map(|row| row.headers.tags.iter()) {
            if !has(new, (name, value)) {
                self.state
                    .remove(Space::Index, key::tag(&bucket, name, value, object));
            }
        }
        for (name, value) in new.iter().flat_map(|row| row.headers.tags.iter()) {
            if !has(old, (name, value)) {
                self.state.put(
                    Space::Index,
                    key::tag(&bucket, name, value, object),
                    bytes::Bytes::new(),
                );
            }
        }
        let objects = self.counters.objects + u64::from(new.is_some());
        self.counters.objects = objects.saturating_sub(u64::from(old.is_some()));
        Ok(())
    }

    /// Charges `len` bytes to every grant, each once, and answers which they are.
    ///
    /// Every grant is counted, with or without a quota of its own: a packet that is issued later with one starts from
    /// what is stored already.
    pub(super) fn charge(&mut self, grants: &[Charge], len: u64) -> Result<Vec<GrantId>, EngineError> {
        let mut charged: Vec<GrantId> = Vec::new();
        for grant in grants {
            // Two links can name the same grant.
            if charged.contains(&grant.grant) {
                continue;
            }
            let counter = key::grant_counter(&grant.grant);
            let used = match self.state.value(Space::Counters, &counter)? {
                Some(row) => counters::decode_charged(&row)?,
                None => 0,
            };
            let after = used.checked_add(len).ok_or(EngineError::QuotaExceeded)?;
            if grant.quota_bytes.is_some_and(|quota| after > quota) {
                return Err(EngineError::QuotaExceeded);
            }
            self.state
                .put(Space::Counters, counter, after.to_be_bytes().to_vec());
            charged.push(grant.grant);
        }
        Ok(charged)
    }

    /// Gives `len` bytes back to every grant.
    pub(super) fn credit(&mut self, grants: &[GrantId], len: u64) -> Result<(), EngineError> {
        for grant in grants {
            super::credit(self.state, grant, len)?;
        }
        Ok(())
    }

    /// Refers to the chunks of a body of `len` bytes by `reference`, and answers how many of their bytes the bucket had
    /// no reference to.
    pub(super) fn refer(
        &mut self,
        reference: &VersionId,
        len: u64,
        chunk_bytes: u32,
        chunks: &[ChunkHash],
    ) -> Result<u64, EngineError> {
        let bucket = self.bucket.id;
        let mut fresh = 0;
        let mut left = len;
        for chunk in chunks {
            let chunk_len = u32::try_from(left.min(u64::from(chunk_bytes))).unwrap_or(chunk_bytes);
            left -= u64::from(chunk_len);
            // The overlay has what was referred to a moment ago too, so an object's equal chunks count once.
            let known = key::chunk_references(&bucket, chunk);
            if self.state.first(Space::Chunks, &known)?.is_none() {
                fresh += u64::from(chunk_len);
            }
            let row = key::chunk_reference(&bucket, chunk, reference);
            self.state
                .put(Space::Chunks, row, chunk_len.to_be_bytes().to_vec());
        }
        Ok(fresh)
    }

    /// Takes the references back, and answers how many bytes nothing in the bucket refers to any more.
    pub(super) fn release(
        &mut self,
        reference: &VersionId,
        chunks: &[ChunkHash],
    ) -> Result<u64, EngineError> {
        let damaged = || EngineError::Corrupt("chunk reference");
        let bucket = self.bucket.id;
        let mut freed = 0;
        let mut distinct: Vec<ChunkHash> = chunks.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        for chunk in &distinct {
            let own = key::chunk_reference(&bucket, chunk, reference);
            let len = self.state.value(Space::Chunks, &own)?.ok_or_else(damaged)?;
            let len: [u8; 4] = (&*len).try_into().map_err(|_| damaged())?;
            self.state.remove(Space::Chunks, own);
            let others = key::chunk_references(&bucket, chunk);
            if self.state.first(Space::Chunks, &others)?.is_none() {
                freed += u64::from(u32::from_be_bytes(len));
                self.state.free(bucket, *chunk);
            }
        }
        Ok(freed)
    }
}
