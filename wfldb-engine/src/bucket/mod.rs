//! Buckets: creating, configuring, reading, deleting. Objects in them are in `object`; `sweep` removes the rows of
//! deleted ones.

pub(crate) mod sweep;

use std::sync::Arc;

use wfldb_core::auth::{Authorized, Op};
use wfldb_core::id::{BucketId, LeafIndex};
use wfldb_core::name::BucketName;
use wfldb_core::object::{BucketConfig, BucketKind};
use wfldb_core::time::UnixMillis;

use crate::commit::plan::{Applied, Mutation};
use crate::engine::{Engine, Inner};
use crate::error::EngineError;
use crate::pending::Pending;
use crate::row::{BucketCounters, BucketRow, key};
use crate::storage::{Snapshot, Space, prefix_end};

/// Exact usage of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Keys with a live version.
    pub objects: u64,
    /// Versions, tombstones included.
    pub versions: u64,
    /// Bytes of all versions.
    pub bytes: u64,
    /// Bytes kept: inline bodies, and each distinct chunk once, those of unfinished uploads too.
    pub stored_bytes: u64,
}

/// A bucket as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketInfo {
    /// Its name.
    pub name: BucketName,
    /// Its random id, under which its rows and chunks are kept; the label in metrics.
    pub id: BucketId,
    /// When it was created.
    pub created: UnixMillis,
    /// Its configuration.
    pub config: BucketConfig,
    /// What it holds.
    pub usage: Usage,
}

/// The answer to [`Engine::put_bucket`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketPut {
    /// It was not there before.
    pub created: bool,
    /// The index of the change in the audit log.
    pub leaf: LeafIndex,
    /// The bucket now.
    pub info: BucketInfo,
}

/// The id of the bucket that a name stands for now: all that a read needs.
pub(crate) fn resolve_id(snapshot: &dyn Snapshot, name: &BucketName) -> Result<BucketId, EngineError> {
    let id = snapshot
        .get(Space::Meta, &key::bucket_name(name))?
        .ok_or(EngineError::NoSuchBucket)?;
    let id: [u8; 16] = (&*id)
        .try_into()
        .map_err(|_| EngineError::Corrupt("bucket name"))?;
    Ok(BucketId::from_bytes(id))
}

/// The bucket that a name stands for now, with its configuration.
pub(crate) fn resolve(snapshot: &dyn Snapshot, name: &BucketName) -> Result<BucketRow, EngineError> {
    let id = resolve_id(snapshot, name)?;
    let row = snapshot.get(Space::Meta, &key::bucket_row(&id))?;
    Ok(BucketRow::decode(
        &row.ok_or(EngineError::Corrupt("bucket name"))?,
    )?)
}

impl Inner {
    /// The bucket that a name stands for now; from the storage when it is not in memory.
    pub(crate) fn bucket(&self, name: &BucketName) -> Result<Arc<BucketRow>, EngineError> {
        if let Some(row) = self.cache.bucket(name) {
            return Ok(row);
        }
        let at = self.cache.read_at();
        let row = Arc::new(resolve(&*self.storage.snapshot(), name)?);
        self.cache.keep_bucket(at, Arc::clone(&row));
        Ok(row)
    }
}

fn usage(counters: &BucketCounters) -> Usage {
    Usage {
        objects: counters.objects,
        versions: counters.versions,
        bytes: counters.bytes,
        stored_bytes: counters.stored_bytes,
    }
}

fn info(snapshot: &dyn Snapshot, row: BucketRow) -> Result<BucketInfo, EngineError> {
    let counters = snapshot.get(Space::Counters, &key::bucket_counters(&row.id))?;
    let counters = BucketCounters::decode(&counters.ok_or(EngineError::Corrupt("counters"))?)?;
    Ok(BucketInfo {
        name: row.name,
        id: row.id,
        created: row.created,
        config: row.config,
        usage: usage(&counters),
    })
}

impl Engine {
    /// Creates the bucket that `proof` names, or replaces its configuration.
    ///
    /// # Errors
    /// `KindFixed`, `Forbidden` when retention is
    /// lowered and the proof does not also allow `erase`, `StorageFull`, and those of
    /// every write: `ReadOnly`, `Busy`, `OutcomeUnknown`.
    pub fn put_bucket(&self, proof: &Authorized, config: BucketConfig) -> Pending<BucketPut> {
        let planned = (|| {
            let name = bucket_of(proof, Op::Manage)?.clone();
            self.inner.admit_bytes()?;
            let id = BucketId::from_bytes(crate::engine::random()?);
            let may_erase = proof.may_also(Op::Erase);
            Ok(Mutation::PutBucket {
                name,
                id,
                config,
                may_erase,
            })
        })();
        let inner = self.inner.clone();
        let name = proof.bucket().cloned();
        self.inner.submit(proof, planned, None, move |applied| {
            let (Applied::Bucket { created, leaf, .. }, Some(name)) = (applied, name) else {
                return Err(EngineError::OutcomeUnknown);
            };
            // Retention may have been lowered.
            inner.wake_lifecycle();
            let snapshot = inner.storage.snapshot();
            let row = resolve(&*snapshot, &name)?;
            Ok(BucketPut {
                created,
                leaf: LeafIndex::new(leaf),
                info: info(&*snapshot, row)?,
            })
        })
    }

