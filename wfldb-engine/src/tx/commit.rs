//! The way of a transaction to the log: one plan of everything that it read and is to write.

use std::sync::Arc;
use std::time::Duration;

use wfldb_core::auth::{Authorized, Service, Target};
use wfldb_core::id::{BucketId, ContentHash, LeafIndex, Seq, VersionId};
use wfldb_core::limits::DOCUMENT_PLANS_MAX;
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::Preconditions;

use super::writes::{Write, WriteAction};
use super::{Changed, Transaction};
use crate::chunk::Pins;
use crate::commit::plan::{
    Applied, BatchEntry, BucketWrites, DeleteObject, Mutation, Origin, PutObject, Transaction as Plan,
    Written,
};
use crate::doc::{Body, NewVersion, parse};
use crate::engine::random;
use crate::error::EngineError;
use crate::object::planned_bytes;
use crate::pending::Pending;
use crate::row::{BucketRow, key};
use crate::storage::{Snapshot, Space};

/// What a transaction did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// The buckets that were written in, by name, each with its number of the change.
    pub buckets: Vec<(BucketName, Seq)>,
    /// The keys that the transaction named to be written, in the order in which they were named last.
    pub writes: Vec<TransactionWrite>,
    /// The leaf of the change in the audit log; `None` when nothing was written.
    pub leaf: Option<LeafIndex>,
}

/// What a transaction did to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionWrite {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The version that was written; `None` for a delete of what was not there.
    pub version: Option<VersionId>,
    /// Of a put, BLAKE3 of the bytes.
    pub etag: Option<ContentHash>,
}

impl Transaction {
    /// Commits: all of it at one place of the log, if everything that was read is still so, or nothing. One that writes
    /// nothing has nothing to be held against: it saw one state of the store. Blocks.
    ///
    /// `proof` is one for [`Service::Tx`] of the transaction's caller, whose request becomes the evidence of the change.
    /// Writes files when a body is larger than 64 KiB. A document is planned on what is there by then, and again when
    /// another write of it comes first.
    ///
    /// # Errors
    /// `TransactionConflict` with what was overtaken; `Entry` with the place of the first write that is refused (of all
    /// puts and deletes of the transaction, from 0) and why, for what a put or a delete can be refused for; and those of
    /// every write.
    pub fn commit(self, proof: &Authorized) -> Result<Committed, EngineError> {
        for _ in 1..DOCUMENT_PLANS_MAX {
            match self.submit(proof).wait() {
                Err(error) if error.is_stale() => {}
                done => return done,
            }
        }
        self.submit(proof).wait()
    }

    /// As [`Transaction::commit`], for who awaits it. Where the answer is stale ([`EngineError::is_stale`]) the documents
    /// are to be planned again: the same once more, a bounded number of times. Reads the storage.
    pub fn submit(&self, proof: &Authorized) -> Pending<Committed> {
        let mut pins = Pins::new(Arc::clone(&self.inner.chunks));
        let planned = self.plan(proof, &mut pins);
        if self.writes.is_empty() && planned.is_ok() {
            return Pending::done(Committed::default());
        }
        let mut keys = Vec::new();
        for (bucket, writes) in self.writes.buckets() {
            let of_bucket = writes
                .iter()
                .map(|(object, write)| (write.place, *bucket, object.clone()));
            keys.extend(of_bucket);
        }
        keys.sort_unstable_by_key(|(place, ..)| *place);
        let names = self.reads.names();
        // Its locks are held until the answer is there.
        let holder = Arc::clone(&self.holder);
        self.inner.submit(proof, planned, Some(pins), move |applied| {
            drop(holder);
            match applied {
                Applied::Transaction { seqs, leaf, results } => Ok(Committed {
                    leaf,
                    ..committed(&names, keys, &seqs, &results)?
                }),
                _ => Err(EngineError::OutcomeUnknown),
            }
        })
    }

