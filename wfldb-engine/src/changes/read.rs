//! A bucket's changes as callers follow them: by `seq`, with what each did to the keys that the caller may see.

use wfldb_core::auth::{Authorized, Op};
use wfldb_core::id::{BucketId, ContentHash, LogPosition, Seq, VersionId};
use wfldb_core::limits::CHANGES_LIMIT_MAX;
use wfldb_core::name::{KeyPrefix, ObjectKey};
use wfldb_core::time::UnixMillis;

use super::ChangesToCome;
use crate::bucket::{admits, bucket_of, resolve};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::row::{Action, BucketCounters, ChangeRow, Effect, key};
use crate::storage::{Snapshot, Space, prefix_end};

/// Changes that one page looks at, whether or not the caller may see anything of them.
const LOOKED_AT_MAX: usize = 4096;
/// Bytes of change rows after which a page ends; its last one may go beyond.
const BYTES_MAX: usize = 1 << 20;

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Behind this `seq`; 0 is the beginning.
    Seq(Seq),
    /// Behind the newest change.
    Now,
}

/// Which changes.
#[derive(Debug, Clone)]
pub struct ChangesQuery {
    /// Where to begin.
    pub since: Since,
    /// The bucket that `since` is of; another one of the same name is refused.
    pub bucket: Option<BucketId>,
    /// Only keys that begin with this.
    pub prefix: KeyPrefix,
    /// At most so many changes: 1 to 1000.
    pub limit: usize,
}

impl Default for ChangesQuery {
    fn default() -> Self {
        Self {
            since: Since::Seq(Seq::default()),
            bucket: None,
            prefix: KeyPrefix::all(),
            limit: CHANGES_LIMIT_MAX,
        }
    }
}

/// What a change did to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// A version was stored and is the newest.
    Put,
    /// A tombstone is the newest version: a caller deleted the key, or its time to live ended.
    Delete,
    /// What a tombstone hid was made the newest again, as a version of its own.
    Restore,
    /// A version was removed for good by a caller. Where it was the newest, the one before is it now.
    Erase,
    /// A version was removed for good by the bucket's retention.
    Prune,
    /// A version was removed for good since its time to live ended.
    Expire,
}

impl ChangeKind {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Restore => "restore",
            Self::Erase => "erase",
            Self::Prune => "prune",
            Self::Expire => "expire",
        }
    }

    /// `None`: nothing that is done to a key.
    fn of(action: Action) -> Option<Self> {
        match action {
            Action::ObjectPut => Some(Self::Put),
            Action::ObjectDeleted => Some(Self::Delete),
            Action::ObjectRestored => Some(Self::Restore),
            Action::VersionErased => Some(Self::Erase),
            Action::VersionPruned => Some(Self::Prune),
            Action::VersionExpired => Some(Self::Expire),
            Action::BucketCreated
            | Action::BucketConfigured
            | Action::BucketDeleted
            | Action::Batch
            | Action::Lifecycle
            | Action::Transaction
            | Action::Revoked => None,
        }
    }
}

/// What a change did to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// What.
    pub kind: ChangeKind,
    /// The key.
    pub key: ObjectKey,
    /// The version that was written or removed.
    pub version: VersionId,
    /// BLAKE3 and length of the bytes that were stored, as long as the version is there.
    pub stored: Option<(ContentHash, u64)>,
}

/// One change: what was committed together, as far as the caller may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketChange {
    /// Its number in the bucket.
    pub seq: Seq,
    /// When it was committed.
    pub at: UnixMillis,
    /// What it did, in order; not empty.
    pub keys: Vec<KeyChange>,
}

/// A page of changes, in the order of their commits.
#[derive(Debug, Clone)]
pub struct ChangePage {
    /// The bucket.
    pub bucket: BucketId,
    /// The changes.
    pub changes: Vec<BucketChange>,
    /// Everything up to here was looked at: the next page is behind it.
    pub last: Seq,
    /// There is more behind it now.
    pub more: bool,
    /// The bucket wants its reads logged.
    pub audited: bool,
}

impl Engine {
    /// A page of the changes of the bucket that `proof` names, of the keys that it lets its holder see. A page can be
    /// empty and have more behind it. Blocks.
    ///
    /// # Errors
    /// `NoSuchBucket`, `SignatureRequired`; `TooOld` when changes behind `since` are not kept any more; `SinceUnknown`
    /// when the bucket has not come so far, or is another one; `Corrupt`.
    pub fn changes(&self, proof: &Authorized, query: &ChangesQuery) -> Result<ChangePage, EngineError> {
        let name = bucket_of(proof, Op::Watch)?;
        let snapshot = self.inner.storage.snapshot();
        let row = resolve(&*snapshot, name)?;
        admits(&row, proof)?;
        if query.bucket.is_some_and(|bucket| bucket != row.id) {
            return Err(EngineError::SinceUnknown);
        }
        let newest = newest(&*snapshot, &row.id)?;
        let since = match query.since {
            Since::Now => newest,
            Since::Seq(since) if since > newest => return Err(EngineError::SinceUnknown),
            Since::Seq(since) => since,
        };
        let page = ChangePage {
            bucket: row.id,
            changes: Vec::new(),
            last: since,
            more: false,
            audited: row.config.audit_reads,
        };
        let reading = Reading {
            snapshot: &*snapshot,
            proof,
            query,
        };
        let page = reading.fill(page)?;
        // The counters were written with the last of them.
        if page.more || page.last == newest {
            Ok(page)
        } else {
            Err(EngineError::Corrupt("place of a change"))
        }
    }