    /// The bucket that `proof` names.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    pub fn bucket(&self, proof: &Authorized) -> Result<BucketInfo, EngineError> {
        let name = bucket_of(proof, Op::Manage)?;
        let snapshot = self.inner.storage.snapshot();
        let row = resolve(&*snapshot, name)?;
        info(&*snapshot, row)
    }

    /// The buckets that `proof` lets its holder see, by name.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn buckets(&self, proof: &Authorized) -> Result<Vec<BucketInfo>, EngineError> {
        if proof.op() != Op::List {
            return Err(EngineError::Forbidden);
        }
        let snapshot = self.inner.storage.snapshot();
        let mut buckets = Vec::new();
        for row in snapshot.range(
            Space::Meta,
            key::BUCKET_NAME,
            &prefix_end(key::BUCKET_NAME),
            false,
        ) {
            let (name, _) = row?;
            let name = name.strip_prefix(key::BUCKET_NAME).unwrap_or_default();
            let name = std::str::from_utf8(name)
                .ok()
                .and_then(|name| BucketName::parse(name).ok());
            let name = name.ok_or(EngineError::Corrupt("bucket name"))?;
            if proof.sees_bucket(&name) {
                buckets.push(info(&*snapshot, resolve(&*snapshot, &name)?)?);
            }
        }
        Ok(buckets)
    }

    /// The id of a bucket that is in memory, for figures: nothing is read.
    #[must_use]
    pub fn known_bucket(&self, name: &BucketName) -> Option<BucketId> {
        self.inner.cache.bucket(name).map(|bucket| bucket.id)
    }

    /// The id and the `rate` of a bucket that is in memory; `None` when it is not, and [`Engine::bucket_rate`] has to ask.
    #[must_use]
    pub fn known_bucket_rate(&self, name: &BucketName) -> Option<(BucketId, Option<u64>)> {
        let bucket = self.inner.cache.bucket(name)?;
        Some((bucket.id, bucket.config.rate))
    }

    /// The id and the `rate` of a bucket, which is in memory then. May block.
    ///
    /// # Errors
    /// `NoSuchBucket`; when the storage cannot be read.
    pub fn bucket_rate(&self, name: &BucketName) -> Result<(BucketId, Option<u64>), EngineError> {
        let bucket = self.inner.bucket(name)?;
        Ok((bucket.id, bucket.config.rate))
    }

    /// What a bucket that is in memory holds; `None` when it is not, and [`Engine::bucket_kind`] has to ask.
    #[must_use]
    pub fn known_bucket_kind(&self, name: &BucketName) -> Option<BucketKind> {
        Some(self.inner.cache.bucket(name)?.config.kind)
    }

    /// What a bucket holds. May block.
    ///
    /// # Errors
    /// `NoSuchBucket`; when the storage cannot be read.
    pub fn bucket_kind(&self, name: &BucketName) -> Result<BucketKind, EngineError> {
        Ok(self.inner.bucket(name)?.config.kind)
    }

    /// What buckets hold, at most `max` of them by name, for figures. What cannot be read is left out.
    #[must_use]
    pub fn usage_of_buckets(&self, max: usize) -> Vec<(BucketId, Usage)> {
        let snapshot = self.inner.storage.snapshot();
        let end = prefix_end(key::BUCKET_NAME);
        let names = snapshot.range(Space::Meta, key::BUCKET_NAME, &end, false);
        let usage = |(_, id): (bytes::Bytes, bytes::Bytes)| {
            let id = BucketId::from_bytes((&*id).try_into().ok()?);
            let row = snapshot.get(Space::Counters, &key::bucket_counters(&id)).ok()??;
            Some((id, usage(&BucketCounters::decode(&row).ok()?)))
        };
        names.take(max).filter_map(|row| usage(row.ok()?)).collect()
    }

    /// Deletes the bucket that `proof` names. Its name is free at once; its rows and chunks go in the background.
    /// Answers the index of the change in the audit log.
    ///
    /// # Errors
    /// `BucketNotEmpty` without `force`, `Forbidden` with `force` when the proof does not also allow `erase`.
    pub fn delete_bucket(&self, proof: &Authorized, force: bool) -> Pending<LeafIndex> {
        let planned = (|| {
            // Versions go for good, so whoever forces must be allowed to erase.
            if force && proof.op() != Op::Erase && !proof.may_also(Op::Erase) {
                return Err(EngineError::Forbidden);
            }
            let op = if proof.op() == Op::Erase {
                Op::Erase
            } else {
                Op::Manage
            };
            let name = bucket_of(proof, op)?.clone();
            Ok(Mutation::DeleteBucket { name, force })
        })();
        let inner = self.inner.clone();
        self.inner
            .submit(proof, planned, None, move |applied| match applied {
                Applied::BucketDeleted { leaf, .. } => {
                    inner.wake_sweeper();
                    Ok(LeafIndex::new(leaf))
                }
                _ => Err(EngineError::OutcomeUnknown),
            })
    }
}

/// Refuses what a request that nobody signed, of a session or by a link, may not do in the bucket.
///
/// SECURITY: asked with the row that the read itself found, so that a bucket which was configured a moment ago is obeyed.
pub(crate) fn admits(row: &BucketRow, proof: &Authorized) -> Result<(), EngineError> {
    // What is read over a session leaves no evidence that could be logged.
    let wants_evidence = row.config.audit_reads && proof.is_of_session();
    if wants_evidence || row.config.require_signature && (proof.is_of_session() || proof.link().is_some()) {
        Err(EngineError::SignatureRequired)
    } else {
        Ok(())
    }
}

/// The bucket of a proof for `op`.
pub(crate) fn bucket_of(proof: &Authorized, op: Op) -> Result<&BucketName, EngineError> {
    // INVARIANT 6: what is done is what was proved, whatever the handler meant to do.
    if proof.op() == op {
        proof.bucket().ok_or(EngineError::Forbidden)
    } else {
        Err(EngineError::Forbidden)
    }
}
