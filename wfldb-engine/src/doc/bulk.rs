//! Many documents at once, each with an outcome of its own.
//!
//! All entries that can be stored go into one commit, as a batch; one that is refused there is taken out, and the rest
//! is tried again. So a load of many documents costs one commit, and a bad entry costs itself.

use std::collections::HashSet;

use bytes::Bytes;
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::id::{ContentHash, Seq, VersionId};
use wfldb_core::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, DOCUMENT_PLANS_MAX};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::{EtagCondition, ObjectHeaders, Preconditions};

use crate::bucket::{admits, bucket_of};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::object::{BatchAction, BatchOp};

/// Commits in which entries are taken out one by one, before each of the rest is tried by itself.
const TOGETHER_MAX: usize = 8;

/// One entry.
#[derive(Debug, Clone)]
pub struct BulkOp {
    /// The key. It may occur several times; entries of one key are carried out in order.
    pub key: ObjectKey,
    /// What must hold for this entry.
    pub preconditions: Preconditions,
    /// What is done.
    pub action: BulkAction,
}

/// What an entry does.
#[derive(Debug, Clone)]
pub enum BulkAction {
    /// Stores a document where there is none.
    Insert(Bytes),
    /// Stores a document in place of another.
    Update(Bytes),
    /// Stores a document.
    Put(Bytes),
    /// Deletes one, if it is there.
    Delete,
}

/// What became of an entry: the version that it wrote, for a document with its etag, and the bucket's number of the
/// change; `None` where there was nothing to delete.
pub type BulkResult = Result<Option<(VersionId, Option<ContentHash>, Seq)>, EngineError>;

impl BulkOp {
    fn into_batch(self) -> BatchOp {
        let mut preconditions = self.preconditions;
        let action = match self.action {
            BulkAction::Insert(json) => {
                preconditions.if_none_match_any = true;
                put(json)
            }
            BulkAction::Update(json) => {
                preconditions.if_match.get_or_insert(EtagCondition::Any);
                put(json)
            }
            BulkAction::Put(json) => put(json),
            BulkAction::Delete => BatchAction::Delete,
        };
        BatchOp {
            key: self.key,
            preconditions,
            action,
        }
    }
}

fn put(json: Bytes) -> BatchAction {
    BatchAction::Put {
        body: json,
        headers: Box::new(ObjectHeaders::default()),
    }
}

impl Engine {
    /// Carries out each entry in the bucket of documents that `proof` names (a proof for `put` on [`Target::Bulk`]).
    /// Blocks until all are answered. An entry that the caller may not make refuses all, before any is looked at.
    ///
    /// # Errors
    /// `Entry` with `Forbidden`, `NotDocuments`, `TooLarge` for more than 1000 entries or 8 MiB.
    #[tracing::instrument(name = "engine::doc::bulk", level = "debug", skip_all)]
    pub fn bulk(&self, proof: &Authorized, ops: Vec<BulkOp>) -> Result<Vec<BulkResult>, EngineError> {
        let name = bucket_of(proof, Op::Put)?;
        let Target::Bulk(_) = proof.target() else {
            return Err(EngineError::Forbidden);
        };
        let bytes = |op: &BulkOp| match &op.action {
            BulkAction::Insert(json) | BulkAction::Update(json) | BulkAction::Put(json) => json.len(),
            BulkAction::Delete => 0,
        };
        if ops.len() > BATCH_ENTRIES_MAX || ops.iter().map(bytes).sum::<usize>() > BATCH_BYTES_MAX {
            return Err(EngineError::TooLarge);
        }
        let ops: Vec<BatchOp> = ops.into_iter().map(BulkOp::into_batch).collect();
        // SECURITY: every entry's right comes before anything is looked at. The batches check it again.
        for (index, op) in ops.iter().enumerate() {
            crate::object::check_entry(proof, op, &mut HashSet::new()).map_err(|error| {
                EngineError::Entry {
                    index,
                    error: Box::new(error),
                }
            })?;
        }
        let bucket = self.inner.bucket(name)?;
        admits(&bucket, proof)?;
        if bucket.config.kind != wfldb_core::object::BucketKind::Documents {
            return Err(EngineError::NotDocuments);
        }
        let mut results: Vec<Option<BulkResult>> = vec![None; ops.len()];
        // A key occurs once in a batch, so what comes again waits for the next round.
        loop {
            let mut keys = HashSet::new();
            let round: Vec<usize> = ops
                .iter()
                .zip(&results)
                .enumerate()
                .filter(|(_, (op, result))| result.is_none() && keys.insert(&op.key))
                .map(|(index, _)| index)
                .collect();
            if round.is_empty() {
                break;
            }
            self.bulk_round(proof, &ops, round, &mut results);
        }
        let missing = || Err(EngineError::OutcomeUnknown);
        Ok(results
            .into_iter()
            .map(|result| result.unwrap_or_else(missing))
            .collect())
    }

    /// Carries out the entries of a round: together, without those that are refused, and at last each by itself.
    fn bulk_round(
        &self,
        proof: &Authorized,
        ops: &[BatchOp],
        mut round: Vec<usize>,
        results: &mut [Option<BulkResult>],
    ) {
        let mut stale = 0;
        let mut refused = 0;
        while refused < TOGETHER_MAX && !round.is_empty() {
            let done = self.carry_out(proof, ops, &round, results);
            match done {
                Ok(()) => return,
                Err(error) if error.is_stale() && stale < DOCUMENT_PLANS_MAX => stale += 1,
                Err(EngineError::Entry { index, error }) if index < round.len() => {
                    refused += 1;
                    let index = round.remove(index);
                    if let Some(result) = results.get_mut(index) {
                        *result = Some(Err(*error));
                    }
                }
                // What holds for all of them.
                Err(error) => {
                    for index in round {
                        if let Some(result) = results.get_mut(index) {
                            *result = Some(Err(error.clone()));
                        }
                    }
                    return;
                }
            }
        }
        // Each by itself, all in flight together.
        for _ in 0..DOCUMENT_PLANS_MAX {
            let pending: Vec<_> = round
                .iter()
                .filter_map(|index| Some((*index, self.batch(proof, vec![ops.get(*index)?.clone()]))))
                .collect();
            round.clear();
            for (index, pending) in pending {
                let done = match pending.wait() {
                    Ok(done) => Ok(done),
                    Err(EngineError::Entry { error, .. }) => Err(*error),
                    Err(error) => Err(error),
                };
                if done.as_ref().is_err_and(EngineError::is_stale) {
                    round.push(index);
                }
                if let Some(result) = results.get_mut(index) {
                    *result = Some(done.map(|done| {
                        let written = done.results.first().copied().flatten();
                        written
                            .zip(done.seq)
                            .map(|((version, etag), seq)| (version, etag, seq))
                    }));
                }
            }
            if round.is_empty() {
                return;
            }
        }
    }

    /// Carries out these entries in one commit, or none of them.
    fn carry_out(
        &self,
        proof: &Authorized,
        ops: &[BatchOp],
        round: &[usize],
        results: &mut [Option<BulkResult>],
    ) -> Result<(), EngineError> {
        let picked = round.iter().filter_map(|index| ops.get(*index).cloned());
        let outcome = self.batch(proof, picked.collect()).wait()?;
        for (index, written) in round.iter().zip(outcome.results) {
            let written = match (written, outcome.seq) {
                (Some((version, etag)), Some(seq)) => Some((version, etag, seq)),
                _ => None,
            };
            if let Some(result) = results.get_mut(*index) {
                *result = Some(Ok(written));
            }
        }
        Ok(())
    }
}