    fn plan(&self, proof: &Authorized, pins: &mut Pins) -> Result<Mutation, EngineError> {
        self.check_owner(proof)?;
        if *proof.target() != Target::Service(Service::Tx) {
            return Err(EngineError::Forbidden);
        }
        let mut puts = self.writes.buckets().flat_map(|(_, writes)| writes.values());
        if puts.any(|write| matches!(write.action, WriteAction::Put(_))) {
            self.inner.admit_bytes()?;
        }
        let mut buckets = Vec::new();
        // Documents are planned on what is there now. What of it the transaction has read, its commit looks at first.
        let latest = self.inner.storage.snapshot();
        for (bucket, writes) in self.writes.buckets() {
            let row = self.row(&*latest, bucket)?;
            let mut entries = Vec::with_capacity(writes.len());
            for (object, write) in writes {
                let entry = self.entry(&*latest, &row, object, write, pins);
                let entry = entry.map_err(|error| EngineError::Entry {
                    index: write.place,
                    error: Box::new(error),
                })?;
                entries.push((write.place, entry));
            }
            buckets.push(BucketWrites {
                bucket: *bucket,
                entries,
            });
        }
        Ok(Mutation::Transaction(Box::new(Plan {
            reads: Arc::new(self.reads.clone()),
            buckets,
        })))
    }

    /// A bucket as it is now.
    fn row(&self, latest: &dyn Snapshot, bucket: &BucketId) -> Result<BucketRow, EngineError> {
        let Some(row) = latest.get(Space::Meta, &key::bucket_row(bucket))? else {
            let names = self.reads.names();
            let name = names.into_iter().find(|(id, _)| id == bucket);
            let (_, name) = name.ok_or(EngineError::NoSuchBucket)?;
            return Err(Changed::Bucket(name).into());
        };
        Ok(BucketRow::decode(&row)?)
    }

    fn entry(
        &self,
        latest: &dyn Snapshot,
        row: &BucketRow,
        object: &ObjectKey,
        write: &Write,
        pins: &mut Pins,
    ) -> Result<BatchEntry, EngineError> {
        let bucket = row.id;
        // The transaction's own look at the key decided about them, and is held against the state with all that it read.
        let preconditions = Preconditions::default();
        Ok(match &write.action {
            WriteAction::Delete => BatchEntry::Delete(DeleteObject {
                bucket,
                key: object.clone(),
                preconditions,
                create_only: write.create_only,
            }),
            WriteAction::Put(put) if put.planned_by.is_some() => {
                let new = NewVersion {
                    key: object.clone(),
                    body: Body::Whole(parse(&put.body)?),
                    headers: put.headers.clone(),
                    preconditions,
                    origin: Origin::Sent,
                };
                let by = put.planned_by.as_ref().ok_or(EngineError::Forbidden)?;
                let planned = self.inner.plan_document(latest, by, row, new)?;
                BatchEntry::Put(Box::new(PutObject {
                    create_only: planned.create_only || write.create_only,
                    ..planned
                }))
            }
            WriteAction::Put(put) => BatchEntry::Put(Box::new(PutObject {
                bucket,
                key: object.clone(),
                etag: put.etag,
                len: put.body.len() as u64,
                body: planned_bytes(&self.inner, bucket, &put.body, pins)?,
                headers: put.headers.clone(),
                preconditions,
                create_only: write.create_only,
                charges: put.charges.clone(),
                origin: Origin::Sent,
                document: None,
            })),
        })
    }
}

fn committed(
    names: &[(BucketId, BucketName)],
    keys: Vec<(usize, BucketId, ObjectKey)>,
    seqs: &[(BucketId, Seq)],
    results: &[(usize, Written)],
) -> Result<Committed, EngineError> {
    let name = |id: &BucketId| {
        let found = names.iter().find(|(known, _)| known == id);
        found
            .map(|(_, name)| name.clone())
            .ok_or(EngineError::OutcomeUnknown)
    };
    let mut buckets = Vec::with_capacity(seqs.len());
    for (id, seq) in seqs {
        buckets.push((name(id)?, *seq));
    }
    buckets.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    let mut writes = Vec::with_capacity(keys.len());
    for (place, bucket, key) in keys {
        let done = results.iter().find(|(of, _)| *of == place);
        let done = done.and_then(|(_, result)| *result);
        writes.push(TransactionWrite {
            bucket: name(&bucket)?,
            key,
            version: done.map(|(version, _)| version),
            etag: done.and_then(|(_, etag)| etag),
        });
    }
    Ok(Committed {
        buckets,
        writes,
        leaf: None,
    })
}

/// Waits before the next attempt, longer each time and never as long as another that waits.
pub(super) fn back_off(attempt: u32) -> Result<(), EngineError> {
    const LONGEST_US: u64 = 20_000;
    let most = (200 << attempt.min(10)).min(LONGEST_US);
    let some = u64::from_be_bytes(random()?) % most;
    std::thread::sleep(Duration::from_micros(some));
    Ok(())
}