    /// What comes of the bucket that `proof` names after this call. Whoever asks for [`Engine::changes`] after it and
    /// then waits misses nothing. May block.
    ///
    /// # Errors
    /// `NoSuchBucket`, `SignatureRequired`.
    pub fn changes_to_come(&self, proof: &Authorized) -> Result<ChangesToCome, EngineError> {
        let name = bucket_of(proof, Op::Watch)?;
        let row = resolve(&*self.inner.storage.snapshot(), name)?;
        admits(&row, proof)?;
        Ok(self.inner.news.of_bucket(row.id))
    }
}

/// The `seq` of the newest change of a bucket.
fn newest(snapshot: &dyn Snapshot, bucket: &BucketId) -> Result<Seq, EngineError> {
    let row = snapshot.get(Space::Counters, &key::bucket_counters(bucket))?;
    let counters = BucketCounters::decode(&row.ok_or(EngineError::Corrupt("counters"))?)?;
    Ok(Seq::new(counters.seq))
}

struct Reading<'a> {
    snapshot: &'a dyn Snapshot,
    proof: &'a Authorized,
    query: &'a ChangesQuery,
}

impl Reading<'_> {
    fn fill(&self, mut page: ChangePage) -> Result<ChangePage, EngineError> {
        let all = key::changes_of(&page.bucket);
        let from = key::bucket_change(&page.bucket, page.last.next());
        let limit = self.query.limit.clamp(1, CHANGES_LIMIT_MAX);
        let (mut looked_at, mut bytes) = (0, 0);
        for row in self.snapshot.range(Space::Index, &from, &prefix_end(&all), false) {
            let (row_key, row) = row?;
            if page.changes.len() == limit || looked_at == LOOKED_AT_MAX || bytes >= BYTES_MAX {
                page.more = true;
                break;
            }
            let (seq, position) = key::parse_bucket_change(&row_key, &row)?;
            if seq != page.last.next() {
                // INVARIANT: changes go from the oldest on, so only what stands before all others can be missing.
                return Err(if self.is_oldest(&page.bucket, seq)? {
                    EngineError::TooOld
                } else {
                    EngineError::Corrupt("place of a change")
                });
            }
            let (change, len) = self.change(&page.bucket, seq, position)?;
            page.changes.extend(self.visible(&page.bucket, seq, &change)?);
            page.last = seq;
            looked_at += 1;
            bytes += len;
        }
        Ok(page)
    }

    fn is_oldest(&self, bucket: &BucketId, seq: Seq) -> Result<bool, EngineError> {
        let all = key::changes_of(bucket);
        let mut rows = self.snapshot.range(Space::Index, &all, &prefix_end(&all), false);
        let Some(row) = rows.next().transpose()? else {
            return Ok(false);
        };
        Ok(key::parse_bucket_change(&row.0, &row.1)?.0 == seq)
    }

    /// The change at a place in the log, and the length of its row.
    fn change(
        &self,
        bucket: &BucketId,
        seq: Seq,
        position: LogPosition,
    ) -> Result<(ChangeRow, usize), EngineError> {
        let damaged = EngineError::Corrupt("place of a change");
        let row = self.snapshot.get(Space::Log, &key::change(position))?;
        let row = row.ok_or(damaged)?;
        let change = ChangeRow::decode(&row)?;
        let is_of_bucket = change.touched().any(|touched| touched == (*bucket, seq));
        if is_of_bucket && change.position == position {
            Ok((change, row.len()))
        } else {
            Err(EngineError::Corrupt("place of a change"))
        }
    }

    /// `None`: nothing of it is for the caller.
    fn visible(
        &self,
        bucket: &BucketId,
        seq: Seq,
        change: &ChangeRow,
    ) -> Result<Option<BucketChange>, EngineError> {
        let mut keys = Vec::new();
        // SECURITY: of a transaction only what it did in this bucket.
        let own = change.effects().filter(|(of, _)| of == bucket);
        for (_, effect) in own {
            let Some(kind) = ChangeKind::of(effect.action) else {
                continue;
            };
            let key = ObjectKey::parse(&effect.key).map_err(|_| EngineError::Corrupt("change"))?;
            // SECURITY: entry by entry, so that a batch over several prefixes shows each caller its own part.
            if self.proof.sees_key(&key) && self.query.prefix.covers(&key) {
                keys.push(KeyChange {
                    kind,
                    version: effect.version,
                    stored: self.stored(bucket, &key, &effect)?,
                    key,
                });
            }
        }
        Ok((!keys.is_empty()).then_some(BucketChange {
            seq,
            at: change.at,
            keys,
        }))
    }

    /// SECURITY: of a version that is gone for good nobody is told the hash, by which its bytes could be guessed.
    fn stored(
        &self,
        bucket: &BucketId,
        key: &ObjectKey,
        effect: &Effect,
    ) -> Result<Option<(ContentHash, u64)>, EngineError> {
        let Some(etag) = effect.etag else {
            return Ok(None);
        };
        let version = key::version(bucket, key, &effect.version);
        let row = self.snapshot.get(Space::Versions, &version)?;
        Ok(row.map(|_| (etag, effect.len)))
    }
}
